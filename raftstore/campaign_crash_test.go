package raftstore

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"chronik/internal/crashtest"
	"chronik/internal/vfs"
	"chronik/raftstore/handover"
	"chronik/segment"
	"chronik/wal"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

// The campaign over the groups of a node: their logs and their hard states.
var campaign = crashtest.Campaign{
	Package: "./raftstore",
	New:     newCrashNode,
	Steps:   30,
	Kinds:   []string{"start", "append", "vote", "vote and append", "conflict", "sync", "checkpoint", "compact", "members", "install", "rewrite", "close", "kill", "cut", "forget"},
	Seeds:   3,
	Again:   8,
	Fewer:   20,
}

// TestCrashCampaign loses power before every call of every operation, and
// during the recoveries from that.
func TestCrashCampaign(t *testing.T) { campaign.Crash(t) }

// TestFaultCampaign makes every call of such runs fail.
func TestFaultCampaign(t *testing.T) {
	c := campaign
	c.Steps, c.Seeds, c.Again = 10, 1, 16
	c.Fail(t)
}

// crashNode is a node's storage and its model.
type crashNode struct {
	r      *rand.Rand
	disk   *crashtest.Disk
	syncer *wal.Syncer
	hs     *HardStates // nil: down
	groups []*crashGroup
	nextID uint64
	broken bool // something has failed: the node is restarted

	mu sync.Mutex // what Now reads: of groups, the slice and what is said below
}

// crashGroup is a group and its model.
type crashGroup struct {
	id      uint64
	log     *wal.Log
	store   *Storage
	ents    entries // what the open log shows
	applied uint64
	term    uint64

	// guarded by crashNode.mu
	alts    []entries // what the disk may show, less what is not acknowledged
	acked   uint64    // index that must survive
	start   [2]segment.Offset
	states  []State // saved, oldest first
	kept    int     // of them, that many were durable
	confs   []uint64
	confs0  int
	leaving bool // being forgotten
	touched bool // by the step
}

// entries are those of a group, from index 1 on; next[i] is the log's next
// offset behind entry i.
type entries struct {
	list []*pb.Entry
	next []segment.Offset
	keep uint64 // of what is acknowledged it has this much at most
	conf uint64 // its members must be those of this entry, or later ones
}

func (e entries) last() uint64 { return uint64(len(e.list)) }

// until is the entries up to i; appending to it leaves e alone.
func (e entries) until(i uint64) entries {
	return entries{list: e.list[:i:i], next: e.next[: i+1 : i+1], keep: math.MaxUint64}
}

func newCrashNode(seed uint64, disk *crashtest.Disk) crashtest.Workload {
	w := &crashNode{r: rand.New(rand.NewPCG(seed, 2)), disk: disk, syncer: wal.NewSyncer(wal.SyncerOptions{Parallel: 1})}
	for range 3 {
		w.groups = append(w.groups, w.newGroup())
	}
	return w
}

func (w *crashNode) newGroup() *crashGroup {
	w.nextID++
	none := entries{next: []segment.Offset{0}, keep: math.MaxUint64}
	return &crashGroup{id: w.nextID, ents: none, alts: []entries{none}}
}

func (g *crashGroup) dir() string { return fmt.Sprintf("/groups/%d", g.id) }

// open opens the log and the storage of a group.
func openGroup(fsys vfs.FS, hs *HardStates, id uint64, syncer *wal.Syncer) (*wal.Log, *Storage, error) {
	l, _, err := wal.Open(wal.Options{FS: fsys, Dir: fmt.Sprintf("/groups/%d", id), Syncer: syncer, SegmentBytes: func() int64 { return 16 << 10 },
		Background: func(task func()) { task() }}) // or a process that was killed would go on writing
	if err != nil {
		return nil, nil, err
	}
	s := NewStorage(l, hs, id, describe)
	return l, s, s.Load(LoadOptions{NodeID: 9, Voters: []uint64{1, 2, 3}, SkipApplied: true})
}

// Step implements crashtest.Workload.
func (w *crashNode) Step() (kind string, err error) {
	if w.hs == nil {
		w.touch(w.groups...)
		kind, err = "start", w.start()
	} else if w.r.IntN(25) == 0 {
		w.touch(w.groups...)
		w.down()
		w.syncer.Close()
		w.syncer = wal.NewSyncer(wal.SyncerOptions{Parallel: 1})
		w.disk.Cut(w.r.Uint64())
		kind, err = "cut", w.start()
	} else {
		g := w.groups[w.r.IntN(len(w.groups))]
		w.touch(g)
		kind, err = w.step(g)
	}
	if w.hs != nil {
		settle(w.hs)
	}
	w.broken = w.broken || err != nil
	return kind, err
}

// touch says whose logs a step changes: the others' need no look.
func (w *crashNode) touch(groups ...*crashGroup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.groups {
		g.touched = slices.Contains(groups, g)
	}
}

func (w *crashNode) step(g *crashGroup) (string, error) {
	k := w.r.IntN(100)
	if w.broken && g.store != nil && w.r.IntN(2) == 0 { // what is acknowledged after a fault?
		switch w.r.IntN(3) {
		case 0:
			return "vote", w.vote(g)
		case 1:
			return "checkpoint", w.checkpoint()
		}
		return "sync", w.sync()
	}
	if w.broken || k >= 96 || g.store == nil {
		w.touch(w.groups...)
		w.down()
		return "kill", w.start()
	}
	switch {
	case k < 20:
		return "append", w.append(g, g.ents.last()+1, w.r.IntN(2) == 0, false)
	case k < 28:
		return "vote", w.vote(g)
	case k < 36:
		g.term++
		return "vote and append", w.append(g, g.ents.last()+1, true, true)
	case k < 44:
		if g.applied == g.ents.last() {
			return "", nil
		}
		g.term++
		return "conflict", w.append(g, g.applied+1+w.r.Uint64N(g.ents.last()-g.applied), w.r.IntN(2) == 0, true)
	case k < 52:
		return "sync", w.sync()
	case k < 64:
		return "apply", w.apply(g)
	case k < 70:
		return "checkpoint", w.checkpoint()
	case k < 76:
		return "compact", w.compact(g)
	case k < 80:
		return "members", w.members(g)
	case k < 83:
		return "install", w.install(g)
	case k < 87:
		return "rewrite", w.rewrite()
	case k < 91:
		return "close", w.close()
	}
	return "forget", w.forget(g)
}

// saved notes a state before it is saved; what it returns, that it is durable
// with all before it, of every group: the log is ordered.
func (w *crashNode) saved(g *crashGroup, s State) (durable func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(g.states); n == 0 || g.states[n-1] != s {
		g.states = append(g.states[:n:n], s)
	}
	return w.durableLocked()
}

func (w *crashNode) durableLocked() func() {
	type upTo struct {
		g             *crashGroup
		states, confs int
	}
	var all []upTo
	for _, g := range w.groups {
		all = append(all, upTo{g, len(g.states), len(g.confs)})
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, u := range all {
			u.g.kept, u.g.confs0 = max(u.g.kept, u.states), max(u.g.confs0, u.confs)
		}
	}
}

// answers collects the answers of calls that are under way together.
type answers struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (a *answers) done(ok func()) func(error) {
	a.wg.Add(1)
	return func(err error) {
		defer a.wg.Done()
		if err == nil {
			ok()
			return
		}
		a.mu.Lock()
		a.errs = append(a.errs, err)
		a.mu.Unlock()
	}
}

func (a *answers) all() error {
	a.wg.Wait()
	return errors.Join(a.errs...)
}

// append does what multiraft does with a MsgStorageAppend: entries from index
// first on, in place of what is there, and with vote the term beside them.
func (w *crashNode) append(g *crashGroup, first uint64, sync, vote bool) error {
	after := g.ents.until(first - 1)
	for i := range 1 + w.r.Uint64N(4) {
		e, off := &pb.Entry{Index: new(first + i), Term: new(g.term)}, after.next[first+i-1]
		switch w.r.IntN(5) {
		case 0: // a no-op
		case 1:
			e.Type, e.Data = pb.EntryConfChangeV2.Enum(), []byte("members")
		default:
			n := 1 + w.r.Uint32N(9)
			e.Data = payload(off, n, []int{40, 40, w.r.IntN(4000)}[w.r.IntN(3)]) // now and then of the length of what was there
			off += segment.Offset(n)
		}
		after.list, after.next = append(after.list, e), append(after.next, off)
	}
	w.mu.Lock()
	cut := after // may be found before the new entries are
	cut.keep = first - 1
	g.alts = []entries{g.ents, cut}
	w.mu.Unlock()
	if _, err := g.store.Append(after.list[first-1:]); err != nil {
		return err
	}
	w.mu.Lock()
	g.ents, g.alts = after, []entries{after}
	if first <= g.acked {
		g.acked = first - 1
	}
	w.mu.Unlock()
	var a answers
	if vote {
		durable := w.saved(g, State{Term: g.term, Vote: g.id % 4, Commit: g.store.commitToSave()})
		g.store.SaveVote(g.term, g.id%4, a.done(durable))
	}
	if sync {
		g.log.Sync(a.done(w.ack(g)))
	}
	return a.all()
}

// ack makes what acknowledges all that the log holds now.
func (w *crashNode) ack(g *crashGroup) func() {
	last := g.ents.last()
	return func() {
		w.mu.Lock()
		g.acked = max(g.acked, last)
		w.mu.Unlock()
	}
}

func (w *crashNode) vote(g *crashGroup) error {
	g.term++
	v := w.r.Uint64N(4)
	durable := w.saved(g, State{Term: g.term, Vote: v, Commit: g.store.commitToSave()})
	var a answers
	g.store.SaveVote(g.term, v, a.done(durable))
	return a.all()
}

func (w *crashNode) sync() error {
	w.touch(w.groups...)
	var a answers
	for _, g := range w.groups {
		if g.log != nil {
			g.log.Sync(a.done(w.ack(g)))
		}
	}
	return a.all()
}

// apply applies what is durable, as raft does with asynchronous writes.
func (w *crashNode) apply(g *crashGroup) error {
	upTo := min(g.acked, uint64(g.log.DurableIndex()))
	if upTo <= g.applied {
		return nil
	}
	g.applied += 1 + w.r.Uint64N(upTo-g.applied)
	g.store.AppliedTo(g.applied)
	s := g.store.saved
	s.Commit = g.store.commitToSave()
	w.saved(g, s)
	g.store.SaveCommit()
	return nil
}

func (w *crashNode) checkpoint() error {
	w.mu.Lock()
	durable := w.durableLocked()
	w.mu.Unlock()
	var a answers
	if w.r.IntN(2) == 0 {
		w.hs.Checkpoint(nil)
		return nil
	}
	w.hs.Checkpoint(a.done(durable))
	return a.all()
}

// compact drops a prefix of what is applied.
func (w *crashNode) compact(g *crashGroup) error {
	off := g.ents.next[w.r.Uint64N(g.applied+1)]
	w.mu.Lock()
	g.start[1] = max(g.start[1], off)
	w.mu.Unlock()
	if err := g.log.SetStart(off); err != nil {
		return err
	}
	w.mu.Lock()
	g.start[0] = g.start[1]
	w.mu.Unlock()
	return nil
}

func (w *crashNode) members(g *crashGroup) error {
	if g.applied == 0 || slices.Contains(g.confs, g.applied) {
		return nil
	}
	w.mu.Lock()
	g.confs = append(g.confs[:len(g.confs):len(g.confs)], g.applied)
	durable := w.durableLocked()
	w.mu.Unlock()
	var a answers
	g.store.SaveConf(g.applied, voters(1, 2, 3, 10+g.applied), a.done(durable))
	return a.all()
}

// install makes the log what a snapshot says that agrees with it up to an
// entry that is applied, or further, and begins anywhere.
func (w *crashNode) install(g *crashGroup) error {
	common := g.applied + w.r.Uint64N(g.ents.last()-g.applied+1)
	after := g.ents.until(common)
	g.term++
	for range 1 + w.r.IntN(8) {
		i, off := after.last()+1, after.next[after.last()]
		after.list = append(after.list, &pb.Entry{Index: new(i), Term: new(g.term), Data: payload(off, 2, []int{40, 40, w.r.IntN(4000)}[w.r.IntN(3)])})
		after.next = append(after.next, off+2)
	}
	last := after.last()
	l := &handover.Log{First: segment.Index(1 + w.r.Uint64N(last+1))}
	if before := uint64(l.First) - 1; before > 0 {
		l.PrevTerm = segment.Term(after.list[before-1].GetTerm())
	}
	l.Base = after.next[l.First-1]
	l.Start = l.Base
	for _, e := range after.list[l.First-1:] {
		f := segment.Entry{Index: segment.Index(e.GetIndex()), Term: segment.Term(e.GetTerm()), Kind: entryKind(e.GetType()), BaseOffset: after.next[e.GetIndex()-1],
			Count: uint32(after.next[e.GetIndex()] - after.next[e.GetIndex()-1]), MaxTimestamp: -1, Payload: e.GetData()}
		l.Frames = append(l.Frames, f)
	}
	w.mu.Lock()
	cut, partly := g.ents.until(common), after
	cut.keep, partly.keep, partly.conf = common, common, last
	if uint64(l.First)-1 > common { // it begins anew, or what it has is as it was
		cut, partly.keep = g.ents, uint64(l.First)-1
	}
	g.alts = []entries{g.ents, cut, partly}
	g.start[1] = max(g.start[1], l.Start)
	g.confs = append(g.confs[:len(g.confs):len(g.confs)], last)
	durable := w.durableLocked()
	w.mu.Unlock()
	members := voters(1, 2, 3, 10+last)
	if err := g.store.Install(l, members); err != nil {
		return err
	}
	durable()
	w.mu.Lock()
	g.ents, g.alts, g.acked, g.applied = after, []entries{after}, last, last
	g.start[0] = g.start[1]
	w.mu.Unlock()
	s := g.store.saved
	s.Commit = last
	w.saved(g, s)
	g.store.Installed(l, members)
	if got := uint64(g.log.LastIndex()); got != last {
		return crashtest.Wrongf("installed [%d, %d], the log ends at %d", l.First, last, got)
	}
	return nil
}

// rewrite writes the next generation of the hard states.
func (w *crashNode) rewrite() error {
	w.mu.Lock()
	durable := w.durableLocked()
	w.mu.Unlock()
	w.hs.mu.Lock()
	defer w.hs.mu.Unlock()
	if w.hs.err != nil {
		return w.hs.err
	}
	if err := w.hs.rewriteLocked(); err != nil {
		w.hs.err = err // as the writer does
		return err
	}
	durable()
	return nil
}

// down ends the process.
func (w *crashNode) down() {
	if w.hs != nil {
		settle(w.hs)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.groups {
		if g.log != nil {
			g.acked = max(g.acked, uint64(g.log.DurableIndex()))
		}
		g.log, g.store = nil, nil
	}
	w.hs = nil
}

func (w *crashNode) close() error {
	w.touch(w.groups...)
	var errs []error
	for _, g := range w.groups {
		if g.log != nil {
			err := g.log.Close()
			if err == nil {
				w.ack(g)()
			}
			errs = append(errs, err)
		}
	}
	w.mu.Lock()
	durable := w.durableLocked()
	w.mu.Unlock()
	err := w.hs.Close()
	if err == nil {
		durable()
	}
	for _, g := range w.groups {
		g.log = nil
	}
	w.down()
	return errors.Join(append(errs, err)...)
}

// start opens everything and compares it with the model, which then knows as
// much.
func (w *crashNode) start() error {
	for _, g := range slices.Clone(w.groups) {
		if !g.leaving {
			continue
		}
		if err := wal.Remove(w.disk, g.dir()); err != nil {
			return err
		}
		w.replace(g)
	}
	hs, _, err := OpenHardStates(HardStatesOptions{FS: w.disk, Dir: "/hs", Logger: quiet})
	if err != nil {
		return err
	}
	defer settle(hs) // also when it is given up
	w.mu.Lock()
	expect := make([]crashExpect, len(w.groups))
	for i, g := range w.groups {
		expect[i] = g.expect()
	}
	w.mu.Unlock()
	for i, g := range w.groups {
		log, store, err := openGroup(w.disk, hs, g.id, w.syncer)
		if err != nil {
			return err
		}
		found, why := expect[i].compare(log, store, hs)
		if why != nil {
			return fmt.Errorf("group %d: %w", g.id, why)
		}
		w.mu.Lock()
		g.log, g.store = log, store
		g.ents, g.alts, g.acked = found, []entries{found}, found.last()
		if s, ok := hs.Load(g.id); ok {
			g.states, g.kept = []State{s.State}, 1
			g.confs, g.confs0 = []uint64{s.ConfIndex}, 1
		}
		g.start = [2]segment.Offset{log.StartOffset(), log.StartOffset()}
		g.applied, g.term = store.Applied(), max(g.term, store.initial.Term)
		w.mu.Unlock()
	}
	w.hs, w.broken = hs, false
	return nil
}

// forget removes a group for good and begins another.
func (w *crashNode) forget(g *crashGroup) error {
	if err := g.log.Close(); err != nil {
		return err
	}
	g.log, g.store = nil, nil
	w.mu.Lock()
	g.leaving = true
	w.mu.Unlock()
	w.hs.Remove(g.id)
	w.hs.Checkpoint(nil)
	if err := wal.Remove(w.disk, g.dir()); err != nil {
		return err
	}
	n := w.replace(g)
	log, store, err := openGroup(w.disk, w.hs, n.id, w.syncer)
	if err != nil {
		return err
	}
	w.mu.Lock()
	n.log, n.store = log, store
	n.confs, n.confs0 = []uint64{0}, 1
	n.term++
	w.mu.Unlock()
	return nil
}

func (w *crashNode) replace(g *crashGroup) *crashGroup {
	n := w.newGroup()
	n.touched = true
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups = slices.Clone(w.groups)
	w.groups[slices.Index(w.groups, g)] = n
	return n
}

// End implements crashtest.Workload.
func (w *crashNode) End() {
	w.down()
	w.syncer.Close()
}

// crashExpect is what a group must show.
type crashExpect struct {
	id      uint64
	alts    []entries
	acked   uint64
	start   [2]segment.Offset
	states  []State
	confs   []uint64
	leaving bool
	touched bool
}

// expect is asked with crashNode.mu held.
func (g *crashGroup) expect() crashExpect {
	e := crashExpect{id: g.id, alts: g.alts, acked: g.acked, start: g.start, states: g.states, confs: g.confs, leaving: g.leaving, touched: g.touched}
	if g.kept > 0 {
		e.states = e.states[g.kept-1:]
	} else {
		e.states = append([]State{{}}, e.states...)
	}
	if g.confs0 > 0 {
		e.confs = e.confs[g.confs0-1:]
	} else {
		e.confs = append([]uint64{0}, e.confs...)
	}
	if g.log != nil {
		e.acked = max(e.acked, uint64(g.log.DurableIndex()))
	}
	return e
}

// Now implements crashtest.Workload.
func (w *crashNode) Now() crashtest.Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []crashExpect
	for _, g := range w.groups {
		all = append(all, g.expect())
	}
	return func(fsys vfs.FS, settled func(string)) error {
		hs, _, err := OpenHardStates(HardStatesOptions{FS: fsys, Dir: "/hs", Logger: quiet})
		if err != nil {
			return err
		}
		var found strings.Builder
		stores := make([]*Storage, len(all))
		for i := range all {
			if all[i].leaving {
				continue
			}
			if err := all[i].compareState(hs); err != nil {
				return fmt.Errorf("group %d: %w", all[i].id, err)
			}
			if !all[i].touched {
				g, ok := hs.Load(all[i].id)
				fmt.Fprint(&found, g, ok)
				continue
			}
			log, store, err := openGroup(fsys, hs, all[i].id, nil)
			if err != nil {
				return fmt.Errorf("group %d: %w", all[i].id, err)
			}
			if _, err := all[i].compare(log, store, hs); err != nil {
				return fmt.Errorf("group %d: %w", all[i].id, err)
			}
			stores[i] = store
			describeGroup(&found, store)
		}
		settled(found.String())
		for _, s := range stores {
			if s != nil {
				if err := goOn(s); err != nil {
					return fmt.Errorf("group %d: going on: %w", s.group, err)
				}
			}
		}
		return hs.Close()
	}
}

// compareState checks the hard state.
func (e *crashExpect) compareState(hs *HardStates) error {
	if g, _ := hs.Load(e.id); !slices.Contains(e.states, g.State) || !slices.Contains(e.confs, g.ConfIndex) {
		return crashtest.Wrongf("state %+v, members of %d; want one of %+v and %v", g.State, g.ConfIndex, e.states, e.confs)
	}
	return nil
}

// compare finds the entries that the log shows and checks what Load made of it.
func (e *crashExpect) compare(log *wal.Log, s *Storage, hs *HardStates) (entries, error) {
	first, last := uint64(log.FirstIndex()), uint64(log.LastIndex())
	if err := e.compareState(hs); err != nil {
		return entries{}, err
	}
	g, _ := hs.Load(e.id)
	if st := s.initial; st.Commit > last || st.Commit < g.State.Commit || st.Term < g.State.Term || (st.Term == g.State.Term && st.Vote != g.State.Vote) {
		return entries{}, crashtest.Wrongf("starts with %+v from %+v, last %d", st, g.State, last)
	}
	if n := len(s.conf.GetVoters()); s.confIndex > 0 && (n != 4 || s.conf.Voters[3] != 10+s.confIndex) {
		return entries{}, crashtest.Wrongf("members %v of %d", s.conf, s.confIndex)
	}
	if start := log.StartOffset(); start != e.start[0] && start != e.start[1] {
		return entries{}, crashtest.Wrongf("start %d, want one of %d", start, e.start)
	}
	var got []segment.Entry
	if first <= last {
		var err error
		if got, err = log.Entries(segment.Index(first), segment.Index(last)+1, 1<<40, nil); err != nil {
			return entries{}, err
		}
	}
	var why []error
	for _, alt := range e.alts {
		err := alt.show(got, first, last, min(e.acked, alt.last(), alt.keep))
		if err == nil && s.confIndex < alt.conf {
			err = fmt.Errorf("members of %d, want those of %d", s.confIndex, alt.conf)
		}
		if err == nil {
			return alt.until(last), nil
		}
		why = append(why, err)
	}
	return entries{}, crashtest.Wrongf("%v", why)
}

// show tells whether frames, of the log's entries from first to last, are those
// of e, less some at the end that were not acknowledged.
func (e entries) show(frames []segment.Entry, first, last, acked uint64) error {
	if last < acked || last > e.last() {
		return fmt.Errorf("last %d, want within [%d, %d]", last, acked, e.last())
	}
	for i, f := range frames {
		want := e.list[first-1+uint64(i)]
		if uint64(f.Index) != want.GetIndex() || uint64(f.Term) != want.GetTerm() || f.Kind != entryKind(want.GetType()) ||
			string(f.Payload) != string(want.GetData()) || f.Next() != e.next[want.GetIndex()] {
			return fmt.Errorf("entry %d is (term %d, kind %d, %d bytes, next %d), want %v", f.Index, f.Term, f.Kind, len(f.Payload), f.Next(), want)
		}
	}
	return nil
}

func describeGroup(b *strings.Builder, s *Storage) {
	l := s.log
	g, ok := s.hs.Load(s.group)
	fmt.Fprintf(b, "%d: [%d, %d] start %d, %+v %d %v %v", s.group, l.FirstIndex(), l.LastIndex(), l.StartOffset(), g.State, g.ConfIndex, g.Conf, ok)
	if l.FirstIndex() <= l.LastIndex() {
		d := xxhash.New()
		list, err := l.Entries(l.FirstIndex(), l.LastIndex()+1, 1<<40, nil)
		for _, e := range list {
			fmt.Fprint(d, e.Index, e.Term, e.Kind, e.BaseOffset, e.Count)
			d.Write(e.Payload)
		}
		fmt.Fprintf(b, " %x %v", d.Sum64(), err)
	}
	b.WriteString("; ")
}

// goOn votes and appends.
func goOn(s *Storage) error {
	term, last := s.initial.Term+1, uint64(s.log.LastIndex())
	if _, err := s.Append([]*pb.Entry{{Index: new(last + 1), Term: new(term), Data: payload(s.log.NextOffset(), 1, 10)}}); err != nil {
		return err
	}
	if err := waitErr(func(done func(error)) { s.SaveVote(term, 2, done) }); err != nil {
		return err
	}
	if err := s.log.SyncWait(); err != nil {
		return err
	}
	if t, err := s.Term(last + 1); t != term || err != nil {
		return fmt.Errorf("term %d, %w", t, err)
	}
	return s.log.Close()
}

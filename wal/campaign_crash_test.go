package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"chronik/internal/crashtest"
	"chronik/internal/vfs"
	"chronik/segment"

	"github.com/cespare/xxhash/v2"
)

// The campaign over several logs that share a disk and a syncer.
var campaign = crashtest.Campaign{
	Package: "./wal",
	New:     newCrashLogs,
	Steps:   50,
	Kinds:   []string{"open", "append", "sync", "roll", "truncate", "reset", "start", "close", "kill", "cut", "remove", "beside"},
	Seeds:   3,
	Again:   8,
	Fewer:   10,
}

// TestCrashCampaign loses power before every call of every operation, and
// during the recoveries from that.
func TestCrashCampaign(t *testing.T) { campaign.Crash(t) }

// TestFaultCampaign makes every call of such runs fail.
func TestFaultCampaign(t *testing.T) {
	c := campaign
	c.Steps, c.Seeds, c.Again = 12, 1, 16
	c.Fail(t)
}

// crashLogs is some logs and their models.
type crashLogs struct {
	r      *rand.Rand
	disk   *crashtest.Disk
	syncer *Syncer
	logs   []*crashLog
	last   *crashLog // that of the step in which the fault was injected, once it has been
	hit    *rollHits // nil: no more rolls than anything else, and nobody counts

	mu sync.Mutex // what Now reads
}

// crashLog is a log and its model.
type crashLog struct {
	dir      string
	size     int64
	log      *Log     // nil: closed
	tasks    []func() // what is to be done beside it
	live     model
	poisoned bool // it has said so
	cut      bool // power was lost since it was open

	rolledFrom Index // it was released while a roll was under way that began here; 0: it was not

	// guarded by crashLogs.mu
	alts     []model // what the disk may show
	acked    Index   // what must survive
	removing bool    // or a log that is being removed, or none
	touched  bool    // by the step
}

func newCrashLogs(seed uint64, disk *crashtest.Disk) crashtest.Workload {
	w := &crashLogs{r: rand.New(rand.NewPCG(seed, 2)), disk: disk, syncer: NewSyncer(SyncerOptions{Parallel: 1})}
	for i := range 3 {
		g := &crashLog{dir: fmt.Sprintf("/logs/%d", i), size: 16 << 10 << w.r.IntN(3)}
		g.reset()
		w.logs = append(w.logs, g)
	}
	w.last = w.logs[0]
	return w
}

// reset makes the model an empty log.
func (g *crashLog) reset() {
	g.live = model{first: 1, term: 1}
	g.alts, g.acked, g.removing = []model{g.live}, 0, false
}

func (g *crashLog) options(fsys vfs.FS) Options {
	return Options{FS: fsys, Dir: g.dir, SegmentBytes: func() int64 { return g.size }, Background: func(task func()) { task() }}
}

// Step implements crashtest.Workload.
func (w *crashLogs) Step() (string, error) {
	if w.r.IntN(30) == 0 {
		return "cut", w.cut()
	}
	g, fired := w.logs[w.r.IntN(len(w.logs))], w.disk.Fired()
	if fired && w.last.log != nil && w.r.IntN(3) > 0 {
		g = w.last // it was in this one, most likely
	}
	w.mu.Lock()
	for _, o := range w.logs {
		o.touched = o == g || fired
	}
	w.mu.Unlock()
	kind, err := w.step(g)
	if !fired {
		w.last = g
	}
	var wrong *crashtest.Wrong
	if errors.As(err, &wrong) {
		return kind, fmt.Errorf("%s: %w", g.dir, err)
	}
	if g.log != nil {
		if w.hit != nil {
			w.hit.see(g, w.disk.Mem)
		}
		if serr := g.live.shows(g.log); serr != nil && !errors.Is(serr, crashtest.ErrInjected) {
			return kind, crashtest.Wrongf("%s: the open log shows %v (the operation said: %v)", g.dir, serr, err)
		}
	}
	return kind, err
}

func (w *crashLogs) step(g *crashLog) (string, error) {
	if g.removing {
		return "remove", w.remove(g)
	}
	if g.log == nil {
		return "open", w.open(g)
	}
	k := w.r.IntN(100)
	if w.hit != nil {
		k = rollSteps(k)
	}
	if w.disk.Fired() && w.r.IntN(2) == 0 {
		k = 12 + k%48 // append or sync: what is acknowledged after a fault?
	}
	switch {
	case k < 12 && len(g.tasks) > 0:
		g.beside()
		return "beside", nil
	case k < 45:
		return "append", w.append(g)
	case k < 60:
		return "sync", w.sync(g)
	case k < 66:
		return "roll", w.roll(g)
	case k < 74:
		return w.truncate(g)
	case k < 76:
		return "reset", w.reset(g)
	case k < 84:
		return w.start(g)
	case k < 89:
		return "close", w.close(g)
	case k < 96:
		if g.log.view.Load().rolling != nil && w.hit != nil {
			w.hit.killed.Add(1)
		}
		w.release(g)
		return "kill", w.open(g)
	}
	if err := w.close(g); err != nil {
		return "close", err
	}
	w.mu.Lock()
	g.removing = true
	w.mu.Unlock()
	return "remove", w.remove(g)
}

// settled is the last entry but for those behind a roll that is under way, of
// the log as it was when it was released.
func (g *crashLog) settled() Index {
	if g.rolledFrom > 0 {
		return g.rolledFrom - 1
	}
	return g.live.last()
}

// try does an operation during which the disk shows one of alts, or what it
// showed before (an operation that failed may have left it in doubt), and the
// last of alts when it returns nil.
func (w *crashLogs) try(g *crashLog, op func() error, alts ...model) error {
	w.mu.Lock()
	before := g.alts
	g.alts = append(before[:len(before):len(before)], alts...)
	w.mu.Unlock()
	changes := w.disk.Changes()
	err := op()
	changed := w.disk.Changes() > changes // not under mu: the disk's lock comes before it
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !changed:
		g.alts = before // refused, or there was nothing to do
	case err == nil:
		g.live = alts[len(alts)-1]
		g.alts = []model{g.live}
	default:
		g.alts = append(before[:len(before):len(before)], alts...)
	}
	if errors.Is(err, ErrPoisoned) {
		g.poisoned = true
	}
	return err
}

// ack records what has been promised.
func (w *crashLogs) ack(g *crashLog, last Index) {
	w.mu.Lock()
	g.acked = max(g.acked, last)
	w.mu.Unlock()
}

// refuses is for what a poisoned log must not do.
func (g *crashLog) refuses(was bool, what string, err error) error {
	if was && !errors.Is(err, ErrPoisoned) {
		return crashtest.Wrongf("%s of a poisoned log: %v", what, err)
	}
	return err
}

func (w *crashLogs) append(g *crashLog) error {
	next := g.live
	b := next.batch(w.r, 12<<10)
	if w.r.IntN(2) == 0 && b[0].Count > 0 { // so that segments fill up
		b[0].Payload = random(int(g.size) / 3)
	}
	next.entries = append(next.entries[:len(next.entries):len(next.entries)], b...)
	next.next = b[len(b)-1].Next()
	was := g.poisoned
	err := w.try(g, func() error { return g.log.Append(b) }, next)
	if err != nil {
		last := g.log.LastIndex()
		if last < g.live.last() || last > next.last() {
			return crashtest.Wrongf("append failed (%v) and the log ends at %d", err, last)
		}
		g.live = next.until(last)
	}
	return g.refuses(was, "append", err)
}

func (w *crashLogs) roll(g *crashLog) error {
	was := g.poisoned && g.log.view.Load().active.Frames() > 0
	err := w.try(g, g.log.Roll, g.live)
	if err == nil {
		w.ack(g, g.live.last())
	}
	return g.refuses(was, "roll", err)
}

func (w *crashLogs) truncate(g *crashLog) (string, error) {
	m := &g.live
	if len(m.entries) == 0 {
		return "", nil
	}
	i := m.first + Index(w.r.IntN(len(m.entries)))
	if m.entries[i-m.first].BaseOffset < m.start {
		return "", nil // raft never cuts what was committed, and only that is dropped
	}
	after := m.until(i - 1)
	after.next, after.term = m.entries[i-m.first].BaseOffset, m.term+1
	was := g.poisoned
	err := w.try(g, func() error { return g.log.TruncateFrom(i) }, *m, after)
	if err == nil {
		w.mu.Lock()
		g.acked = i - 1
		w.mu.Unlock()
	}
	return "truncate", g.refuses(was, "truncation", err)
}

// reset makes the log go on elsewhere, as one does that is handed a snapshot.
func (w *crashLogs) reset(g *crashLog) error {
	after := model{first: max(4, g.live.last()+Index(w.r.IntN(20))) - 3, term: g.live.term + 1}
	after.next = g.live.next + Offset(w.r.IntN(100))
	after.start = after.next
	was := g.poisoned
	err := w.try(g, func() error { return g.log.Reset(after.first, after.term, after.next) }, after)
	if err == nil {
		w.mu.Lock()
		g.acked = after.last()
		w.mu.Unlock()
		if term, err := g.log.Term(after.last()); term != after.term || err != nil || g.log.DurableIndex() != after.last() {
			return crashtest.Wrongf("reset: term %d, %v, want %d; durable %d", term, err, after.term, g.log.DurableIndex())
		}
	}
	return g.refuses(was, "reset", err)
}

func (w *crashLogs) start(g *crashLog) (string, error) {
	after := g.live
	after.start += Offset(w.r.IntN(int(after.next-after.start) + 1))
	if after.start == g.live.start {
		return "", nil
	}
	var before, moved []model // more than one when an append failed and may be there all the same
	for _, m := range g.alts {
		before = append(before, m)
		m.start = after.start
		moved = append(moved, m)
	}
	err := w.try(g, func() error { return g.log.SetStart(after.start) }, append(append(before, moved...), after)...)
	if err != nil {
		return "start", err
	}
	for first := g.log.FirstIndex(); g.live.first < first; g.live.first++ {
		if len(g.live.entries) == 0 || g.live.entries[0].Next() > g.live.start {
			return "start", crashtest.Wrongf("entry %d dropped, start %d", g.live.first, g.live.start)
		}
		g.live.entries = g.live.entries[1:]
	}
	w.mu.Lock()
	g.alts = append(moved, g.live)
	w.mu.Unlock()
	return "start", nil
}

// sync is of several logs at once.
func (w *crashLogs) sync(g *crashLog) error {
	var all []*crashLog
	for _, o := range w.logs {
		if o == g || (o.log != nil && w.r.IntN(2) == 0) {
			all = append(all, o)
		}
	}
	w.mu.Lock()
	for _, o := range all {
		o.touched = true
	}
	w.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, o := range all {
		last := o.live.last()
		wg.Add(1)
		o.log.Sync(func(err error) {
			if errs[i] = err; err == nil {
				w.ack(o, last)
			}
			wg.Done()
		})
	}
	wg.Wait()
	for i, o := range all {
		o.poisoned = o.poisoned || errors.Is(errs[i], ErrPoisoned)
		if d := o.log.DurableIndex(); errs[i] == nil && d < o.live.last() {
			return crashtest.Wrongf("%s: durable %d after a sync of %d", o.dir, d, o.live.last())
		}
		if o.log.view.Load().active.Err() != nil && errs[i] == nil {
			return crashtest.Wrongf("%s: a sync of a poisoned segment said nothing", o.dir)
		}
	}
	return errors.Join(errs...)
}

func (w *crashLogs) close(g *crashLog) error {
	err := w.try(g, func() error {
		for len(g.tasks) > 0 {
			g.beside()
		}
		return g.log.Close()
	}, g.live)
	w.release(g)
	if err == nil {
		w.ack(g, g.live.last())
	}
	return err
}

// beside does the first of the tasks that wait.
func (g *crashLog) beside() {
	task := g.tasks[0]
	g.tasks = g.tasks[1:]
	task()
}

// release forgets an open log, as the end of a process does.
func (w *crashLogs) release(g *crashLog) {
	g.tasks = nil
	w.mu.Lock()
	g.acked = max(g.acked, g.log.DurableIndex())
	g.rolledFrom = 0
	if v := g.log.view.Load(); v != nil && v.rolling != nil {
		g.rolledFrom = v.active.BaseIndex()
	}
	g.log = nil
	w.mu.Unlock()
}

func (w *crashLogs) open(g *crashLog) error {
	o := g.options(w.disk)
	o.Syncer, o.Rand = w.syncer, w.r
	o.Background = func(task func()) { g.tasks = append(g.tasks, task) }
	l, _, err := Open(o)
	if err != nil {
		return err
	}
	m, why := match(l, g.alts, g.acked)
	if m == nil {
		return fmt.Errorf("opened: %w", why)
	}
	// The page cache has outlived the process: nothing that was seen is gone,
	// but what stood behind a roll that was under way.
	if !w.disk.Fired() && !g.cut && l.LastIndex() != g.settled() {
		return crashtest.Wrongf("opened: ends at %d, and at %d before", l.LastIndex(), g.live.last())
	}
	g.live = m.until(l.LastIndex())
	g.live.synced = 0
	for ; g.live.first < l.FirstIndex(); g.live.first++ {
		g.live.entries = g.live.entries[1:]
	}
	g.live.next, g.live.term = l.NextOffset(), g.live.term+1
	w.mu.Lock()
	defer w.mu.Unlock()
	g.log, g.poisoned, g.cut = l, false, false
	g.alts, g.acked = []model{g.live}, l.LastIndex()
	return nil
}

// cut loses power and opens the logs again.
func (w *crashLogs) cut() error {
	for _, g := range w.logs {
		if g.log != nil {
			w.release(g)
		}
		w.mu.Lock()
		g.cut, g.touched = true, true
		w.mu.Unlock()
	}
	w.syncer.Close()
	w.syncer = NewSyncer(SyncerOptions{Parallel: 1})
	w.disk.Cut(w.r.Uint64())
	for _, g := range w.logs {
		if g.removing {
			continue
		}
		if err := w.open(g); err != nil {
			return err
		}
	}
	return nil
}

func (w *crashLogs) remove(g *crashLog) error {
	if err := Remove(w.disk, g.dir); err != nil {
		return err
	}
	w.mu.Lock()
	g.reset()
	w.mu.Unlock()
	return nil
}

// End implements crashtest.Workload.
func (w *crashLogs) End() {
	w.syncer.Close()
}

// crashExpect is what a log must show.
type crashExpect struct {
	options  func(vfs.FS) Options
	alts     []model
	acked    Index
	removing bool
}

// Now implements crashtest.Workload.
func (w *crashLogs) Now() crashtest.Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []crashExpect
	for _, g := range w.logs {
		if !g.touched {
			continue
		}
		e := crashExpect{g.options, g.alts, g.acked, g.removing}
		if g.log != nil {
			e.acked = max(e.acked, g.log.DurableIndex())
		}
		all = append(all, e)
	}
	return func(fsys vfs.FS, settled func(string)) error {
		logs := make([]*Log, len(all))
		var found strings.Builder
		for i := range all {
			l, err := all[i].open(fsys)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].options(fsys).Dir, err)
			}
			logs[i] = l
			describe(&found, l)
		}
		settled(found.String())
		for _, l := range logs {
			if err := goOn(l); err != nil {
				return fmt.Errorf("%s: going on: %w", l.o.Dir, err)
			}
		}
		return nil
	}
}

func (e *crashExpect) open(fsys vfs.FS) (*Log, error) {
	o := e.options(fsys)
	l, rec, err := Open(o)
	if e.removing && errors.Is(err, ErrRemoved) {
		if err := Remove(fsys, o.Dir); err != nil {
			return nil, fmt.Errorf("finishing a removal: %w", err)
		}
		l, rec, err = Open(o)
	}
	if err != nil {
		return nil, err
	}
	if e.removing && (rec.Created || l.LastIndex() == 0 && l.FirstIndex() == 1) {
		return l, nil
	}
	if m, why := match(l, e.alts, e.acked); m == nil {
		return nil, why
	}
	if l.DurableIndex() != l.LastIndex() || l.DurableOffset() != l.NextOffset() {
		return nil, crashtest.Wrongf("durable to %d, %d and opened to %d, %d", l.DurableIndex(), l.DurableOffset(), l.LastIndex(), l.NextOffset())
	}
	return l, nil
}

// match finds the model that the log shows.
func match(l *Log, alts []model, acked Index) (*model, error) {
	var why []error
	for i := range alts {
		m := alts[i]
		m.synced = min(acked, m.last())
		err := m.shows(l)
		if err == nil {
			return &m, nil
		}
		if errors.Is(err, crashtest.ErrInjected) {
			return nil, err // it could not be read
		}
		why = append(why, err)
	}
	return nil, crashtest.Wrongf("none of %d: %v", len(alts), why)
}

// describe says all that the log holds.
func describe(b *strings.Builder, l *Log) {
	fmt.Fprintf(b, "%s: [%d, %d] start %d next %d", l.o.Dir, l.FirstIndex(), l.LastIndex(), l.StartOffset(), l.NextOffset())
	if l.LastIndex() >= l.FirstIndex() {
		d := xxhash.New()
		entries, err := l.Entries(l.FirstIndex(), l.LastIndex()+1, 1<<40, nil)
		for _, e := range entries {
			d.Write(e.Payload)
			e.Payload = nil
			fmt.Fprint(d, e)
		}
		fmt.Fprintf(b, " %x %v", d.Sum64(), err)
	}
	b.WriteString("; ")
}

// goOn appends to a log, syncs, cuts, reads and closes it.
func goOn(l *Log) error {
	e := segment.Entry{Index: l.LastIndex() + 1, Term: 1 << 40, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1, MaxTimestamp: 1,
		Payload: []byte("after the crash")}
	if err := l.Append([]segment.Entry{e}); err != nil {
		return err
	}
	if err := l.SyncWait(); err != nil {
		return err
	}
	if got, err := l.Entries(e.Index, e.Index+1, 1, nil); err != nil || !same(got[0], e) {
		return fmt.Errorf("read %v, %w", got, err)
	}
	return l.Close()
}

package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// payload is a test payload: base offset, offsets taken, then filler.
func payload(base segment.Offset, count uint32, filler int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(base))
	b = binary.LittleEndian.AppendUint32(b, count)
	return append(b, make([]byte, filler)...)
}

func describe(p []byte) (segment.Offset, uint32, int64) {
	return segment.Offset(binary.LittleEndian.Uint64(p)), binary.LittleEndian.Uint32(p[8:]), int64(len(p))
}

func openLog(t *testing.T, fsys vfs.FS, dir string, segmentBytes int64) *wal.Log {
	t.Helper()
	log, _, err := wal.Open(wal.Options{FS: fsys, Dir: dir, SegmentBytes: func() int64 { return segmentBytes }})
	if err != nil {
		t.Fatalf("wal: %v", err)
	}
	return log
}

func loadStorage(t *testing.T, log *wal.Log, hs *HardStates, o LoadOptions) *Storage {
	t.Helper()
	s := NewStorage(log, hs, 1, describe)
	if err := s.Load(o); err != nil {
		t.Fatalf("load: %v", err)
	}
	return s
}

// bench is a Storage and a raft.MemoryStorage that have seen the same.
type bench struct {
	t    *testing.T
	r    *rand.Rand
	fs   *vfs.Mem
	hs   *HardStates
	log  *wal.Log
	got  *Storage
	want *raft.MemoryStorage
	next []segment.Offset // next[i]: the log's next offset behind entry i
	term uint64
	vote State // saved last
}

func (b *bench) last() uint64 {
	last, err := b.got.LastIndex()
	if err != nil {
		b.t.Fatal(err)
	}
	return last
}

// append writes entries from index first on, of which those up to the present
// last index are in conflict.
func (b *bench) append(first uint64) {
	b.next = b.next[:first]
	if b.r.IntN(3) == 0 || first <= b.last() {
		b.term++
	}
	var ents []*pb.Entry
	for i := range 1 + b.r.Uint64N(5) {
		e := &pb.Entry{Index: new(first + i), Term: new(b.term)}
		off := b.next[first+i-1]
		switch b.r.IntN(5) {
		case 0: // a no-op
		case 1:
			e.Type, e.Data = pb.EntryConfChangeV2.Enum(), []byte("members")
		default:
			n := 1 + b.r.Uint32N(9)
			e.Data = payload(off, n, b.r.IntN(400))
			off += segment.Offset(n)
		}
		b.next = append(b.next, off)
		ents = append(ents, e)
	}
	if _, err := b.got.Append(ents); err != nil {
		b.t.Fatalf("append at %d: %v", first, err)
	}
	if err := b.want.Append(ents); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) reopen() {
	if err := b.log.Close(); err != nil {
		b.t.Fatal(err)
	}
	applied := b.got.Applied()
	b.log = openLog(b.t, b.fs, "log", 4096)
	b.got = loadStorage(b.t, b.log, b.hs, LoadOptions{NodeID: 2, Applied: applied, SkipApplied: true})
	want := &pb.HardState{Term: new(b.vote.Term), Vote: new(b.vote.Vote), Commit: new(max(applied, uint64(b.log.FirstIndex())-1))}
	if last, err := b.want.Term(b.last()); err == nil && last > b.vote.Term { // it has seen that term, and not voted in it
		want.Term, want.Vote = new(last), new(uint64(0))
	}
	if err := b.want.SetHardState(want); err != nil {
		b.t.Fatal(err)
	}
	g, conf, gerr := b.got.InitialState()
	w, _, werr := b.want.InitialState()
	if g == nil {
		g = &pb.HardState{Term: new(uint64(0)), Vote: new(uint64(0)), Commit: new(uint64(0))}
	}
	if !proto.Equal(g, w) || errors.Join(gerr, werr) != nil || len(conf.GetVoters()) != 3 {
		b.t.Fatalf("starts with %v, %v, %v; want %v, %v", g, conf, gerr, w, werr)
	}
}

// elect votes in the next term.
func (b *bench) elect() {
	b.term++
	b.vote = State{Term: b.term, Vote: 1 + b.r.Uint64N(3)}
	wait(b.t, func(done func(error)) { b.got.SaveVote(b.vote.Term, b.vote.Vote, done) })
	if !b.got.Voted(b.vote.Term, b.vote.Vote) {
		b.t.Fatalf("%+v was not saved", b.vote)
	}
}

// dropPrefix moves the log's start; raft may look at nothing before applied.
func (b *bench) dropPrefix() {
	if err := b.log.SetStart(b.next[b.got.Applied()] * segment.Offset(b.r.IntN(4)) / 3); err != nil {
		b.t.Fatal(err)
	}
}

// compact drops from the other one what is gone: by dropPrefix, or held in
// memory until it was applied.
func (b *bench) compact() {
	first, err := b.got.FirstIndex()
	if err != nil {
		b.t.Fatal(err)
	}
	if was, _ := b.want.FirstIndex(); first > was {
		if err := b.want.Compact(first - 1); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) compare(step int) {
	t := b.t
	b.compact()
	gf, gerr := b.got.FirstIndex()
	wf, werr := b.want.FirstIndex()
	gl, glerr := b.got.LastIndex()
	wl, wlerr := b.want.LastIndex()
	if gf != wf || gl != wl || errors.Join(gerr, werr, glerr, wlerr) != nil {
		t.Fatalf("step %d: have [%d, %d], want [%d, %d]", step, gf, gl, wf, wl)
	}
	for i := max(wf, 4) - 4; i < wl+3; i++ {
		g, gerr := b.got.Term(i)
		w, werr := b.want.Term(i)
		if g != w || gerr != werr {
			t.Fatalf("step %d: Term(%d) = %d, %v; want %d, %v", step, i, g, gerr, w, werr)
		}
	}
	for range 4 {
		lo := max(wf, 3) - 3 + b.r.Uint64N(wl-wf+4)
		if lo > wl {
			continue
		}
		hi := lo + 1 + b.r.Uint64N(wl+1-lo)
		limit := []uint64{0, b.r.Uint64N(3000), math.MaxUint64}[b.r.IntN(3)]
		g, gerr := b.got.Entries(lo, hi, limit)
		w, werr := b.want.Entries(lo, hi, limit)
		if gerr != werr {
			t.Fatalf("step %d: Entries(%d, %d, %d): %v, want %v", step, lo, hi, limit, gerr, werr)
		}
		// A window that begins in the log and ends in memory may come in two parts.
		if len(g) < len(w) && len(g) > 0 && b.got.tailAt(lo) == nil && b.got.tailAt(lo+uint64(len(g))) != nil {
			w = w[:len(g)]
		}
		if len(g) != len(w) {
			t.Fatalf("step %d: Entries(%d, %d, %d) has %d, want %d", step, lo, hi, limit, len(g), len(w))
		}
		for i := range g {
			if !proto.Equal(g[i], w[i]) {
				t.Fatalf("step %d: entry %d is %v, want %v", step, lo+uint64(i), g[i], w[i])
			}
			f := b.got.Frame(g[i])
			if n := b.next[f.Index]; f.Count > 0 && f.Next() != n {
				t.Fatalf("step %d: frame %d ends at %d, want %d", step, f.Index, f.Next(), n)
			}
		}
		if len(g) > 0 {
			_ = append(g, &pb.Entry{}) // the slice is the caller's: the next comparison sees no harm
		}
	}
}

// TestStorageBesideMemoryStorage does the same to both and asks both the same.
func TestStorageBesideMemoryStorage(t *testing.T) {
	r := random(t)
	fsys := vfs.NewMem()
	hs, _ := openHard(t, fsys)
	b := &bench{t: t, r: r, fs: fsys, hs: hs, log: openLog(t, fsys, "log", 4096), want: raft.NewMemoryStorage(), next: []segment.Offset{0}, term: 1}
	b.got = loadStorage(t, b.log, hs, LoadOptions{NodeID: 2, Voters: []uint64{1, 2, 3}})
	for step := range 1500 {
		last := b.last()
		low := max(b.got.Applied(), uint64(b.log.FirstIndex())-1) + 1
		switch op := r.IntN(20); {
		case op < 10:
			b.append(last + 1)
		case op < 12 && low <= last:
			b.append(low + r.Uint64N(last-low+1))
		case op < 17 && last > b.got.Applied():
			b.got.AppliedTo(b.got.Applied() + 1 + r.Uint64N(last-b.got.Applied()))
		case op == 17 && r.IntN(4) == 0:
			b.dropPrefix()
		case op == 18 && r.IntN(4) == 0:
			b.reopen()
		case op == 19 && r.IntN(4) == 0:
			b.elect()
		}
		b.compare(step)
	}
	if first, _ := b.got.FirstIndex(); first < 100 {
		t.Errorf("the log begins at %d: nothing was compacted", first)
	}
}

// TestStorageKeepsUnappliedEntries: what is not applied is answered from
// memory, and stays there when retention drops its segment.
func TestStorageKeepsUnappliedEntries(t *testing.T) {
	fsys := vfs.NewMem()
	hs, _ := openHard(t, fsys)
	log := openLog(t, fsys, "log", 1<<20)
	s := loadStorage(t, log, hs, LoadOptions{NodeID: 1, Voters: []uint64{1}})
	e1 := &pb.Entry{Index: new(uint64(1)), Term: new(uint64(1)), Data: payload(0, 5, 10)}
	e2 := &pb.Entry{Index: new(uint64(2)), Term: new(uint64(1))}
	if _, err := s.Append([]*pb.Entry{e1, e2}); err != nil {
		t.Fatal(err)
	}
	if err := log.Roll(); err != nil {
		t.Fatal(err)
	}
	s.AppliedTo(1)
	if err := log.SetStart(5); err != nil { // entry 2 holds no record and goes too
		t.Fatal(err)
	}
	if log.FirstIndex() != 3 {
		t.Fatalf("the log begins at %d", log.FirstIndex())
	}
	if first, _ := s.FirstIndex(); first != 2 {
		t.Errorf("first index %d, want 2", first)
	}
	if term, err := s.Term(1); term != 1 || err != nil {
		t.Errorf("term before the first entry: %d, %v", term, err)
	}
	if got, err := s.Entries(2, 3, math.MaxUint64); err != nil || len(got) != 1 || got[0] != e2 {
		t.Errorf("entry 2: %v, %v", got, err)
	}
	s.AppliedTo(2)
	if first, _ := s.FirstIndex(); first != 3 {
		t.Errorf("first index %d, want 3", first)
	}
}

// TestStorageHidesIOErrors: raft gets no error that it does not know.
func TestStorageHidesIOErrors(t *testing.T) {
	fsys := vfs.NewMem()
	hs, _ := openHard(t, fsys)
	log := openLog(t, fsys, "log", 1<<20)
	s := loadStorage(t, log, hs, LoadOptions{NodeID: 2, Voters: []uint64{1, 2, 3}})
	if _, err := s.Append([]*pb.Entry{{Index: new(uint64(1)), Term: new(uint64(1)), Data: payload(0, 1, 3000)}}); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = openLog(t, fsys, "log", 1<<20)
	s = loadStorage(t, log, hs, LoadOptions{NodeID: 2})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.read(1, 2, 100); !errors.Is(err, wal.ErrClosed) || got != nil {
		t.Fatalf("read: %v, %v", got, err)
	}
	if got := s.sentinel(wal.ErrClosed); got != nil || !errors.Is(s.Err(), wal.ErrClosed) {
		t.Errorf("raft would get %v, Err is %v", got, s.Err())
	}
}

func TestLoadRefusesLostData(t *testing.T) {
	fsys := vfs.NewMem()
	hs, _ := openHard(t, fsys)
	log := openLog(t, fsys, "log", 1<<20)
	s := loadStorage(t, log, hs, LoadOptions{NodeID: 1, Voters: []uint64{1}})
	ents := []*pb.Entry{{Index: new(uint64(1)), Term: new(uint64(3))}, {Index: new(uint64(2)), Term: new(uint64(3)), Data: payload(0, 1, 0)}}
	if _, err := s.Append(ents); err != nil {
		t.Fatal(err)
	}
	s.AppliedTo(2)
	s.SaveCommit()
	if g, _ := hs.Load(1); g.State.Commit != 0 {
		t.Errorf("commit %d was persisted and the log is not durable", g.State.Commit)
	}
	if err := log.SyncWait(); err != nil {
		t.Fatal(err)
	}
	s.SaveCommit()
	if g, _ := hs.Load(1); g.State.Commit != 2 {
		t.Errorf("commit %d was persisted, want 2", g.State.Commit)
	}
	load := func(o LoadOptions) (*Storage, error) {
		s := NewStorage(log, hs, 1, describe)
		return s, s.Load(o)
	}
	s, err := load(LoadOptions{NodeID: 1, SkipApplied: true})
	if err != nil {
		t.Fatal(err)
	}
	// The log's term counts when the hard state lags behind it.
	if st, _, _ := s.InitialState(); st.GetTerm() != 3 || st.GetVote() != 0 || st.GetCommit() != 2 || s.Applied() != 2 {
		t.Errorf("initial state %v, applied %d", st, s.Applied())
	}
	var lost *LostDataError
	hs.Save(1, State{Term: 3, Commit: 3}, nil)
	if _, err := load(LoadOptions{NodeID: 1}); !errors.As(err, &lost) || lost.Commit != 3 || lost.LastIndex != 2 {
		t.Errorf("commit beyond the log: %v", err)
	}
	hs.Save(1, State{Term: 3, Commit: 2}, nil)
	if _, err := load(LoadOptions{NodeID: 1, Applied: 9}); !errors.Is(err, ErrLostData) {
		t.Errorf("applied beyond the log: %v", err)
	}
	hs.Remove(1)
	if _, err := load(LoadOptions{NodeID: 1, Voters: []uint64{1}}); !errors.Is(err, ErrLostData) {
		t.Errorf("log without hard state: %v", err)
	}
	if _, known := hs.Load(1); known {
		t.Error("the refusal has made a hard state")
	}
}

// TestLoadOfSoleVoter: all of its durable log is committed, unless a change of
// members is in what is not known to be applied.
func TestLoadOfSoleVoter(t *testing.T) {
	fsys := vfs.NewMem()
	hs, _ := openHard(t, fsys)
	log := openLog(t, fsys, "log", 1<<20)
	s := loadStorage(t, log, hs, LoadOptions{NodeID: 1, Voters: []uint64{1}})
	add := func(i uint64, typ pb.EntryType, data []byte) {
		t.Helper()
		if _, err := s.Append([]*pb.Entry{{Index: new(i), Term: new(uint64(1)), Type: typ.Enum(), Data: data}}); err != nil {
			t.Fatal(err)
		}
	}
	commit := func() (commit, applied uint64) {
		t.Helper()
		s := loadStorage(t, log, hs, LoadOptions{NodeID: 1, SkipApplied: true})
		st, _, _ := s.InitialState()
		return st.GetCommit(), s.Applied()
	}
	add(1, pb.EntryNormal, nil)
	add(2, pb.EntryNormal, payload(0, 3, 0))
	if c, a := commit(); c != 2 || a != 2 {
		t.Errorf("commit %d, applied %d, want 2, 2", c, a)
	}
	add(3, pb.EntryConfChangeV2, []byte("x"))
	add(4, pb.EntryNormal, payload(3, 1, 0))
	if c, a := commit(); c != 0 || a != 0 {
		t.Errorf("commit %d, applied %d, want 0, 0: entry 3 must be applied", c, a)
	}
	s.AppliedTo(3)
	wait(t, func(done func(error)) { s.SaveConf(3, voters(1), done) })
	if c, a := commit(); c != 4 || a != 4 {
		t.Errorf("commit %d, applied %d, want 4, 4", c, a)
	}
}

// TestStorageAppendGoesOn: an append that found no room anywhere on its way, in place of a conflicting end and over
// rolls, is made whole by the same call again.
func TestStorageAppendGoesOn(t *testing.T) {
	var left atomic.Int64 // so many calls that need room succeed, then one does not
	partly := 0
	for step := int64(0); ; step++ {
		mem := vfs.NewMem()
		hs, _ := openHard(t, mem)
		left.Store(1 << 40)
		fsys := vfs.NewFaulty(mem, func(op vfs.Op, name string) error {
			if (op == vfs.OpWrite || op == vfs.OpCreate) && left.Add(-1) == -1 {
				return vfs.ErrNoSpace
			}
			return nil
		})
		// What the log does beside appends waits until they have returned, or it
		// would be that which finds no room, now and then.
		var beside []func()
		log, _, err := wal.Open(wal.Options{FS: fsys, Dir: "log", SegmentBytes: func() int64 { return 4096 },
			Background: func(task func()) { beside = append(beside, task) }})
		if err != nil {
			t.Fatal(err)
		}
		s := loadStorage(t, log, hs, LoadOptions{NodeID: 2, Voters: []uint64{1, 2, 3}})
		entries := func(first, last, term uint64) (out []*pb.Entry) {
			for i := first; i <= last; i++ {
				out = append(out, &pb.Entry{Index: new(i), Term: new(term), Data: payload(segment.Offset(i-1), 1, 3000)})
			}
			return out
		}
		old, now := entries(1, 9, 1), entries(4, 20, 2)
		if _, err := s.Append(old); err != nil {
			t.Fatal(err)
		}
		left.Store(step)
		_, err = s.Append(now)
		if err == nil {
			if step < 5 || partly == 0 {
				t.Errorf("%d steps, %d of them in the middle", step, partly)
			}
			return
		}
		if !DiskFull(err) {
			t.Fatalf("step %d: %v", step, err)
		}
		if last := log.LastIndex(); last > 9 && last < 20 {
			partly++
		}
		for _, task := range beside {
			task()
		}
		if _, err := s.Append(now); err != nil {
			t.Fatalf("step %d, again: %v", step, err)
		}
		want := slices.Concat(old[:3], now)
		got, err := s.Entries(1, 21, math.MaxUint64)
		if err != nil || len(got) != 20 {
			t.Fatalf("step %d: %d entries, %v", step, len(got), err)
		}
		onDisk, err := s.read(1, 21, math.MaxUint64)
		if err != nil || len(onDisk) != 20 {
			t.Fatalf("step %d: %d entries on disk, %v", step, len(onDisk), err)
		}
		for i := range want {
			if got[i] != want[i] || onDisk[i].GetTerm() != want[i].GetTerm() || !bytes.Equal(onDisk[i].GetData(), want[i].GetData()) {
				t.Fatalf("step %d: entry %d: %v, on disk %v", step, i+1, got[i], onDisk[i])
			}
		}
	}
}

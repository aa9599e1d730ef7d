package raftstore

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one each time")

// random returns the source of a random test and says how to run it again.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./raftstore -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

var quiet = slog.New(slog.DiscardHandler)

func openHard(t *testing.T, fsys vfs.FS) (*HardStates, Recovery) {
	t.Helper()
	h, rec, err := OpenHardStates(HardStatesOptions{FS: fsys, Dir: "hs", Logger: quiet})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return h, rec
}

func wait(t *testing.T, f func(done func(error))) {
	t.Helper()
	if err := waitErr(f); err != nil {
		t.Fatal(err)
	}
}

func waitErr(f func(done func(error))) error {
	c := make(chan error, 1)
	f(func(err error) { c <- err })
	return <-c
}

// settle waits until nothing is being written.
func settle(h *HardStates) {
	h.mu.Lock()
	for h.writing {
		h.idle.Wait()
	}
	h.mu.Unlock()
}

func voters(ids ...uint64) *pb.ConfState { return &pb.ConfState{Voters: ids} }

func hardFile(t *testing.T, fsys vfs.FS) (string, []byte) {
	t.Helper()
	names, err := fsys.ReadDir("hs")
	if err != nil || len(names) != 1 {
		t.Fatalf("want one file, got %v, %v", names, err)
	}
	b, err := vfs.ReadFile(fsys, "hs/"+names[0], 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return names[0], b
}

// memWith is a directory that holds one hard-state file.
func memWith(t *testing.T, name string, data []byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll("hs"); err != nil {
		t.Fatal(err)
	}
	if err := vfs.ReplaceFile(m, "hs", "x", name, data); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHardStatesSurviveReopen(t *testing.T) {
	m := vfs.NewMem()
	h, rec := openHard(t, m)
	if rec != (Recovery{}) {
		t.Errorf("new log: %+v", rec)
	}
	wait(t, func(done func(error)) { h.SaveConf(7, 0, voters(1, 2, 3), done) })
	wait(t, func(done func(error)) { h.Save(7, State{Term: 2, Vote: 1}, done) })
	h.Save(7, State{Term: 2, Vote: 1, Commit: 9}, nil)
	joint := &pb.ConfState{Voters: []uint64{1, 4}, VotersOutgoing: []uint64{1, 2, 3}, Learners: []uint64{5}, LearnersNext: []uint64{2}, AutoLeave: new(true)}
	h.SaveConf(8, 77, joint, nil)
	h.Save(9, State{Term: 1}, nil)
	h.Remove(9)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := waitErr(func(done func(error)) { h.Save(7, State{Term: 3}, done) }); !errors.Is(err, ErrClosed) {
		t.Errorf("save after Close: %v", err)
	}
	h, rec = openHard(t, m)
	if rec != (Recovery{Groups: 2}) {
		t.Errorf("recovery: %+v", rec)
	}
	if g, _ := h.Load(7); g.State != (State{2, 1, 9}) || g.ConfIndex != 0 || !slices.Equal(g.Conf.Voters, []uint64{1, 2, 3}) {
		t.Errorf("group 7: %+v", g)
	}
	if g, _ := h.Load(8); g.ConfIndex != 77 || g.Conf.String() != joint.String() {
		t.Errorf("group 8: %+v", g)
	}
	if g, ok := h.Load(9); ok {
		t.Errorf("group 9 was removed and is %+v", g)
	}
}

// TestHardStatesPowerCut saves at random and cuts the power: what was
// acknowledged is there, or something saved later; nothing else.
func TestHardStatesPowerCut(t *testing.T) {
	r := random(t)
	mem := vfs.NewMem()
	h, _ := openHard(t, mem)
	type history struct {
		states []State // saved, oldest first
		acked  int     // states[:acked] were durable
	}
	model := map[uint64]*history{}
	for round := range 60 {
		for range r.IntN(60) {
			id := 1 + r.Uint64N(5)
			hist := model[id]
			if hist == nil {
				hist = &history{}
				model[id] = hist
			}
			s := State{Term: r.Uint64N(1 << 30), Vote: r.Uint64(), Commit: r.Uint64()}
			hist.states = append(hist.states, s)
			switch r.IntN(4) {
			case 0:
				wait(t, func(done func(error)) { h.Save(id, s, done) })
				for _, other := range model { // the log is ordered
					other.acked = len(other.states)
				}
			case 1:
				h.Save(id, s, nil)
				h.Checkpoint(nil)
			default:
				h.Save(id, s, nil)
			}
		}
		if r.IntN(3) == 0 { // a process that ends loses nothing it was told of, and may lose the rest
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			for _, hist := range model {
				hist.acked = len(hist.states)
			}
		}
		mem = mem.Crash(r.Uint64())
		h, _ = openHard(t, mem)
		for id, hist := range model {
			g, ok := h.Load(id)
			found := -1
			for i, s := range hist.states {
				if ok && s == g.State {
					found = i
				}
			}
			if found+1 < hist.acked {
				t.Fatalf("round %d: group %d has %+v (number %d of its %d), %d were acknowledged", round, id, g.State, found+1, len(hist.states), hist.acked)
			}
			hist.states = hist.states[:found+1]
			hist.acked = found + 1 // what was read after a restart must stay
		}
	}
}

// TestHardStatesReadStateStays: a process that ended left states in the page
// cache only; the next one has read them, so a power cut must not take them.
func TestHardStatesReadStateStays(t *testing.T) {
	for seed := range uint64(20) {
		mem := vfs.NewMem()
		h, _ := openHard(t, mem)
		h.Save(1, State{Term: 3, Vote: 2}, nil)
		h.Checkpoint(nil)
		settle(h)
		h, _ = openHard(t, mem) // the first process is gone, without a Close
		if g, _ := h.Load(1); g.State.Vote != 2 {
			t.Fatalf("a checkpoint is lost with the process: %+v", g)
		}
		h, _ = openHard(t, mem.Crash(seed))
		if g, _ := h.Load(1); g.State != (State{3, 2, 0}) {
			t.Fatalf("seed %d: %+v", seed, g)
		}
	}
}

func TestHardStatesTellTornFromCorrupt(t *testing.T) {
	m := vfs.NewMem()
	h, _ := openHard(t, m)
	for i := range uint64(4) {
		wait(t, func(done func(error)) { h.Save(1, State{Term: i + 1}, done) })
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	name, good := hardFile(t, m)
	open := func(data []byte) (*HardStates, Recovery, error) {
		return OpenHardStates(HardStatesOptions{FS: memWith(t, name, data), Dir: "hs", Logger: quiet})
	}
	for at := range good { // S6: every byte here has been synced, and the last record says so
		bad := slices.Clone(good)
		bad[at] ^= 0x10
		_, _, err := open(bad)
		lastRecord := at >= len(good)-recordHeaderSize
		var ce *segment.CorruptError
		switch {
		case lastRecord && err != nil:
			t.Fatalf("byte %d of the unsynced last record: %v", at, err)
		case lastRecord:
		case at >= 8 && at < 12: // hashed: damage, not a newer version
			fallthrough
		default:
			if !errors.As(err, &ce) || !errors.Is(err, segment.ErrCorrupt) || ce.Path != "hs/"+name {
				t.Fatalf("byte %d: want corruption, got %v", at, err)
			}
		}
	}
	for n := len(good) - recordHeaderSize + 1; n < len(good); n++ { // S5
		h, rec, err := open(good[:n])
		if err != nil || rec.TornBytes != int64(n-(len(good)-recordHeaderSize)) {
			t.Fatalf("cut to %d: %+v, %v", n, rec, err)
		}
		if g, _ := h.Load(1); g.State.Term != 4 {
			t.Fatalf("cut to %d: %+v", n, g)
		}
	}
	newer := appendFileHeader(nil, 1) // S3
	binary.LittleEndian.PutUint32(newer[8:], fileVersion+1)
	binary.LittleEndian.PutUint64(newer[24:], xxhash.Sum64(newer[:24]))
	m = memWith(t, fileName(1), newer)
	if _, _, err := OpenHardStates(HardStatesOptions{FS: m, Dir: "hs", Logger: quiet}); !errors.Is(err, segment.ErrNewerVersion) || errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("newer version: %v", err)
	}
	if _, b := hardFile(t, m); !bytes.Equal(b, newer) {
		t.Error("the file of a newer version was touched")
	}
}

func TestHardStatesRewrite(t *testing.T) {
	m := vfs.NewMem()
	h, _ := openHard(t, m)
	for g := range uint64(100) {
		h.SaveConf(g, 5, voters(1, 2, 3), nil)
	}
	for i := range uint64(40_000) {
		h.Save(i%100, State{Term: i, Vote: 2, Commit: 3}, nil)
		if i%1000 == 0 {
			wait(t, h.Checkpoint)
		}
	}
	h.mu.Lock()
	generation, end := h.generation, h.end
	h.mu.Unlock()
	if generation < 2 || end > 2*rewriteBytesMin {
		t.Errorf("generation %d, %d bytes: was not rewritten", generation, end)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if name, _ := hardFile(t, m); name != fileName(generation) { // S2: nothing is left over
		t.Errorf("file %s, want %s", name, fileName(generation))
	}
	h, _ = openHard(t, m.Crash(1))
	for g := range uint64(100) {
		if got, _ := h.Load(g); got.State != (State{39_900 + g, 2, 3}) || got.ConfIndex != 5 || len(got.Conf.Voters) != 3 {
			t.Fatalf("group %d: %+v", g, got)
		}
	}
}

func TestHardStatesRemoveLeftovers(t *testing.T) { // S2
	m := vfs.NewMem()
	h, _ := openHard(t, m)
	wait(t, func(done func(error)) { h.Save(1, State{Term: 5}, done) })
	name, data := hardFile(t, m)
	newer := appendState(appendFileHeader(nil, 2), 2, 0, 1, State{Term: 6})
	for n, b := range map[string][]byte{tmpName: data[:40], fileName(2): newer, "unrelated": nil} {
		if err := vfs.ReplaceFile(m, "hs", "x", n, b); err != nil {
			t.Fatal(err)
		}
	}
	h, _ = openHard(t, m)
	if g, _ := h.Load(1); g.State.Term != 6 {
		t.Errorf("group 1: %+v", g)
	}
	names, err := m.ReadDir("hs")
	if err != nil || !slices.Equal(names, []string{fileName(2), "unrelated"}) {
		t.Errorf("left: %v, %v (had %s)", names, err, name)
	}
}

func TestHardStatesPoisonedByFailedSync(t *testing.T) {
	broken := errors.New("injected")
	var fail atomic.Bool
	fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, _ string) error {
		if fail.Load() && op == vfs.OpDatasync {
			return broken
		}
		return nil
	})
	h, _ := openHard(t, fsys)
	wait(t, func(done func(error)) { h.Save(1, State{Term: 1}, done) })
	wait(t, h.Checkpoint)
	fail.Store(true)
	if err := waitErr(func(done func(error)) { h.Save(1, State{Term: 2}, done) }); !errors.Is(err, broken) {
		t.Errorf("failed sync: %v", err)
	}
	fail.Store(false)
	if err := waitErr(func(done func(error)) { h.Save(2, State{Term: 2}, done) }); !errors.Is(err, broken) {
		t.Errorf("a sync after a failed one proves nothing, got %v", err)
	}
	if err := h.Close(); !errors.Is(err, broken) {
		t.Errorf("close: %v", err)
	}
}

// TestHardStatesRewriteCrash makes every step of a rewrite fail in turn; what
// was acknowledged stays.
func TestHardStatesRewriteCrash(t *testing.T) {
	for step := 0; ; step++ {
		mem := vfs.NewMem()
		var count int
		armed := false
		fsys := vfs.NewFaulty(mem, func(op vfs.Op, name string) error {
			if armed {
				if count++; count > step {
					return fmt.Errorf("injected at step %d, %s %s", step, op, name)
				}
			}
			return nil
		})
		h, _ := openHard(t, fsys)
		wait(t, func(done func(error)) { h.SaveConf(1, 0, voters(1), done) })
		wait(t, func(done func(error)) { h.Save(1, State{Term: 7, Vote: 1}, done) })
		wait(t, h.Checkpoint)
		settle(h)
		armed = true
		h.mu.Lock()
		err := h.rewriteLocked()
		h.mu.Unlock()
		armed = false
		for seed := range uint64(8) {
			h2, _ := openHard(t, mem.Crash(seed))
			if g, _ := h2.Load(1); g.State != (State{7, 1, 0}) || len(g.Conf.Voters) != 1 {
				t.Fatalf("step %d seed %d: %+v", step, seed, g)
			}
		}
		if err == nil && count <= step {
			if step < 4 {
				t.Fatalf("the rewrite has %d steps", step)
			}
			return
		}
	}
}

// TestFormatExample parses the hex dump of FORMAT.md and writes it anew.
func TestFormatExample(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for line := range strings.Lines(string(doc)) {
		f := strings.Fields(line)
		if !strings.HasPrefix(line, "    0") || f[0] != fmt.Sprintf("%04x", len(want)) {
			continue
		}
		for _, x := range f[1:min(17, len(f))] {
			b, err := hex.DecodeString(x)
			if err != nil || len(b) != 1 {
				break
			}
			want = append(want, b...)
		}
	}
	got := appendFileHeader(nil, 1)
	got = appendConf(got, 1, 32, 7, &Group{Conf: voters(1)})
	got = appendState(got, 1, 32, 7, State{Term: 2, Vote: 1})
	if !bytes.Equal(want, got) {
		t.Fatalf("FORMAT.md says\n%swe write\n%s", hex.Dump(want), hex.Dump(got))
	}
	groups := map[uint64]*Group{}
	if end, _, err := scan("x", want, 1, groups); err != nil || end != int64(len(want)) {
		t.Fatalf("scan: %d, %v", end, err)
	}
	if g := groups[7]; g == nil || g.State != (State{2, 1, 0}) || !slices.Equal(g.Conf.Voters, []uint64{1}) {
		t.Errorf("group 7: %+v", g)
	}
}

// FuzzScan. Invariants checked: no panic; what is accepted is a prefix that
// scans again to the same groups.
func FuzzScan(f *testing.F) {
	b := appendFileHeader(nil, 1)
	b = appendConf(b, 1, 32, 7, &Group{ConfIndex: 3, Conf: &pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}})
	b = appendState(b, 1, 32, 7, State{1, 2, 3})
	b = appendRemoved(b, 1, 32, 8)
	f.Add(appendSynced(b, 1, int64(len(b))))
	f.Add(b[:len(b)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		groups, again := map[uint64]*Group{}, map[uint64]*Group{}
		end, _, err := scan("x", data, 1, groups)
		if err != nil {
			return
		}
		if e, _, err := scan("x", data[:end], 1, again); err != nil || e != end || len(again) != len(groups) {
			t.Fatalf("scan of the accepted prefix: %d of %d, %v", e, end, err)
		}
	})
}

// TestHardStatesOnAFullDisk: a save that finds no room is refused, kept, and written with the next one that finds some;
// a sync that fails is final, whatever its reason.
func TestHardStatesOnAFullDisk(t *testing.T) {
	m := vfs.NewMem()
	h, _ := openHard(t, m)
	wait(t, func(done func(error)) { h.SaveConf(7, 0, voters(1), done) })
	wait(t, func(done func(error)) { h.Save(7, State{Term: 2, Vote: 1}, done) })
	settle(h)
	u, err := m.Usage("hs")
	if err != nil {
		t.Fatal(err)
	}
	m.SetCapacity(u.Total - u.Free)
	for term := uint64(3); term < 2000; term++ {
		if err := waitErr(func(done func(error)) { h.Save(7, State{Term: term, Vote: 1}, done) }); !errors.Is(err, vfs.ErrNoSpace) || !DiskFull(err) {
			t.Fatalf("term %d: %v", term, err)
		}
		h.Save(8, State{Term: term}, nil)
	}
	h.mu.Lock()
	if n := len(h.buf); n > bufferBytesMax {
		t.Errorf("%d bytes wait for room", n)
	}
	h.mu.Unlock()
	if h2, _ := openHard(t, m.Crash(1)); h2 != nil {
		if g, _ := h2.Load(7); g.State.Term != 2 {
			t.Errorf("after a power cut without room: %+v", g.State)
		}
	}
	m.SetCapacity(0)
	wait(t, h.Checkpoint)
	wait(t, func(done func(error)) { h.Save(8, State{Term: 2000, Vote: 1}, done) })
	settle(h)
	hardFile(t, m) // one file: what was tried and failed has left nothing
	h2, _ := openHard(t, m.Crash(2))
	for group, want := range map[uint64]State{7: {Term: 1999, Vote: 1}, 8: {Term: 2000, Vote: 1}} {
		if g, _ := h2.Load(group); g.State != want {
			t.Errorf("group %d after a power cut: %+v, want %+v", group, g.State, want)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}

	var on atomic.Bool
	h, _ = openHard(t, vfs.NewFaulty(m, func(op vfs.Op, _ string) error {
		if on.Load() && op == vfs.OpDatasync {
			return vfs.ErrNoSpace
		}
		return nil
	}))
	save := func(done func(error)) { h.Save(7, State{Term: 3000}, done) }
	on.Store(true)
	first := waitErr(save)
	on.Store(false)
	if second := waitErr(save); !errors.Is(first, wal.ErrPoisoned) || DiskFull(first) || !errors.Is(second, wal.ErrPoisoned) {
		t.Errorf("a failed sync: %v, then %v", first, second)
	}
	_ = h.Close() // it says the same again
}

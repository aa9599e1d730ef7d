package wal

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"chronik/internal/vfs"
)

// clone copies the model; entries are never changed in place.
func (m *model) clone() model {
	c := *m
	c.entries = slices.Clone(m.entries)
	return c
}

// shows tells whether the log is what the model says, except that entries
// which were not synced may be missing from the end on.
func (m *model) shows(l *Log) error {
	first, last := l.FirstIndex(), l.LastIndex()
	if first < m.first || last > m.last() || first > last+1 {
		return fmt.Errorf("entries [%d, %d], model [%d, %d]", first, last, m.first, m.last())
	}
	if last < m.synced {
		return fmt.Errorf("last %d, synced %d", last, m.synced)
	}
	if l.StartOffset() != m.start {
		return fmt.Errorf("start %d, model %d", l.StartOffset(), m.start)
	}
	if first > m.first && m.entries[first-m.first-1].Next() > m.start {
		return fmt.Errorf("first %d was dropped below start %d", first, m.start)
	}
	if last < first {
		return nil
	}
	got, err := l.Entries(first, last+1, 1<<40, nil)
	if err != nil {
		return err
	}
	for i, e := range got {
		if !same(e, m.entries[first-m.first+Index(i)]) {
			return fmt.Errorf("entry %d differs", e.Index)
		}
	}
	if next := got[len(got)-1].Next(); l.NextOffset() != next {
		return fmt.Errorf("next offset %d, want %d", l.NextOffset(), next)
	}
	return nil
}

// TestCrashAtEveryStep loses power before every call that any operation makes
// on the disk. What is found is the log before the operation or after it, less
// what was not synced. CHRONIK_SEED replays one seed, CHRONIK_CRASHES runs more.
func TestCrashAtEveryStep(t *testing.T) {
	first, count := uint64(1), uint64(15)
	if s := os.Getenv("CHRONIK_CRASHES"); s != "" {
		count, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("CHRONIK_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		count = 1
	}
	images := 0
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		images += crashSteps(t, seed)
	}
	t.Logf("%d crash images", images)
	if images < int(count)*20 {
		t.Errorf("only %d crash images", images)
	}
}

type crashImage struct {
	fs *vfs.Mem
	at string
}

func crashSteps(t *testing.T, seed uint64) int {
	h := &harness{t: t, r: rand.New(rand.NewPCG(seed, 2)), fs: vfs.NewMem(), size: 16 << 10, m: model{first: 1, term: 1}}
	crashes := rand.New(rand.NewPCG(seed, 3))
	var images []crashImage
	h.rule = func(op vfs.Op, name string) error {
		if op != vfs.OpRead && op != vfs.OpMap && op != vfs.OpStat {
			images = append(images, crashImage{h.fs.Crash(crashes.Uint64()), fmt.Sprint(op, " ", name)})
		}
		return nil
	}
	h.open()
	images = nil // TestOpenState1Empty has creation
	total := 0
	for range 60 {
		before := h.m.clone()
		step := h.step()
		after := h.m.clone()
		// Until the operation has returned, only what was synced before it
		// counts, and of that only what it leaves.
		after.synced = min(before.synced, after.last())
		for _, c := range images {
			total++
			l, _, err := Open(Options{FS: c.fs, Dir: "/log", SegmentBytes: func() int64 { return h.size }})
			if err != nil {
				t.Fatalf("seed %d, %s, crash before %s: %v", seed, step, c.at, err)
			}
			asBefore, asAfter := before.shows(l), after.shows(l)
			if asBefore != nil && asAfter != nil {
				t.Fatalf("seed %d, %s, crash before %s: not as before: %v; nor as after: %v\nreplay: CHRONIK_SEED=%d go test ./wal -run TestCrashAtEveryStep",
					seed, step, c.at, asBefore, asAfter, seed)
			}
			if err := l.Append(h.batchAfter(l)); err != nil {
				t.Fatalf("seed %d, %s, crash before %s: append: %v", seed, step, c.at, err)
			}
		}
		images = nil
	}
	return total
}

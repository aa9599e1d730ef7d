package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"chronik/internal/crashtest"
	"chronik/internal/vfs"
)

// The campaign over files of segments, with a catalog that is never wrong in
// the place of the manifest.
var campaign = crashtest.Campaign{
	Package: "./segment",
	New:     newCrashFiles,
	Steps:   40,
	Kinds:   []string{"create", "append", "extend", "sync", "seal", "trim", "cut", "mark", "recover", "power", "recycle"},
	Seeds:   6,
	Fewer:   10,
}

// TestCrashCampaign loses power before every call of every operation, and
// during the recoveries from that.
func TestCrashCampaign(t *testing.T) { campaign.Crash(t) }

// TestFaultCampaign makes every call of such runs fail.
func TestFaultCampaign(t *testing.T) {
	c := campaign
	c.Steps, c.Seeds, c.Again = 15, 1, 8
	c.Fail(t)
}

type crashFiles struct {
	r      *rand.Rand
	disk   *crashtest.Disk
	nextID uint64

	mu   sync.Mutex // what Now reads
	file *crashFile // nil: none
	old  *Segment   // sealed, in no catalog any more: to be used again
}

// crashFile is a segment in the catalog.
type crashFile struct {
	meta   Meta
	active *Active  // nil: sealed, or to be recovered
	sealed *Segment // nil: active
	all    []Entry  // what is in it, less perhaps the end
	acked  int
	maybe  []Entry // and these, which an append that failed may have left
	name   string
}

func newCrashFiles(seed uint64, disk *crashtest.Disk) crashtest.Workload {
	disk.MkdirAll("/d")
	return &crashFiles{r: rand.New(rand.NewPCG(seed, 2)), disk: disk}
}

// Step implements crashtest.Workload.
func (w *crashFiles) Step() (string, error) {
	f := w.file
	switch k := w.r.IntN(100); {
	case k >= 97 && f != nil:
		w.old, f.active = nil, nil
		w.disk.Cut(w.r.Uint64())
		if f.sealed == nil {
			return "power", w.recover(f)
		}
		w.publish(f, f.meta, len(f.all))
		return "power", f.shows(f.sealed)
	case f == nil && w.old != nil && k < 70:
		return "recycle", w.recycle()
	case f == nil:
		return "create", w.create()
	case f.sealed != nil:
		return w.stepSealed(f, k)
	case f.active == nil:
		return "recover", w.recover(f)
	case k < 45:
		return "append", w.append(f)
	case k < 52:
		return "extend", f.active.Extend()
	case k < 72:
		return "sync", w.sync(f)
	case k < 78:
		err := w.sync(f)
		if err == nil {
			err = f.active.Mark()
		}
		w.drop(f)
		return "mark", err
	case k < 86 || len(f.all) == 0:
		w.drop(f)
		return "recover", w.recover(f)
	}
	return "seal", w.seal(f)
}

func (w *crashFiles) stepSealed(f *crashFile, k int) (string, error) {
	switch {
	case k < 40 && f.active != nil:
		return "trim", f.active.Trim(f.meta)
	case k < 70:
		n := 1 + w.r.IntN(int(f.meta.Frames))
		meta, err := f.sealed.Cut(n)
		if err == nil {
			w.publish(f, meta, n)
		}
		return "cut", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file = nil
	if f.active != nil {
		f.active.Release()
	}
	if w.old != nil {
		w.old.Release()
	}
	w.old = f.sealed
	return "", nil
}

func (w *crashFiles) options() CreateOptions {
	w.nextID++
	return CreateOptions{FS: w.disk, Path: fmt.Sprint("/d/", w.nextID), ID: w.nextID, Salt: w.r.Uint32(), BaseIndex: 5, PrevTerm: 2, BaseOffset: 50, Now: 9,
		Capacity: 16 << 10 << w.r.IntN(3)}
}

func (w *crashFiles) create() error {
	a, err := Create(w.options())
	if err == nil {
		err = w.disk.SyncDir("/d")
	}
	if err != nil {
		return err
	}
	w.begin(a)
	return nil
}

func (w *crashFiles) begin(a *Active) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file = &crashFile{meta: a.Meta(), active: a, name: a.Path()}
}

// recycle begins a segment in the file of another.
func (w *crashFiles) recycle() error {
	o, old := w.options(), w.old
	w.old = nil
	if !old.Retire() {
		return crashtest.Wrongf("somebody holds %s", old.Path())
	}
	sp, err := Recycle(w.disk, old.Path(), old.Meta(), o.Path, o.ID, 1<<20)
	if err == nil {
		err = w.disk.SyncDir("/d")
	}
	if err != nil {
		return err
	}
	a, err := sp.Begin(o)
	if err == nil {
		err = a.Sync()
	}
	if err != nil {
		return err
	}
	w.begin(a)
	return nil
}

func (w *crashFiles) append(f *crashFile) error {
	var list []Entry
	index, term, next := f.active.NextIndex(), f.active.LastTerm(), f.active.NextOffset()
	for range 1 + w.r.IntN(4) {
		term += Term(w.r.IntN(8) / 7)
		e := Entry{Index: index, Term: term, Kind: KindData, BaseOffset: next, Count: w.r.Uint32N(4), MaxTimestamp: int64(w.r.IntN(100)),
			Payload: bytesOf([]int{40, 40, w.r.IntN(1200)}[w.r.IntN(3)], byte(w.r.Uint32()))}
		list = append(list, e)
		index, next = index+1, e.Next()
	}
	if err := f.active.Err(); err != nil { // it must refuse, and leaves what there is
		if n, err := f.active.Append(list, 9); n > 0 || !errors.Is(err, ErrPoisoned) {
			return crashtest.Wrongf("append to a poisoned segment: %d, %v", n, err)
		}
		return err
	}
	w.mu.Lock()
	f.maybe = list
	w.mu.Unlock()
	n, err := f.active.Append(list, 9)
	w.mu.Lock()
	defer w.mu.Unlock()
	f.all = slices.Concat(f.all, list[:n])
	if f.maybe = nil; err != nil {
		f.maybe = list[n:]
	}
	return err
}

func (w *crashFiles) sync(f *crashFile) error {
	was := f.active.Err()
	err := f.active.Sync()
	if was != nil && err == nil {
		return crashtest.Wrongf("sync of a poisoned segment: no error, after %v", was)
	}
	if err == nil {
		w.mu.Lock()
		f.acked = len(f.all)
		w.mu.Unlock()
	}
	return err
}

func (w *crashFiles) seal(f *crashFile) error {
	n := 1 + w.r.IntN(len(f.all))
	meta, err := f.active.Seal(n, bytesOf(w.r.IntN(40), 7))
	if err != nil {
		return err
	}
	w.publish(f, meta, n)
	return nil
}

// publish puts a sealed segment into the catalog.
func (w *crashFiles) publish(f *crashFile, meta Meta, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.sealed != nil {
		f.sealed.Release()
	}
	f.meta, f.sealed, f.all, f.acked, f.maybe = meta, OpenSealed(w.disk, nil, f.name, meta), f.all[:n:n], n, nil
}

// drop forgets the open segment, as the end of a process does.
func (w *crashFiles) drop(f *crashFile) { f.active = nil }

func (w *crashFiles) recover(f *crashFile) error {
	a, _, err := Recover(RecoverOptions{FS: w.disk, Path: f.name, Meta: f.meta, Capacity: 32 << 10})
	if err != nil {
		return err
	}
	if err := f.shows(a.Segment); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f.all = slices.Concat(f.all, f.maybe)[:a.Frames()]
	f.active, f.acked, f.maybe = a, len(f.all), nil
	return nil
}

// shows compares a segment with the model.
func (f *crashFile) shows(s *Segment) error {
	want := slices.Concat(f.all, f.maybe)
	if n := s.Frames(); n < f.acked || n > len(want) {
		return crashtest.Wrongf("%s: %d frames, acknowledged %d of %d", f.name, n, f.acked, len(want))
	}
	for i := range s.Frames() {
		var e Entry
		if err := s.Frame(i, &e); err != nil {
			return err
		}
		if fmt.Sprint(e) != fmt.Sprint(want[i]) {
			return crashtest.Wrongf("%s: frame %d is %.90v", f.name, i, fmt.Sprint(e))
		}
	}
	return nil
}

// End implements crashtest.Workload.
func (w *crashFiles) End() {}

// Now implements crashtest.Workload.
func (w *crashFiles) Now() crashtest.Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return func(_ vfs.FS, settled func(string)) error { settled(""); return nil }
	}
	f := *w.file
	return func(fsys vfs.FS, settled func(string)) error {
		var b strings.Builder
		if f.sealed != nil {
			s := OpenSealed(fsys, nil, f.name, f.meta)
			defer s.Release()
			if err := f.shows(s); err != nil {
				return err
			}
			settled(fmt.Sprint(s.Frames()))
			return nil
		}
		a, _, err := Recover(RecoverOptions{FS: fsys, Path: f.name, Meta: f.meta, Capacity: 32 << 10})
		if err != nil {
			return err
		}
		defer a.Release()
		if err := f.shows(a.Segment); err != nil {
			return err
		}
		fmt.Fprint(&b, a.Frames(), a.End(), a.NextOffset(), a.LastTerm())
		settled(b.String())
		return f.goOn(fsys, a)
	}
}

// goOn appends to a segment that was recovered, syncs, and recovers again.
func (f *crashFile) goOn(fsys vfs.FS, a *Active) error {
	n := a.Frames()
	e := Entry{Index: a.NextIndex(), Term: a.LastTerm(), Kind: KindData, BaseOffset: a.NextOffset(), MaxTimestamp: -1, Payload: []byte("on")}
	added, err := a.Append([]Entry{e}, 1)
	if err != nil {
		return err
	}
	if err := errors.Join(a.Sync(), a.Mark()); err != nil {
		return err
	}
	b, rec, err := Recover(RecoverOptions{FS: fsys, Path: f.name, Meta: f.meta, Capacity: 32 << 10})
	if err != nil {
		return err
	}
	defer b.Release()
	if b.Frames() != n+added || rec.TornBytes != 0 {
		return crashtest.Wrongf("%s: %d frames and %d more; then %d, %+v", f.name, n, added, b.Frames(), rec)
	}
	return nil
}

package crashtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
)

// manyRuns is how many runs must have hit everything that there is.
const manyRuns = 50

// manyFaults is how many runs with a fault must have had every call fail.
const manyFaults = 2000

// Workload is a store on a disk beside a model of it.
type Workload interface {
	// Step does one random operation on the store and in the model, and
	// returns when nothing of it runs any more. kind names it, "" for nothing.
	// The error is the store's; one that no injected fault explains fails the
	// test, and so does a contradiction, which is a *Wrong.
	Step() (kind string, err error)
	// Now is asked before every call that changes the disk, by whoever makes
	// it, with locks of the store held. It returns the check of a disk as it
	// is now.
	Now() Check
	// End lets go of the store as a process does that is killed: what it
	// leaves on the disk stays, goroutines end.
	End()
}

// Check opens the store on a disk and compares what is there with the model as
// it was when the Check was made: everything acknowledged, and nothing but what
// was written. Then it calls settled with a description of all that it found,
// and goes on with the store to see that it works.
type Check func(fsys vfs.FS, settled func(found string)) error

// Wrong is a contradiction between store and model.
type Wrong struct{ What string }

func (w *Wrong) Error() string { return w.What }

// Wrongf makes a *Wrong.
func Wrongf(format string, args ...any) error { return &Wrong{fmt.Sprintf(format, args...)} }

// Campaign is a workload and how much of it.
type Campaign struct {
	Package string // as go test wants it, for the command that replays
	New     func(seed uint64, disk *Disk) Workload
	Steps   int      // of a seed
	Kinds   []string // of operations that must have been hit, if there were many runs
	Seeds   int      // when CHRONIK_CRASHES does not say
	// One in so many images has every step of its recovery crashed again; 0: 4.
	Again int
	// Of so many seeds that CHRONIK_CRASHES asks for, Fail runs one; 0: 1.
	Fewer int
	// And Crash one of so many; 0: 1.
	Seldom int
}

// image is what a power cut leaves.
type image struct {
	fs    *vfs.Mem
	check Check
	call  string
}

// tally counts what was checked.
type tally struct {
	mu     sync.Mutex
	kinds  map[string]int // images by operation
	calls  map[string]int // and by the call before which power was lost
	again  int            // images of a recovery that lost power
	stable int            // images of a power cut right after a recovery
	faults map[string]int // calls that failed
	runs   int
}

func newTally() *tally {
	return &tally{kinds: map[string]int{}, calls: map[string]int{}, faults: map[string]int{}}
}

func (y *tally) add(o *tally) {
	y.mu.Lock()
	defer y.mu.Unlock()
	sum(y.kinds, o.kinds)
	sum(y.calls, o.calls)
	sum(y.faults, o.faults)
	y.again, y.stable, y.runs = y.again+o.again, y.stable+o.stable, y.runs+o.runs
}

func sum(into, from map[string]int) {
	for k, n := range from {
		into[k] += n
	}
}

func table(m map[string]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s %d, ", k, m[k])
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// Crash loses power before every call that changes the disk. CHRONIK_CRASHES
// says how many seeds, CHRONIK_SEED names one.
func (c *Campaign) Crash(t *testing.T) {
	y := c.each(t, max(1, c.Seldom), func(seed uint64, y *tally) error { return c.run(seed, nil, y) })
	total := 0
	for _, n := range y.kinds {
		total += n
	}
	t.Logf("%d crash images in %d runs, by operation: %s", total, y.runs, table(y.kinds))
	t.Logf("by the call before which power was lost: %s", table(y.calls))
	t.Logf("%d crashes during the recovery from a crash, %d right after one", y.again, y.stable)
	if y.runs < manyRuns || t.Failed() {
		return
	}
	for _, kind := range c.Kinds {
		if y.kinds[kind] == 0 {
			t.Errorf("no image of operation %q: it was never hit", kind)
		}
	}
	if y.again == 0 || y.stable == 0 {
		t.Error("no recovery was crashed")
	}
}

// Fail makes every call that changes the disk fail in turn, and some of the
// others, in the ways they can, and loses power at the steps that follow.
func (c *Campaign) Fail(t *testing.T) {
	y := c.each(t, max(1, c.Fewer), func(seed uint64, y *tally) error {
		d := newDisk(vfs.NewMem())
		if err := c.steps(seed, d, newTally(), nil); err != nil {
			return fmt.Errorf("without a fault: %w", err)
		}
		r := rand.New(rand.NewPCG(seed, 5))
		for at, op := range d.calls {
			if !changing(op) && r.IntN(4) > 0 { // there are many, and little hangs on them
				continue
			}
			f := &fault{at: at, calls: 1, kind: r.IntN(kindsOfFault), seen: y.faults}
			if r.IntN(3) == 0 {
				f.calls = 1 + r.IntN(8)
			}
			if err := c.run(seed, f, y); err != nil {
				return fmt.Errorf("with %s: %w", f.fired, err)
			}
		}
		return nil
	})
	t.Logf("%d runs with a fault; calls that failed: %s", y.runs, table(y.faults))
	t.Logf("crash images after a fault, by operation: %s", table(y.kinds))
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpDatasync, vfs.OpSyncDir, vfs.OpRename, vfs.OpCreate} {
		if y.runs >= manyFaults && y.faults[string(op)] == 0 && !t.Failed() {
			t.Errorf("no %s failed", op)
		}
	}
}

// each runs f for every seed, on as many processors as there are, and reports
// the first failure with the command that replays it.
func (c *Campaign) each(t *testing.T, fewer int, f func(seed uint64, y *tally) error) *tally {
	t.Helper()
	first, count := uint64(1), uint64(c.Seeds)
	if s := os.Getenv("CHRONIK_CRASHES"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CHRONIK_CRASHES: %v", err)
		}
		count = max(1, n/uint64(fewer))
	}
	if s := os.Getenv("CHRONIK_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CHRONIK_SEED: %v", err)
		}
		first, count = n, 1
	}
	total := newTally()
	var next atomic.Uint64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range min(uint64(runtime.GOMAXPROCS(0)), count) {
		wg.Go(func() {
			for !stop.Load() {
				n := next.Add(1) - 1
				if n >= count {
					return
				}
				seed, y := first+n, newTally()
				if err := f(seed, y); err != nil {
					stop.Store(true)
					t.Errorf("seed %d: %v\nreplay: CHRONIK_SEED=%d go test %s -count=1 -run '^%s$'", seed, err, seed, c.Package, t.Name())
				}
				total.add(y)
			}
		})
	}
	wg.Wait()
	return total
}

// run is one run of the workload with all its crashes, with a fault or without.
func (c *Campaign) run(seed uint64, f *fault, y *tally) error {
	d := newDisk(vfs.NewMem())
	d.fault = f
	r := rand.New(rand.NewPCG(seed, 3))
	y.runs++
	return c.steps(seed, d, y, r)
}

// stepsAfterFault is how long a run goes on with a store that has had a fault.
const stepsAfterFault = 8

// steps does the workload's steps and checks the images of each. Without a
// source nothing is crashed.
func (c *Campaign) steps(seed uint64, d *Disk, y *tally, r *rand.Rand) error {
	w := c.New(seed, d)
	defer w.End()
	var images []image
	if r != nil {
		cuts := rand.New(rand.NewPCG(seed, 4))
		d.watch = func(call string) {
			if d.fault == nil || d.fault.fired != "" {
				check := w.Now() // before the image: what is acknowledged meanwhile is in it or not
				images = append(images, image{d.Mem.Crash(cuts.Uint64()), check, call})
			}
		}
	}
	left := c.Steps
	for step := 0; step < left; step++ {
		kind, err := w.Step()
		d.mu.Lock()
		taken := images
		images = nil
		fired := d.fault != nil && d.fault.fired != ""
		d.mu.Unlock()
		var wrong *Wrong
		switch {
		case errors.As(err, &wrong):
			return fmt.Errorf("step %d (%s): %w", step, kind, err)
		case err != nil && !fired:
			return fmt.Errorf("step %d (%s) failed, and no call did: %w", step, kind, err)
		}
		if fired {
			left = min(left, step+1+stepsAfterFault)
		}
		for i := range taken {
			if err := c.look(&taken[i], y, r, i); err != nil {
				return fmt.Errorf("step %d (%s), power lost before %s: %w", step, kind, taken[i].call, err)
			}
			y.kinds[cmp.Or(kind, "between operations")]++
			op, _, _ := strings.Cut(taken[i].call, " ")
			y.calls[op]++
		}
	}
	if d.fault == nil {
		return nil
	}
	d.mu.Lock()
	d.watch, d.fault = nil, nil
	d.mu.Unlock()
	check := w.Now()
	w.End()
	if err := c.settle(d.Mem, check, y, r); err != nil {
		return fmt.Errorf("process killed after step %d: %w", left, err)
	}
	return nil
}

// look checks one image, and of some what a second crash leaves.
func (c *Campaign) look(m *image, y *tally, r *rand.Rand, n int) error {
	again := c.Again
	if again == 0 {
		again = 4
	}
	if r.IntN(again) > 0 {
		return m.check(m.fs, func(string) {})
	}
	return c.settle(m.fs, m.check, y, r)
}

// settle checks a disk with every step of its recovery crashed, and that what
// a recovery has shown stays.
func (c *Campaign) settle(fs *vfs.Mem, check Check, y *tally, r *rand.Rand) error {
	d := newDisk(fs)
	var during []image
	d.watch = func(call string) { during = append(during, image{fs: fs.Crash(r.Uint64()), call: call}) }
	var after []*vfs.Mem
	found := ""
	err := check(d, func(f string) {
		found = f
		d.mu.Lock()
		d.watch = nil
		d.mu.Unlock()
		for range 2 {
			after = append(after, fs.Crash(r.Uint64()))
		}
	})
	if err != nil {
		return err
	}
	for i := range during {
		y.again++
		if err := check(during[i].fs, func(string) {}); err != nil {
			return fmt.Errorf("and lost again during recovery, before %s: %w", during[i].call, err)
		}
	}
	for _, m := range after {
		y.stable++
		again := ""
		if err := check(m, func(f string) { again = f }); err != nil {
			return fmt.Errorf("and lost again after recovery: %w", err)
		}
		if again != found {
			return fmt.Errorf("and lost again after recovery, which had shown\n\t%s\nthere is\n\t%s", found, again)
		}
	}
	return nil
}

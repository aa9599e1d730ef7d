package flush

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"chronik/internal/clock"
	"chronik/internal/vfs"
)

// journal is what was called, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// take returns the lines so far and forgets them.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// fake is a member.
type fake struct {
	name            string
	dev             vfs.Device
	idle            bool
	j               *journal
	waitErr, synErr error
	fs              vfs.FS
	begun           func()
	ended           chan error // buffered
}

func (f *fake) Begin(alone bool) (vfs.Device, bool) {
	f.j.add("begin " + f.name)
	if f.begun != nil {
		f.begun()
	}
	if alone {
		f.j.add("alone " + f.name)
	}
	return f.dev, !f.idle
}
func (f *fake) StartOut() {
	for range 20 { // let the others go ahead if they do not wait for this
		runtime.Gosched()
	}
	f.j.add("start " + f.name)
}
func (f *fake) WaitOut() error { f.j.add("wait " + f.name); return f.waitErr }
func (f *fake) Sync() error    { f.j.add("sync " + f.name); return f.synErr }
func (f *fake) End(err error) {
	f.j.add("end " + f.name)
	f.ended <- err
}
func (f *fake) OpenClean() (vfs.File, error) {
	f.j.add("open " + f.name)
	return f.fs.Open(fmt.Sprint("clean", f.dev))
}

// rig is a syncer with one round of these members at a time.
type rig struct {
	t        *testing.T
	j        journal
	s        *Syncer
	rounds   []Round
	flushErr map[string]error // by file
	openErr  error
	fs       vfs.FS
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, flushErr: map[string]error{}}
	mem := vfs.NewMem()
	for dev := range 3 {
		if _, err := mem.Create(fmt.Sprint("clean", dev)); err != nil {
			t.Fatal(err)
		}
	}
	r.fs = vfs.NewFaulty(mem, func(op vfs.Op, name string) error {
		switch op {
		case vfs.OpDatasync:
			r.j.add("flush " + name)
			return r.flushErr[name]
		case vfs.OpOpen:
			return r.openErr
		}
		return nil
	})
	r.s = New(Options{Parallel: 1, Clock: clock.Real, Observe: func(n Round) { r.rounds = append(r.rounds, n) }})
	t.Cleanup(r.s.Close)
	return r
}

func (r *rig) member(name string, dev vfs.Device) *fake {
	return &fake{name: name, dev: dev, j: &r.j, fs: r.fs, ended: make(chan error, 1)}
}

// round has the members in one round and returns the calls and what each was
// told. A member that gathers them holds the round before, which is of it alone.
func (r *rig) round(members ...*fake) (calls []string, errs []error) {
	gather := r.member("gather", 0)
	gather.begun = func() {
		for _, m := range members {
			if !r.s.Add(m, false) {
				r.t.Error("the syncer is closed")
			}
		}
	}
	r.s.Add(gather, false)
	<-gather.ended
	for _, m := range members {
		if m.idle {
			errs = append(errs, nil)
			continue
		}
		errs = append(errs, <-m.ended)
	}
	for _, c := range r.j.take() {
		if !strings.HasSuffix(c, " gather") {
			calls = append(calls, c)
		}
	}
	return calls, errs
}

func (r *rig) want(what string, got, want any) {
	r.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// TestRound: write-outs are begun, waited for, and then share one flush; the
// others are synced each by itself.
func TestRound(t *testing.T) {
	r := newRig(t)
	a, b, c, d, idle := r.member("a", 1), r.member("b", 0), r.member("c", 1), r.member("d", 0), r.member("idle", 1)
	idle.idle = true
	calls, errs := r.round(a, b, c, idle, d)
	r.want("errors", errs, []error{nil, nil, nil, nil, nil})
	r.want("calls", calls, []string{
		"begin a", "begin b", "begin c", "begin idle", "begin d",
		"start a", "start c", "wait a", "wait c", "open a", "flush clean1", "end a", "end c",
		"sync b", "end b", "sync d", "end d"})
	calls, _ = r.round(c, a)
	r.want("second round", calls, []string{"begin c", "begin a", "start c", "start a", "wait c", "wait a", "flush clean1", "end c", "end a"})
	calls, _ = r.round(a)
	r.want("alone", calls, []string{"begin a", "alone a", "wait a", "flush clean1", "end a"})
	r.s.Close()
	var logs, flushed []int
	for _, n := range r.rounds {
		logs, flushed = append(logs, n.Logs), append(flushed, n.Flushed)
	}
	r.want("logs of rounds", logs, []int{1, 4, 1, 2, 1, 1})
	r.want("flushed", flushed, []int{0, 2, 0, 2, 0, 1})
}

// TestDevices: each device has its own flush, and its own failures.
func TestDevices(t *testing.T) {
	r := newRig(t)
	broken := errors.New("broken")
	r.flushErr["clean2"] = broken
	a, b, c := r.member("a", 1), r.member("b", 2), r.member("c", 1)
	calls, errs := r.round(a, b, c)
	r.want("errors", errs, []error{nil, broken, nil})
	r.want("flushes", slices.DeleteFunc(calls, func(c string) bool { return !strings.HasPrefix(c, "flush") }), []string{"flush clean1", "flush clean2"})
}

// TestErrors: what fails for whom.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		do    func(r *rig, a, b, s *fake)
		errs  []error
		calls []string // after the write-outs have begun
	}{
		{"write-out", func(r *rig, a, b, s *fake) { a.waitErr = broken }, []error{broken, nil, nil},
			[]string{"wait a", "wait b", "end a", "open b", "flush clean1", "end b", "sync s", "end s"}},
		{"second write-out", func(r *rig, a, b, s *fake) { b.waitErr = broken }, []error{nil, broken, nil},
			[]string{"wait a", "wait b", "open a", "flush clean1", "end a", "end b", "sync s", "end s"}},
		{"all write-outs", func(r *rig, a, b, s *fake) { a.waitErr, b.waitErr = broken, broken }, []error{broken, broken, nil},
			[]string{"wait a", "wait b", "end a", "end b", "sync s", "end s"}},
		{"sync", func(r *rig, a, b, s *fake) { s.synErr = broken }, []error{nil, nil, broken},
			[]string{"wait a", "wait b", "open a", "flush clean1", "end a", "end b", "sync s", "end s"}},
		{"flush", func(r *rig, a, b, s *fake) { r.flushErr["clean1"] = broken }, []error{broken, broken, nil},
			[]string{"wait a", "wait b", "open a", "flush clean1", "end a", "end b", "sync s", "end s"}},
		{"no file to flush", func(r *rig, a, b, s *fake) { r.openErr, a.synErr = broken, broken }, []error{broken, nil, nil},
			[]string{"wait a", "wait b", "open a", "sync a", "sync b", "end a", "end b", "sync s", "end s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			a, b, s := r.member("a", 1), r.member("b", 1), r.member("s", 0)
			c.do(r, a, b, s)
			calls, errs := r.round(a, b, s)
			r.want("errors", errs, c.errs)
			r.want("calls", calls[5:], c.calls)
		})
	}
}

// TestFlushFailedFile: the file whose flush has failed is not asked again.
func TestFlushFailedFile(t *testing.T) {
	r := newRig(t)
	a, b := r.member("a", 1), r.member("b", 1)
	r.flushErr["clean1"] = errors.New("broken")
	r.round(a, b)
	delete(r.flushErr, "clean1")
	calls, errs := r.round(b, a)
	r.want("errors", errs, []error{nil, nil})
	r.want("calls", calls[6:], []string{"open b", "flush clean1", "end b", "end a"})
}

// TestLead: who waits runs the round of his own member, and of nobody else's,
// if there is none under way; if there is one, he has it do his.
func TestLead(t *testing.T) {
	r := newRig(t)
	a, b, c := r.member("a", 1), r.member("b", 1), r.member("c", 1)
	a.begun = func() {
		r.s.Add(b, true)
		r.s.Add(c, false)
		r.j.add("added")
	}
	r.s.Add(a, true)
	select {
	case <-a.ended:
	default:
		t.Fatal("the caller did not run the round")
	}
	<-b.ended
	<-c.ended
	r.want("calls", r.j.take(), []string{"begin a", "added", "alone a", "wait a", "open a", "flush clean1", "end a",
		"begin b", "begin c", "start b", "start c", "wait b", "wait c", "flush clean1", "end b", "end c"})
}

// TestClose: the round that gathers is finished, then nothing is taken.
func TestClose(t *testing.T) {
	for _, lead := range []bool{false, true} {
		r := newRig(t)
		a, b := r.member("a", 1), r.member("b", 1)
		closing := make(chan struct{})
		a.begun = func() {
			r.s.Add(b, false)
			go func() { r.s.Close(); close(closing) }()
			for closed := false; !closed; {
				r.s.mu.Lock()
				closed = r.s.closed
				r.s.mu.Unlock()
				runtime.Gosched()
			}
		}
		r.s.Add(a, lead)
		<-closing
		r.s.Close()
		if len(a.ended) != 1 || len(b.ended) != 1 {
			t.Fatalf("lead %v: members left: %v", lead, r.j.take())
		}
		if r.s.Add(a, lead) || r.s.Add(a, !lead) {
			t.Fatalf("lead %v: a closed syncer took a member", lead)
		}
		r.want("files left open", len(r.s.round.clean), 0)
	}
}

// TestMany: however the work is divided, each member is begun, started, waited
// for and ended once, and none is ended before the flush.
func TestMany(t *testing.T) {
	for _, parallel := range []int{1, 2, 3, 16} {
		r := newRig(t)
		r.s.Close()
		r.s = New(Options{Parallel: parallel})
		defer r.s.Close()
		var members []*fake
		for i := range 100 {
			members = append(members, r.member(fmt.Sprint(i), vfs.Device(i%3)))
		}
		for range 5 {
			calls, errs := r.round(members...)
			at := map[string]int{}
			for i, c := range calls {
				if _, twice := at[c]; twice && !strings.HasPrefix(c, "flush") {
					t.Fatalf("%d goroutines: %s twice", parallel, c)
				}
				at[c] = i
			}
			for i, m := range members {
				name, dev := m.name, m.dev
				steps := []string{"begin " + name, "start " + name, "wait " + name, fmt.Sprint("flush clean", dev), "end " + name}
				if dev == 0 {
					steps = []string{"begin " + name, "sync " + name, "end " + name}
				}
				if !slices.IsSortedFunc(steps, func(a, b string) int { return at[a] - at[b] }) || errs[i] != nil {
					t.Fatalf("%d goroutines: order of %v: %v, %v", parallel, steps, calls, errs[i])
				}
				for _, s := range steps {
					if _, ok := at[s]; !ok {
						t.Fatalf("%d goroutines: no %s", parallel, s)
					}
				}
			}
		}
	}
}

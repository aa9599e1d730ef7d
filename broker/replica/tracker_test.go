package replica

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/segment"
)

// fake is a partition whose replicas are as told.
type fake struct {
	mu      sync.Mutex
	leader  uint64
	epoch   int32
	rs      []partition.Replica
	isr     []uint64
	asked   []uint64
	refuses map[uint64]bool // does not take over
	looks   int
}

func (f *fake) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

func (f *fake) Replication() (bool, int32, segment.Index, []partition.Replica) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return f.leader == 1, f.epoch, 0, slices.Clone(f.rs)
}

func (f *fake) SetISR(_ int32, isr []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isr = isr
}

func (f *fake) TransferLeadership(to uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, to)
	if !f.refuses[to] {
		f.leader, f.epoch = to, f.epoch+1
	}
	return nil
}

func (f *fake) Leader() (uint64, int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader, f.epoch
}

func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// tool is a Tracker of node 1, a topic of three replicas, and the metadata.
type tool struct {
	*Tracker
	t     *testing.T
	clock *clock.Manual

	mu      sync.Mutex
	state   *cluster.State
	refuse  error
	told    int // publications
	balance bool
}

func newTool(t *testing.T, replicas ...int32) (*tool, *fake, cluster.Partition) {
	x := &tool{t: t, clock: clock.NewManual(time.Unix(1000, 0)), state: cluster.New()}
	for id := range int32(3) {
		x.apply(&cluster.RegisterBroker{ID: id + 1})
	}
	x.apply(&cluster.CreateTopic{Name: "t", ID: cluster.TopicID{1}, Replicas: [][]int32{replicas}})
	x.Tracker = New(Options{
		NodeID: 1, Rules: rules, Clock: x.clock, Logger: slog.New(slog.DiscardHandler),
		View: func(f func(*cluster.State)) {
			x.mu.Lock()
			defer x.mu.Unlock()
			f(x.state)
		},
		Publish: x.publish, Balance: func() bool { return x.balance },
	})
	f := &fake{leader: 1, epoch: 4, refuses: map[uint64]bool{}}
	for _, id := range replicas {
		if id != 1 {
			f.rs = append(f.rs, partition.Replica{Node: uint64(id), Match: 5, CaughtUp: x.clock.Now()})
		}
	}
	return x, f, x.state.Topic("t").Partitions[0]
}

func (x *tool) apply(c cluster.Command) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, err := x.state.Apply(c); err != nil {
		x.t.Errorf("%T: %v", c, err)
	}
}

func (x *tool) publish(_ context.Context, items []cluster.Leadership) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.told++
	if x.refuse != nil {
		return x.refuse
	}
	me, _ := x.state.Broker(1)
	_, err := x.state.Apply(&cluster.SetLeadership{Node: 1, BrokerEpoch: me.Epoch, Items: items})
	return err
}

func (x *tool) run() {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { x.Run(ctx) })
	x.t.Cleanup(func() { stop(); done.Wait() })
}

// until moves the clock until something is so.
func (x *tool) until(what string, cond func() bool) {
	x.t.Helper()
	x.poll(what, 20*time.Millisecond, cond)
}

// poll moves the clock by step at each look.
func (x *tool) poll(what string, step time.Duration, cond func() bool) {
	x.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); !cond(); <-poll.C {
		if time.Now().After(deadline) {
			x.t.Fatalf("gave up waiting for: %s", what)
		}
		x.clock.Advance(step)
	}
}

func (x *tool) recorded(group uint64) (l cluster.Leadership) {
	x.mu.Lock()
	defer x.mu.Unlock()
	l, _ = x.state.Leadership(group)
	return l
}

// What begins is told, again until it is taken; a replica that stops is out,
// told to the partition as well, and returns; what is not led is forgotten.
func TestTold(t *testing.T) {
	x, f, at := newTool(t, 1, 2, 3)
	x.refuse = errors.New("no leader")
	x.run()
	f.leader = 0
	x.RoleChanged(at, f, true, 4)
	x.until("a look at what is still being opened", func() bool { return f.looked() > 0 })
	f.set(func(f *fake) { f.leader = 1 })
	x.until("a refusal", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.told > 1
	})
	x.mu.Lock()
	x.refuse = nil
	x.mu.Unlock()
	alive := func(nodes ...uint64) func() bool { // keeps them caught up, and looks who is told to be
		return func() bool {
			want := []int32{1}
			for _, n := range nodes {
				want = append(want, int32(n))
			}
			f.set(func(f *fake) {
				for i := range f.rs {
					if slices.Contains(nodes, f.rs[i].Node) {
						f.rs[i].CaughtUp = x.clock.Now()
					}
				}
			})
			l := x.recorded(at.GroupID)
			isr, ok := x.ISR(at.GroupID, 4)
			return ok && slices.Equal(isr, want) && slices.Equal(l.ISR, want) && l.Leader == 1 && l.Epoch == 4
		}
	}
	x.until("three in sync", alive(2, 3))
	x.until("two in sync", alive(2))
	f.set(func(f *fake) {
		if !slices.Equal(f.isr, []uint64{1, 2}) {
			t.Errorf("the partition was told %v", f.isr)
		}
	})
	x.until("three in sync again", alive(2, 3))
	x.apply(&cluster.SetLeadership{Node: 2, BrokerEpoch: 2, Items: []cluster.Leadership{{Group: at.GroupID, Leader: 1, Epoch: 4, ISR: []int32{1}}}})
	x.until("what the metadata has otherwise is told again", alive(2, 3))
	f.set(func(f *fake) { f.leader = 2 })
	x.until("a loss that nobody has told of is noticed", func() bool { _, ok := x.ISR(at.GroupID, 4); return !ok })
}

// Leadership goes back to the preferred replica when that has been fit for it
// for a while, is neither fenced nor leaving, and it is wished for.
func TestBalance(t *testing.T) {
	x, f, at := newTool(t, 2, 1, 3)
	x.run()
	x.apply(&cluster.FenceBroker{ID: 2, Epoch: 2})
	x.RoleChanged(at, f, true, 4)
	led := func(d time.Duration) []uint64 {
		end := x.clock.Now().Add(d)
		x.until("the time to pass", func() bool {
			f.set(func(f *fake) {
				for i := range f.rs {
					f.rs[i].CaughtUp = x.clock.Now()
				}
			})
			return x.clock.Now().After(end)
		})
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.asked
	}
	if got := led(2 * balanceAfter); len(got) > 0 {
		t.Errorf("handed over to a fenced node: %v", got)
	}
	x.apply(&cluster.UnfenceBroker{ID: 2, Epoch: 2})
	if got := led(2 * balanceAfter); len(got) > 0 {
		t.Errorf("handed over though that is turned off: %v", got)
	}
}

func TestBalanceHandsBack(t *testing.T) {
	x, f, at := newTool(t, 2, 1, 3)
	x.balance = true
	x.run()
	x.RoleChanged(at, f, true, 4)
	began := x.clock.Now()
	x.until("the hand-over", func() bool {
		f.set(func(f *fake) {
			for i := range f.rs {
				f.rs[i].CaughtUp = x.clock.Now()
			}
		})
		leader, _ := f.Leader()
		return leader != 1
	})
	if took := x.clock.Now().Sub(began); took < balanceAfter || !slices.Equal(f.asked, []uint64{2}) {
		t.Errorf("handed over to %v after %v", f.asked, took)
	}
}

// Drain tries another replica when one does not take over, and leaves what has
// no other.
func TestDrain(t *testing.T) {
	x, f, at := newTool(t, 1, 2, 3)
	x.run()
	f.rs[1].Match = 9 // node 3 has most
	f.refuses[3] = true
	x.RoleChanged(at, f, true, 4)
	alone := &fake{leader: 1, epoch: 1}
	x.RoleChanged(cluster.Partition{GroupID: 99, Replicas: []int32{1}}, alone, true, 1)
	x.until("in sync", func() bool { isr, _ := x.ISR(at.GroupID, 4); return len(isr) == 3 })
	done := make(chan error, 1)
	go func() { done <- x.Drain(t.Context()) }()
	var err error
	x.until("the end", func() bool {
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	if leader, _ := f.Leader(); err != nil || leader != 2 || !slices.Equal(f.asked, []uint64{3, 2}) || len(alone.asked) > 0 {
		t.Errorf("%v: led by %d, asked %v, and %v for the one without others", err, leader, f.asked, alone.asked)
	}
}

// A new partition is told to have its live replicas in sync, before they have
// confirmed anything, for a while; acks=all counts those only that have. A
// later leader is taken at what it knows.
func TestNewPartition(t *testing.T) {
	x, f, at := newTool(t, 1, 2, 3)
	x.apply(&cluster.FenceBroker{ID: 3, Epoch: 3})
	for i := range f.rs {
		f.rs[i].Match = 0
	}
	x.run()
	x.RoleChanged(at, f, true, 4)
	x.poll("the first word", 0, func() bool { return len(x.recorded(at.GroupID).ISR) > 0 }) // no time passes: it is still new
	isr, _ := x.ISR(at.GroupID, 4)
	if told := x.recorded(at.GroupID).ISR; !slices.Equal(told, []int32{1, 2}) || !slices.Equal(isr, told) {
		t.Errorf("told %v, says %v; want the live replicas, 1 and 2", told, isr)
	}
	f.set(func(f *fake) {
		if !slices.Equal(f.isr, []uint64{1}) {
			t.Errorf("acks=all counts on %v; only the leader has confirmed", f.isr)
		}
	})
	x.until("one that has not reported is out", func() bool { return slices.Equal(x.recorded(at.GroupID).ISR, []int32{1}) })
	if took := x.clock.Now().Sub(time.Unix(1000, 0)); took < youngMax {
		t.Errorf("out after %v", took)
	}
	f.set(func(f *fake) { f.epoch = 5 })
	x.RoleChanged(at, f, true, 5)
	x.until("another epoch", func() bool { return x.recorded(at.GroupID).Epoch == 5 })
	if told := x.recorded(at.GroupID).ISR; !slices.Equal(told, []int32{1}) {
		t.Errorf("of a partition that is not new %v are told", told)
	}
}

// Drain does not wait for nodes that are gone: what this node leads stays when
// nobody else is there, and what has no leader is left when there cannot be one.
func TestDrainAlone(t *testing.T) {
	x, f, at := newTool(t, 1, 2, 3)
	f.refuses[2], f.refuses[3] = true, true
	x.RoleChanged(at, f, true, 4)
	gone := map[uint64]bool{}
	x.opt.Gone = func(node uint64) bool { return gone[node] }
	under := map[uint64]*handover{}
	want := func(what string, left int) {
		t.Helper()
		if got := x.handOver(x.clock.Now(), under); got != left {
			t.Errorf("%s: Drain waits for %d partitions, want %d", what, got, left)
		}
	}
	want("others are there", 1)
	f.set(func(f *fake) { f.leader = 0 })
	gone[2] = true
	want("no leader, and two of three are there", 1)
	gone[3] = true
	want("no leader, and nobody else is there", 0)
	f.set(func(f *fake) { f.leader = 1 })
	want("leading, and nobody else is there", 0)
	if asked := len(f.asked); asked != 1 {
		t.Errorf("%d nodes asked to lead, want the one that was there", asked)
	}
	gone[3] = false
	want("leading, and one other is there", 1)
}

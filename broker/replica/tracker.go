package replica

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/segment"
)

// Partition is what a Tracker needs of a partition; *partition.Partition is one.
type Partition interface {
	Replication() (leading bool, epoch int32, last segment.Index, rs []partition.Replica)
	SetISR(epoch int32, isr []uint64)
	TransferLeadership(to uint64) error
	Leader() (node uint64, epoch int32)
}

// Options say what a Tracker runs on.
type Options struct {
	NodeID int32
	Rules  Rules
	Clock  clock.Clock
	Logger *slog.Logger
	// View shows the cluster's metadata (metadata.Member.View).
	View func(f func(s *cluster.State))
	// Publish has the metadata take note of who leads.
	Publish func(ctx context.Context, items []cluster.Leadership) error
	// Balance reports whether preferred replicas are to lead again
	// (auto.leader.rebalance.enable).
	Balance func() bool
	// Gone reports whether a node is known not to run. Nil: none is.
	Gone func(node uint64) bool
}

// Tracker watches over the partitions that this node leads. See the package
// comment.
type Tracker struct {
	opt  Options
	wake chan struct{} // capacity 1: leadership has begun somewhere
	news chan struct{} // capacity 1: there is something to publish

	mu       sync.Mutex
	led      map[uint64]*led // by raft group
	dirty    map[uint64]bool // groups to publish
	draining bool
	checked  time.Time // when all were looked at
}

// led is one partition that this node leads. Its first fields do not change,
// the others are the loop's but for isr and shown, which are under Tracker.mu.
type led struct {
	at    cluster.Partition
	part  Partition
	epoch int32
	began time.Time

	members map[uint64]member
	ready   time.Time // since when the preferred replica could lead; zero: it cannot
	fresh   bool      // nobody has told of a leader before this one
	isr     []int32   // in the order of the replicas; nil: not looked at yet
	shown   []int32   // what others are told of isr: see Tracker.check
}

// New returns a Tracker that knows of nothing that is led.
func New(o Options) *Tracker {
	if o.Gone == nil {
		o.Gone = func(uint64) bool { return false }
	}
	return &Tracker{opt: o, wake: make(chan struct{}, 1), news: make(chan struct{}, 1), led: map[uint64]*led{}, dirty: map[uint64]bool{}}
}

// RoleChanged takes note that this node leads a partition, or no longer does.
func (t *Tracker) RoleChanged(at cluster.Partition, p Partition, leading bool, epoch int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !leading {
		delete(t.led, at.GroupID)
		delete(t.dirty, at.GroupID)
		return
	}
	l := &led{at: at, part: p, epoch: epoch, began: t.opt.Clock.Now(), members: map[uint64]member{}}
	t.led[at.GroupID] = l
	poke(t.wake)
}

// ISR is what is told of the replicas in sync of a partition that this node
// leads in that epoch; false when it does not, or has not looked yet.
func (t *Tracker) ISR(group uint64, epoch int32) ([]int32, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.led[group]
	if l == nil || l.epoch != epoch || l.isr == nil {
		return nil, false
	}
	return l.shown, true
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// youngMax is how long after its beginning leadership is looked at more often,
// every youngPause: replicas report for duty.
const (
	youngMax   = 2 * time.Second
	youngPause = 50 * time.Millisecond
)

// Run looks and publishes until ctx ends.
func (t *Tracker) Run(ctx context.Context) {
	var done sync.WaitGroup
	defer done.Wait()
	done.Go(func() { t.publishLoop(ctx) })
	timer := t.opt.Clock.AfterFunc(t.opt.Rules.CheckInterval, func() { poke(t.wake) })
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			timer.Reset(t.look(t.opt.Clock.Now()))
		}
	}
}

// look looks at what is due, and says when to look again.
func (t *Tracker) look(now time.Time) time.Duration {
	t.mu.Lock()
	interval := t.opt.Rules.CheckInterval
	full := now.Sub(t.checked) >= interval
	if full {
		t.checked = now
	}
	young := false
	var due []*led
	for _, l := range t.led {
		isYoung := l.isr == nil || len(l.isr) < len(l.at.Replicas) && now.Sub(l.began) < youngMax
		young = young || isYoung
		if full || isYoung {
			due = append(due, l)
		}
	}
	next := min(interval, t.checked.Add(interval).Sub(now))
	t.mu.Unlock()
	standing := t.standing()
	for _, l := range due {
		t.check(now, l, standing)
	}
	if full {
		t.heal()
		t.balance(now, standing)
	}
	if young {
		next = min(next, youngPause)
	}
	return next
}

// standing is the brokers as the metadata has them.
func (t *Tracker) standing() map[int32]cluster.Broker {
	out := map[int32]cluster.Broker{}
	t.opt.View(func(s *cluster.State) {
		for _, b := range s.Brokers() {
			out[b.ID] = b
		}
	})
	return out
}

// check decides which replicas of one partition are in sync. Of a partition
// that is new others are told, as Kafka does, that every live replica is: it
// lacks nothing, and only has not said so yet. acks=all does not count on it.
func (t *Tracker) check(now time.Time, l *led, standing map[int32]cluster.Broker) {
	leading, epoch, _, rs := l.part.Replication()
	if !leading || epoch != l.epoch {
		t.missing(l)
		return
	}
	if l.isr == nil {
		t.opt.View(func(s *cluster.State) {
			_, told := s.Leadership(l.at.GroupID)
			l.fresh = !told
		})
	}
	l.fresh = l.fresh && now.Sub(l.began) < youngMax
	in := map[int32]bool{t.opt.NodeID: true}
	for _, r := range rs {
		m := t.opt.Rules.judge(now, l.began, l.members[r.Node], r, standing[int32(r.Node)].Fenced)
		l.members[r.Node], in[int32(r.Node)] = m, m.in
	}
	isr, shown := make([]int32, 0, len(l.at.Replicas)), make([]int32, 0, len(l.at.Replicas))
	nodes := make([]uint64, 0, len(l.at.Replicas))
	for _, id := range l.at.Replicas {
		if in[id] {
			isr, nodes = append(isr, id), append(nodes, uint64(id))
		}
		if b, known := standing[id]; in[id] || l.fresh && known && !b.Absent() {
			shown = append(shown, id)
		}
	}
	t.mu.Lock()
	current := t.led[l.at.GroupID] == l
	changed := current && !slices.Equal(l.isr, isr)
	if current && !slices.Equal(l.shown, shown) {
		t.dirty[l.at.GroupID] = true
		poke(t.news)
	}
	if current {
		l.isr, l.shown = isr, shown
	}
	t.mu.Unlock()
	if changed {
		l.part.SetISR(l.epoch, nodes)
	}
}

// missing forgets a partition that no longer leads though nobody has told: it
// was closed. One that has never been seen to is being opened.
func (t *Tracker) missing(l *led) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.led[l.at.GroupID] == l && l.isr != nil {
		delete(t.led, l.at.GroupID)
		delete(t.dirty, l.at.GroupID)
	}
}

// heal publishes again what the metadata has otherwise.
func (t *Tracker) heal() {
	t.opt.View(func(s *cluster.State) {
		t.mu.Lock()
		defer t.mu.Unlock()
		for group, l := range t.led {
			known, ok := s.Leadership(group)
			same := ok && known.Leader == t.opt.NodeID && known.Epoch == l.epoch && slices.Equal(known.ISR, l.shown)
			if l.isr != nil && !same && (!ok || known.Epoch <= l.epoch) {
				t.dirty[group] = true
				poke(t.news)
			}
		}
	})
}

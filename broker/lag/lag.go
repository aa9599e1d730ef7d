package lag

import (
	"context"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/coordinator"
	"chronik/broker/group"
	"chronik/broker/leaders"
	"chronik/broker/local"
	"chronik/internal/clock"
	"chronik/internal/metrics"
)

const (
	// askEvery is the time between two rounds of questions.
	askEvery = 5 * time.Second
	// askMax bounds one call.
	askMax = 2 * time.Second
	// waitMax is how long Groups waits for what has never been told.
	waitMax = 250 * time.Millisecond
	// knownMax is how long what a leader has told is good.
	knownMax = time.Minute
	// partitionsMax bounds a round, and so a call and what is remembered.
	partitionsMax = 10_000
)

// Options say where Lag looks.
type Options struct {
	NodeID  int32
	Groups  *coordinator.Host
	Local   *local.Set
	Leaders *leaders.Leaders
	Peers   leaders.Peers // nil: a node by itself
	Clock   clock.Clock
}

// Lag knows how far behind groups are. See the package comment.
type Lag struct {
	opt  Options
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	known map[at]end
	asked time.Time     // when the last round began
	round chan struct{} // closed when the round under way is through; nil: none is
}

// at names a partition.
type at struct {
	topic cluster.TopicID
	index int32
}

// end is a high watermark that a leader has told.
type end struct {
	offset int64
	told   time.Time
}

// New returns a Lag that knows of nothing elsewhere. Close it.
func New(o Options) *Lag {
	l := &Lag{opt: o, known: map[at]end{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// Close ends a round that is under way. Nobody is asked any more.
func (l *Lag) Close() {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.done.Wait()
}

// row is one committed offset.
type row struct {
	group     int
	topic     string
	partition int32
	committed int64
	end       int64 // -1: unknown
	at        at    // of one that is elsewhere
}

// Groups is the state of every group that this node coordinates, and its lag
// on each partition whose end is known.
func (l *Lag) Groups() (out []metrics.Group) {
	groups, _ := l.opt.Groups.ListGroups() // while a partition is loading there is nothing to tell
	var rows []row
	for i, g := range groups {
		out = append(out, metrics.Group{Name: g.Group, State: g.State.String(), Members: g.Members})
		for _, t := range l.opt.Groups.FetchOffsets(group.FetchOffsetsRequest{Group: g.Group, All: true}).Topics {
			for _, p := range t.Partitions {
				r := row{group: i, topic: t.Name, partition: p.Partition, committed: p.Offset}
				if l.find(&r) {
					rows = append(rows, r)
				}
			}
		}
	}
	l.elsewhere(rows)
	for _, r := range rows {
		if r.end >= 0 {
			g := &out[r.group]
			g.Lag = append(g.Lag, metrics.GroupLag{Topic: r.topic, Partition: r.partition, Records: max(r.end-r.committed, 0)})
		}
	}
	return out
}

// find gives a row the end of its partition if that is here; false: there is
// no such partition.
func (l *Lag) find(r *row) bool {
	t, p, _ := l.opt.Local.Lookup(r.topic, cluster.TopicID{}, false, r.partition)
	switch {
	case p != nil:
		r.end = p.State().HighWatermark
	case t != nil:
		r.end, r.at = -1, at{t.ID, r.partition}
	}
	return t != nil
}

// elsewhere gives rows the ends that leaders have told, and asks them again
// when it is time.
func (l *Lag) elsewhere(rows []row) {
	if l.opt.Peers == nil {
		return
	}
	wanted, never := map[at]bool{}, false
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		if r.end < 0 && len(wanted) < partitionsMax {
			_, known := l.known[r.at]
			wanted[r.at], never = true, never || !known
		}
	}
	now := l.opt.Clock.Now()
	if len(wanted) > 0 && l.round == nil && now.Sub(l.asked) >= askEvery && l.ctx.Err() == nil {
		l.asked, l.round = now, make(chan struct{})
		l.done.Go(func() { l.ask(wanted) })
	}
	if round := l.round; never && round != nil {
		l.mu.Unlock()
		l.await(round)
		l.mu.Lock()
	}
	for i := range rows {
		if e, ok := l.known[rows[i].at]; ok && rows[i].end < 0 && now.Sub(e.told) < knownMax {
			rows[i].end = e.offset
		}
	}
}

func (l *Lag) await(round <-chan struct{}) {
	over := make(chan struct{})
	timer := l.opt.Clock.AfterFunc(waitMax, func() { close(over) })
	defer timer.Stop()
	select {
	case <-round:
	case <-over:
	case <-l.ctx.Done():
	}
}

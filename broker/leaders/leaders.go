package leaders

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chronik/broker/cluster"
	"chronik/broker/local"
	"chronik/broker/partition"
	"chronik/broker/replica"
	"chronik/internal/clock"
)

// Errors of this package.
var (
	ErrUnknown      = errors.New("there is no such partition")
	ErrNoLeader     = errors.New("the partition has no leader")
	ErrNotNeeded    = errors.New("the preferred replica leads already")
	ErrNotAvailable = errors.New("the preferred replica is not in contact with the cluster, or about to leave it")
)

// Partition names a partition: by topic, or by the topic's id when the name is
// empty.
type Partition struct {
	Topic string
	ID    cluster.TopicID
	Index int32
}

// Leader is who leads a partition, and since which epoch.
type Leader struct {
	Node  int32 // -1 none
	Epoch int32
}

// Peers reaches other nodes.
type Peers interface {
	Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error)
}

// Options say where Leaders looks.
type Options struct {
	NodeID  int32
	View    func(f func(s *cluster.State)) // the metadata
	Led     func() bool                    // it has a leader, as far as this node knows; called in View
	Local   *local.Set
	Tracker *replica.Tracker
	Peers   Peers // nil: a node by itself
	Clock   clock.Clock
}

// Leaders knows who leads what. See the package comment.
type Leaders struct{ opt Options }

// New returns Leaders that looks where o says.
func New(o Options) *Leaders { return &Leaders{opt: o} }

// Of is who leads a partition of t, and which replicas are in sync. A leader
// that has lost contact with the cluster is none; nor is one that the metadata
// has, when the replica here knows of none: this node is it and no longer
// leads, or the metadata has no leader to tell of another.
func (l *Leaders) Of(s *cluster.State, t *cluster.Topic, index int32) (Leader, []int32) {
	group := t.Partitions[index].GroupID
	told, ok := s.Leadership(group)
	if !ok {
		told = cluster.Leadership{Leader: -1, Epoch: -1}
	}
	if _, p, err := l.opt.Local.Lookup("", t.ID, true, index); err == nil {
		switch node, epoch := p.Leader(); {
		case node != 0 && epoch >= told.Epoch:
			return Leader{int32(node), epoch}, l.inSync(s, &t.Partitions[index], Leader{int32(node), epoch}, told.ISR)
		case node == 0 && (told.Leader == l.opt.NodeID || !l.opt.Led()):
			return Leader{-1, max(epoch, told.Epoch)}, told.ISR
		}
	}
	if n, known := s.Broker(told.Leader); !known || n.Fenced {
		return Leader{-1, told.Epoch}, told.ISR
	}
	return Leader{told.Leader, told.Epoch}, told.ISR
}

// inSync is the replicas in sync of a partition whose leader the replica here
// knows; told is what the metadata has, nil when nobody ever told.
func (l *Leaders) inSync(s *cluster.State, p *cluster.Partition, leader Leader, told []int32) []int32 {
	isr := told
	if mine, ok := l.opt.Tracker.ISR(p.GroupID, leader.Epoch); ok && leader.Node == l.opt.NodeID {
		isr = mine
	}
	switch {
	case isr == nil: // the partition is new: it begins with all that live
		isr = live(s, p.Replicas, leader.Node)
	case !slices.Contains(isr, leader.Node):
		isr = []int32{leader.Node} // it has not told yet
	}
	return isr
}

// live is the replicas whose brokers are there, and the leader.
func live(s *cluster.State, replicas []int32, leader int32) []int32 {
	return slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool {
		b, known := s.Broker(id)
		return id != leader && (!known || b.Absent())
	})
}

// Offline is the replicas of a partition of t that are known not to serve.
func (l *Leaders) Offline(s *cluster.State, t *cluster.Topic, index int32) (out []int32) {
	for _, id := range t.Partitions[index].Replicas {
		n, known := s.Broker(id)
		offline := !known || n.Fenced
		if id == l.opt.NodeID {
			_, p, err := l.opt.Local.Lookup("", t.ID, true, index)
			offline = err != nil || p.State().Err != nil
		}
		if offline {
			out = append(out, id)
		}
	}
	return out
}

// NotElsewhere is how many partitions of this node have no leader, or have it
// here.
func (l *Leaders) NotElsewhere() (n int) {
	for _, r := range l.opt.Local.Replicas() {
		if r.Partition == nil {
			continue
		}
		if node, _ := r.Partition.Leader(); node == 0 || int32(node) == l.opt.NodeID {
			n++
		}
	}
	return n
}

// Find is who leads a partition; false when there is none of that name.
func (l *Leaders) Find(at Partition) (leader Leader, ok bool) {
	leader = Leader{-1, -1}
	l.opt.View(func(s *cluster.State) {
		if t := at.in(s); t != nil {
			leader, _ = l.Of(s, t, at.Index)
			ok = true
		}
	})
	return leader, ok
}

// in is the topic, nil when there is none that has the partition.
func (at Partition) in(s *cluster.State) *cluster.Topic {
	t := s.Topic(at.Topic)
	if at.Topic == "" {
		t = s.TopicByID(at.ID)
	}
	if t == nil || at.Index < 0 || int(at.Index) >= len(t.Partitions) {
		return nil
	}
	return t
}

// Await waits until every partition of the named topics has a leader; when
// none is named, of all topics, those that are open here. One of a named topic
// that could not be opened here is an error, as is the lack of room on the
// disk that keeps one from being led.
func (l *Leaders) Await(ctx context.Context, names ...string) error {
	replicas := l.opt.Local.Replicas(names...)
	for _, r := range replicas {
		if len(names) > 0 && errors.Is(r.Err, local.ErrFailed) {
			return r.Err
		}
	}
	w := partition.NewWatcher()
	for _, r := range replicas {
		var err error
		switch {
		case r.Partition != nil:
			err = awaitHere(ctx, r.Partition, w)
		case len(names) > 0 && errors.Is(r.Err, local.ErrElsewhere):
			err = l.awaitTold(ctx, Partition{Topic: r.Topic.Name, Index: r.Index})
		}
		if err != nil && (len(names) > 0 || !errors.Is(err, partition.ErrStorage)) {
			return err
		}
	}
	return nil
}

func awaitHere(ctx context.Context, p *partition.Partition, w *partition.Watcher) error {
	p.Watch(w)
	defer p.Unwatch(w)
	for {
		switch s := p.State(); {
		case s.Leader != 0 || s.Err != nil:
			return nil
		case s.NoRoom != nil: // it leads when there is some
			return s.NoRoom
		}
		select {
		case <-w.C():
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
		}
	}
}

// awaitTold waits until the metadata knows who leads a partition that is
// elsewhere, or that it is gone.
func (l *Leaders) awaitTold(ctx context.Context, at Partition) error {
	for {
		progress := l.opt.Local.Progress()
		if leader, ok := l.Find(at); !ok || leader.Node >= 0 {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
		}
	}
}

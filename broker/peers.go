package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/lag"
	"chronik/broker/leaders"
	"chronik/broker/transactions"
	"chronik/internal/clock"
)

// methodsOwn is the first method that is not the metadata's.
const methodsOwn uint8 = 64

// Serve answers what another node calls: the metadata's methods and the
// broker's own. It works from New on.
func (b *Broker) Serve(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
	switch {
	case method < methodsOwn:
		return b.meta.Serve(ctx, from, method, body)
	case method == transactions.MethodMarkers, method == transactions.MethodVerify:
		if !b.up.Load() {
			return nil, ErrNotLeader
		}
		return b.Coordinator.Serve(ctx, method, body)
	case method == leaders.MethodTransfer:
		return nil, fromBelow(b.leaders.ServeTransfer(body))
	case method == lag.Method:
		return b.lag.Serve(body)
	}
	return nil, fmt.Errorf("method %d, called by node %d: %w", method, from, errors.ErrUnsupported)
}

// TransferLeadership has the node to lead a partition, whichever node leads it
// now, and returns when it does.
func (b *Broker) TransferLeadership(ctx context.Context, tp TopicPartition, to int32) error {
	return fromBelow(b.leaders.Transfer(ctx, named(tp), to))
}

func named(tp TopicPartition) leaders.Partition {
	return leaders.Partition{Topic: tp.Topic, ID: tp.TopicID, Index: tp.Partition}
}

// Kafka's types of elections.
const (
	electPreferred int8 = 0
	electUnclean   int8 = 1
)

// ElectResult is what ElectLeaders did for one partition; nil: its preferred
// replica leads now.
type ElectResult struct {
	TopicPartition
	Err error
}

// ElectLeaders has the preferred replica of each partition lead, of all
// partitions when all is set; then those that need none are left out (R3).
// Unclean elections are refused: a replica that lacks what was acknowledged
// never leads.
func (b *Broker) ElectLeaders(ctx context.Context, all bool, tps []TopicPartition, electionType int8, timeout time.Duration) ([]ElectResult, error) {
	switch electionType {
	case electPreferred:
	case electUnclean:
		return nil, fmt.Errorf("%w: unclean elections are never held, for they lose acknowledged records", ErrInvalidRequest)
	default:
		return nil, fmt.Errorf("%w: election type %d", ErrInvalidRequest, electionType)
	}
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, timeout)
	defer cancel()
	b.catchUp(ctx)
	var parts []leaders.Partition
	for _, tp := range tps {
		parts = append(parts, named(tp))
	}
	if all {
		parts = b.leaders.All()
	}
	var out []ElectResult
	for i, err := range b.leaders.Elect(ctx, parts) {
		if !all || !errors.Is(err, leaders.ErrNotNeeded) {
			p := parts[i]
			out = append(out, ElectResult{TopicPartition{Topic: p.Topic, TopicID: p.ID, Partition: p.Index}, fromBelow(err)})
		}
	}
	return out, nil
}

// Drain has other nodes lead what this one leads, before it stops: the
// partitions first, then the metadata. It returns when they do, or with an
// error when ctx ends; left is how many partitions of this node no other leads
// then. Clients go on being answered.
func (b *Broker) Drain(ctx context.Context) (left int, err error) {
	if b.opt.Peers == nil {
		return 0, nil // nobody else
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.done.Go(func() { b.leave(ctx) })
	err = b.watch.Drain(ctx)
	return b.leaders.NotElsewhere(), errors.Join(err, b.meta.HandOver(ctx))
}

// leave tells the cluster that this node is about to stop.
func (b *Broker) leave(ctx context.Context) {
	var me cluster.Broker
	b.meta.View(func(s *cluster.State) { me, _ = s.Broker(b.opt.NodeID) })
	if _, _, err := b.propose(ctx, &cluster.DrainBroker{ID: me.ID, Epoch: me.Epoch}); err != nil && ctx.Err() == nil {
		b.opt.Logger.Warn("the cluster does not know that this node is leaving", "err", err)
	}
}

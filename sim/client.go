package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"chronik/broker"
	"chronik/sim/history"
)

// errNoAnswer is a call that was not answered: what it asked for may have
// happened, or may happen yet.
var errNoAnswer = errors.New("no answer")

// errRefused is a call to a node on which nobody listens.
var errRefused = errors.New("connection refused")

// client is what all clients of the cluster have: a place on the network, and
// an idea of who leads.
type client struct {
	c       *simulation
	id      int
	rand    *rand.Rand
	node    uint64 // asked for metadata
	leaders map[history.Partition]broker.LeaderEpoch
	unsure  map[history.Partition]bool // leaders is to be asked for again
}

// address is the client's end of its links.
func (k *client) address() uint64 { return uint64(1000 + k.id) }

func (c *simulation) newClient(id int) *client {
	r := c.newRand()
	return &client{c: c, id: id, rand: r, node: uint64(1 + r.IntN(len(c.nodes))), leaders: map[history.Partition]broker.LeaderEpoch{}, unsure: map[history.Partition]bool{}}
}

// call has f run against a broker, and waits for the answer for at most limit.
func call[T any](k *client, to uint64, limit time.Duration, f func(ctx context.Context, b *broker.Broker) T) (T, error) {
	return begin(k, to, f)(limit)
}

// begin is call that does not wait: what it returns does. What one client begins
// arrives in that order.
func begin[T any](k *client, to uint64, f func(ctx context.Context, b *broker.Broker) T) func(limit time.Duration) (T, error) {
	type answer struct {
		v   T
		err error
	}
	done := make(chan answer, 1)
	net := k.c.net
	net.Carry(k.address(), to, func() {
		p := k.c.node(to).current()
		var b *broker.Broker
		if p != nil {
			b = p.broker.Load()
		}
		if b == nil {
			net.Carry(to, k.address(), func() { done <- answer{err: errRefused} })
			return
		}
		v := f(p.ctx, b)
		if p.ctx.Err() != nil { // the connection breaks
			done <- answer{err: errNoAnswer}
			return
		}
		net.Carry(to, k.address(), func() { done <- answer{v: v} })
	})
	return func(limit time.Duration) (T, error) {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case a := <-done:
			return a.v, a.err
		case <-timer.C:
			var none T
			return none, errNoAnswer
		}
	}
}

// refresh asks a broker who leads, another one if that does not answer.
func (k *client) refresh() {
	infos, err := call(k, k.node, time.Second, func(ctx context.Context, b *broker.Broker) []broker.TopicInfo {
		return b.Metadata(ctx, broker.MetadataRequest{All: true})
	})
	if err != nil {
		k.node = uint64(1 + k.rand.IntN(len(k.c.nodes)))
		return
	}
	for _, t := range infos {
		for _, p := range t.Partitions {
			at := history.Partition{Topic: t.Name, Index: p.Partition}
			if was, ok := k.leaders[at]; p.Err == nil && p.Leader.ID > 0 && (!ok || p.Leader.Epoch >= was.Epoch) {
				k.leaders[at] = p.Leader
				delete(k.unsure, at)
			}
		}
	}
}

// leaderLimit is how long a client looks for a leader before it calls that a
// failed try.
const leaderLimit = 5 * time.Second

// leader is who is thought to lead; asked for when that is not known. False:
// nobody knows, or the client is to stop.
func (k *client) leader(p history.Partition) (broker.LeaderEpoch, bool) {
	begin := time.Now()
	for pause := 20 * time.Millisecond; time.Since(begin) < leaderLimit; pause = min(2*pause, 500*time.Millisecond) {
		if l, ok := k.leaders[p]; ok && !k.unsure[p] {
			return l, true
		}
		k.refresh()
		if _, ok := k.leaders[p]; (!ok || k.unsure[p]) && !k.pause(pause) {
			break
		}
	}
	return broker.LeaderEpoch{}, false
}

// forget makes the next call ask who leads. An older epoch is not believed.
func (k *client) forget(p history.Partition) { k.unsure[p] = true }

// pause waits about d, and reports whether the client is to go on.
func (k *client) pause(d time.Duration) bool {
	return sleep(k.c.ctx, d/2+time.Duration(k.rand.Int64N(int64(d))))
}

func (k *client) name() string { return fmt.Sprintf("client %d", k.id) }

// retriable tells whether a client tries again after an answer.
func retriable(err error) bool {
	for _, e := range []error{
		errNoAnswer, errRefused, broker.ErrNotLeader, broker.ErrLeaderNotAvailable, broker.ErrNotEnoughReplicas, broker.ErrNotEnoughReplicasAfterAppend, broker.ErrRequestTimedOut,
		broker.ErrUnknownTopicOrPartition, broker.ErrUnknownTopicID, broker.ErrStorage, broker.ErrShuttingDown, broker.ErrFencedLeaderEpoch,
		broker.ErrUnknownLeaderEpoch, broker.ErrOffsetNotAvailable, broker.ErrCoordinatorNotAvailable,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

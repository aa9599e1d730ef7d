package replica

import (
	"context"
	"fmt"
	"time"

	"chronik/broker/cluster"
	"chronik/internal/clock"
)

const (
	// balanceAfter is how long a preferred replica has been fit to lead before
	// it is asked to: a node that comes and goes leads nothing.
	balanceAfter = 10 * time.Second
	// balanceMax is how many partitions are handed back in one check.
	balanceMax = 10
	// transferRetry is the time after which a hand-over has failed and another
	// replica is tried.
	transferRetry = time.Second
	// leaderlessMax is how long Drain waits for another leader of a partition
	// that this node no longer leads.
	leaderlessMax = 3 * time.Second
	// drainPause is the time between two looks of Drain.
	drainPause = 10 * time.Millisecond
)

// balance hands partitions to their preferred replicas, a few at a time.
func (t *Tracker) balance(now time.Time, standing map[int32]cluster.Broker) {
	t.mu.Lock()
	off := t.draining
	var may []*led
	for _, l := range t.led {
		if l.at.Replicas[0] != t.opt.NodeID && l.isr != nil {
			may = append(may, l)
		}
	}
	t.mu.Unlock()
	moved := 0
	for _, l := range may {
		preferred := l.at.Replicas[0]
		b, known := standing[preferred]
		switch {
		case !known || b.Fenced || b.Draining || off || !l.members[uint64(preferred)].in:
			l.ready = time.Time{}
		case l.ready.IsZero():
			l.ready = now
		case now.Sub(l.ready) >= balanceAfter && moved < balanceMax && t.opt.Balance():
			moved++
			l.ready = now // should it fail
			if err := l.part.TransferLeadership(uint64(preferred)); err != nil {
				t.opt.Logger.Debug("leadership was not handed back", "group", l.at.GroupID, "to", preferred, "err", err)
			}
		}
	}
	if moved > 0 {
		t.opt.Logger.Info("handing leadership back to preferred replicas", "partitions", moved)
	}
}

// handover is one partition that Drain hands over.
type handover struct {
	part  Partition
	at    cluster.Partition
	tries int
	tried time.Time // the last time
	led   time.Time // when this node was last seen to lead it
}

// Drain hands every led partition to another replica, the one in sync that has
// most, and returns when others lead them all, or with an error when ctx ends.
// One that no other replica can take over stays, and one that is without a
// leader and a majority is left. From now on the Tracker makes nobody lead.
func (t *Tracker) Drain(ctx context.Context) error {
	t.mu.Lock()
	t.draining = true
	t.mu.Unlock()
	under := map[uint64]*handover{}
	for {
		left := t.handOver(t.opt.Clock.Now(), under)
		if left == 0 {
			return nil
		}
		if !clock.Sleep(ctx, t.opt.Clock, drainPause) {
			return fmt.Errorf("%d partitions are without another leader: %w", left, context.Cause(ctx))
		}
	}
}

// handOver tries each partition that is due, and reports how many are not led
// by another node yet.
func (t *Tracker) handOver(now time.Time, under map[uint64]*handover) (left int) {
	standing := t.standing()
	able := func(node uint64) bool {
		b, known := standing[int32(node)]
		return known && !b.Fenced && !b.Draining && !t.opt.Gone(node)
	}
	t.mu.Lock()
	all := make([]*led, 0, len(t.led))
	for _, l := range t.led {
		all = append(all, l)
	}
	t.mu.Unlock()
	mine := map[uint64]bool{}
	for _, l := range all {
		leading, _, _, rs := l.part.Replication()
		to := successors(rs, func(node uint64) bool { return l.inSync(t, int32(node)) }, able)
		if leading && len(to) == 0 {
			delete(under, l.at.GroupID)
		}
		if !leading || len(to) == 0 {
			continue
		}
		mine[l.at.GroupID] = true
		h := under[l.at.GroupID]
		if h == nil {
			h = &handover{part: l.part, at: l.at}
			under[l.at.GroupID] = h
		}
		h.led = now
		if h.tries == 0 || now.Sub(h.tried) >= transferRetry {
			node := to[h.tries%len(to)]
			h.tries, h.tried = h.tries+1, now
			if err := l.part.TransferLeadership(node); err != nil {
				t.opt.Logger.Debug("leadership was not handed over", "group", l.at.GroupID, "to", node, "err", err)
			}
		}
	}
	for group, h := range under {
		leader, _ := h.part.Leader()
		none := leader == 0 || leader == uint64(t.opt.NodeID)
		if mine[group] || none && now.Sub(h.led) < leaderlessMax && t.majority(h.at) {
			left++
		}
	}
	return left
}

// majority reports whether enough replicas may be alive for a leader.
func (t *Tracker) majority(at cluster.Partition) bool {
	alive := 0
	for _, id := range at.Replicas {
		if id == t.opt.NodeID || !t.opt.Gone(uint64(id)) {
			alive++
		}
	}
	return alive > len(at.Replicas)/2
}

func (l *led) inSync(t *Tracker, id int32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, in := range l.isr {
		if in == id {
			return true
		}
	}
	return false
}

package follow

import (
	"context"
	"slices"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/partition"
	"chronik/internal/clock"
)

// Reads says what a replica that does not lead answers consumers.
type Reads string

// The policies.
const (
	None   Reads = "none"   // NOT_LEADER_OR_FOLLOWER
	Unsafe Reads = "unsafe" // what it knows to be committed, which may be old
	Safe   Reads = "safe"   // what was committed when it was asked, as the leader says
)

// Policy is a node's.
type Policy struct {
	Reads   Reads
	Timeout time.Duration // of asking the leader what is committed
	NodeID  int32
	Rack    string
	Clock   clock.Clock
}

// barriersMax is how many leaders are waited for at a time, for one fetch.
const barriersMax = 64

// May says which of the partitions (nil: one that is not here) may be read
// although another node leads them. For a safe read it asks the leader what is
// committed, and waits until that is applied here: what is read later, woken
// by a commit, is not older. The result is nil when there is none.
func (f *Policy) May(ctx context.Context, parts []*partition.Partition) []bool {
	if f.Reads == None {
		return nil
	}
	ctx, cancel := clock.WithTimeout(ctx, f.Clock, f.Timeout)
	defer cancel()
	var may []bool
	var wg sync.WaitGroup
	slots := make(chan struct{}, barriersMax)
	for i, p := range parts {
		if p == nil {
			continue
		}
		if leader, _ := p.Leader(); leader == uint64(f.NodeID) {
			continue
		}
		if may == nil {
			may = make([]bool, len(parts))
		}
		if f.Reads == Unsafe {
			may[i] = true
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			may[i] = p.ReadBarrier(ctx) == nil
		})
	}
	wg.Wait()
	return may
}

// Nearer is a replica in sync in the consumer's rack, for a leader that is in
// another (KIP-392); false when there is none, or it would not answer.
func (f *Policy) Nearer(s *cluster.State, rack string, isr []int32) (int32, bool) {
	if rack == "" || rack == f.Rack || f.Reads == None {
		return -1, false
	}
	i := slices.IndexFunc(isr, func(id int32) bool {
		n, _ := s.Broker(id)
		return id != f.NodeID && !n.Fenced && n.Rack == rack
	})
	if i < 0 {
		return -1, false
	}
	return isr[i], true
}

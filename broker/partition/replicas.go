package partition

import (
	"context"
	"fmt"
	"slices"
	"time"

	"chronik/segment"
)

// Replica is what the leader knows of another replica.
type Replica struct {
	Node     uint64
	Match    segment.Index // it has the leader's log up to there
	Lag      uint64        // entries that it lacks
	Heard    time.Time     // last message from it in this term
	CaughtUp time.Time     // when it last had everything the leader had
	Learner  bool
}

// Replication tells how far the other replicas are. Without leadership there is
// nothing to tell.
func (p *Partition) Replication() (leading bool, epoch int32, last segment.Index, rs []Replica) {
	p.mu.Lock()
	leading, epoch = p.leading, p.epoch
	p.mu.Unlock()
	if g, ok := any(p.group).(interface{ Progress() []Replica }); ok && leading {
		rs = g.Progress()
	}
	return leading, epoch, p.log.LastIndex(), rs
}

// SetISR tells which replicas are in sync, this one included, as of the leader
// epoch; of another epoch than the present one it is ignored.
func (p *Partition) SetISR(epoch int32, isr []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leading && epoch == p.epoch {
		p.isr = slices.Clone(isr)
	}
}

// InSync is how many replicas are in sync, this one included, as acks=all is
// measured by it. It means something of a leader.
func (p *Partition) InSync() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inSyncLocked()
}

// inSyncLocked is how many replicas are known to be in sync. Until somebody has
// told, they are those that a leader cannot do without: a majority has
// confirmed everything up to the beginning of its term.
func (p *Partition) inSyncLocked() int {
	if p.isr == nil {
		return len(p.opt.Voters)/2 + 1
	}
	return len(p.isr)
}

// enoughLocked refuses acks=all while too few replicas are in sync.
func (p *Partition) enoughLocked(refusal error) error {
	if n, least := p.inSyncLocked(), p.opt.Settings().MinInsyncReplicas; n < int(least) {
		return fmt.Errorf("%w: %d in sync, %d required", refusal, n, least)
	}
	return nil
}

// TransferLeadership has another replica lead. It is refused unless this one
// leads; a nil error does not mean that the other one will.
func (p *Partition) TransferLeadership(to uint64) error {
	p.mu.Lock()
	err := p.checkEpochLocked(-1)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if g, ok := any(p.group).(interface{ TransferLeadership(uint64) error }); ok {
		return g.TransferLeadership(to)
	}
	return fmt.Errorf("%w: it cannot be handed over", ErrNotLeader)
}

// ReadBarrier returns once this replica has applied everything that was
// committed when it was called: what a follower's reads then return is not
// older than what the leader had acknowledged.
func (p *Partition) ReadBarrier(ctx context.Context) error {
	p.mu.Lock()
	leading, failure := p.leading, p.failure
	p.mu.Unlock()
	if failure != nil {
		return failure
	}
	g, ok := any(p.group).(interface{ ReadIndex(done func(error)) })
	if !ok {
		if leading {
			return nil
		}
		return ErrNotLeader
	}
	done := make(chan error, 1)
	g.ReadIndex(func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package partition

import (
	"context"
	"fmt"
	"slices"

	"chronik/raftstore/multiraft"
	"chronik/segment"
)

// Replica is what the leader knows of another replica.
type Replica = multiraft.Replica

// Replication tells how far the other replicas are. Without leadership there is
// nothing to tell.
func (p *Partition) Replication() (leading bool, epoch int32, last segment.Index, rs []Replica) {
	p.mu.Lock()
	group := p.group
	leading, epoch = p.leading && group != nil, p.epoch
	p.mu.Unlock()
	if leading {
		rs = group.Progress()
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
		p.releaseLocked()
	}
}

// InSync is how many replicas are in sync, this one included, as acks=all is
// measured by it. It means something of a leader.
func (p *Partition) InSync() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inSyncLocked()
}

// majority is how many replicas a committed entry is durable on at least.
func (p *Partition) majority() int { return len(p.opt.Voters)/2 + 1 }

// inSyncLocked is how many replicas are known to be in sync. Until somebody has
// told in this term, they are a majority: so many have confirmed the entry that
// the term begins with, and all before it.
func (p *Partition) inSyncLocked() int {
	if p.isr == nil {
		return p.majority()
	}
	return len(p.isr)
}

// enoughLocked is an error while fewer replicas are in sync than the topic
// requires of acks=all.
func (p *Partition) enoughLocked(cause error) error {
	if n, least := p.inSyncLocked(), p.opt.Settings().MinInsyncReplicas; n < least {
		return fmt.Errorf("%w: %d in sync, %d required", cause, n, least)
	}
	return nil
}

// markLocked notes the end of the log.
func (p *Partition) markLocked() {
	if len(p.opt.Voters) > 1 {
		p.progress.Mark(p.last, p.written)
	}
}

// releaseLocked answers the appends with acks=all that are committed, and
// durable on as many in-sync replicas as the topic requires. A majority has
// what is committed; where more are required, so many must have confirmed it.
func (p *Partition) releaseLocked() {
	if !p.leading {
		return
	}
	short := p.enoughLocked(ErrNotEnoughReplicasAfterAppend)
	if short == nil {
		reached := p.committed
		if least := p.opt.Settings().MinInsyncReplicas; least > p.majority() {
			reached = min(reached, p.progress.By(least, min(p.durable, p.written), p.isr))
		}
		p.acked = max(p.acked, reached)
	}
	p.commitAck.End(p.acked, nil)
	if short != nil {
		p.commitAck.End(p.committed, short)
	}
	p.progress.Forget(p.acked)
	p.watchProgressLocked()
}

// watchProgressLocked has the group tell how far the others are while appends
// wait for more of them than a majority.
func (p *Partition) watchProgressLocked() {
	p.watching.Store(p.leading && p.commitAck.Len() > 0 && p.opt.Settings().MinInsyncReplicas > p.majority())
}

// WantsProgress implements multiraft.ProgressWatcher.
func (m *machine) WantsProgress() bool { return m.watching.Load() }

// Progress takes note of how far the other replicas are.
func (m *machine) Progress(rs []Replica) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.Set(rs)
	p.releaseLocked()
}

// TransferLeadership has another replica lead. It is refused unless this one
// leads; a nil error does not mean that the other one will.
func (p *Partition) TransferLeadership(to uint64) error {
	p.mu.Lock()
	group, err := p.group, p.checkEpochLocked(-1)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if err := group.TransferLeadership(to); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil
}

// ReadBarrier returns once this replica has applied everything that was
// committed when it was called: what a follower's reads then return is not
// older than what the leader had acknowledged.
func (p *Partition) ReadBarrier(ctx context.Context) error {
	p.mu.Lock()
	group, failure := p.group, p.failure
	p.mu.Unlock()
	if failure != nil {
		return failure
	}
	done := make(chan error, 1)
	group.ReadIndex(func(err error) { done <- err })
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

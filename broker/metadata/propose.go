package metadata

import (
	"context"
	"fmt"
	"time"

	"chronik/broker/cluster"
	"chronik/segment"
)

// retryPause is the longest time between two attempts to find the leader.
const retryPause = 100 * time.Millisecond

// proposal is a command on its way.
type proposal struct {
	mark mark
	body []byte // encoded, with the mark
	done chan applied
	sent segment.Term // it may be in the log, by the leader of this term; 0: it is not
}

// Propose has a command committed and applied on this node, and returns its
// result and the metadata version that includes it. The leader is waited for,
// and asked if it is another node. When ctx ends, or the disk is full
// (ErrStorage), the command may have been carried out or still be.
func (m *Member) Propose(ctx context.Context, c cluster.Command) (cluster.Result, uint64, error) {
	p := m.begin(c)
	defer m.forget(p.mark)
	for {
		a, turn, err := m.attempt(ctx, p)
		switch {
		case err != nil:
			return cluster.Result{}, 0, err
		case a != nil:
			return a.res, a.version, a.err
		}
		if err := m.pause(ctx, turn, retryPause); err != nil {
			return cluster.Result{}, 0, err
		}
	}
}

// begin marks a command as this node's, and waits for it to be applied.
func (m *Member) begin(c cluster.Command) *proposal {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	p := &proposal{mark: mark{m.self, m.life | m.seq&(1<<32-1)}, done: make(chan applied, 1)}
	p.body = cluster.Proposed{Node: p.mark.node, Seq: p.mark.seq, Command: c}.Append(nil)
	m.waiting[p.mark] = p.done
	return p
}

func (m *Member) forget(at mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting, at)
}

// attempt brings p to the leader of now. It returns what came of it; or, to be
// tried again, what tells that there may be another leader.
func (m *Member) attempt(ctx context.Context, p *proposal) (*applied, <-chan struct{}, error) {
	m.mu.Lock()
	turn, term, lead := m.turn, m.term, m.lead
	err := m.refusalLocked()
	if err == nil && lead {
		m.queue = append(m.queue, p.body)
		m.group.Wake()
		p.sent = term
	}
	m.mu.Unlock()
	if err != nil || !lead {
		return nil, turn, err
	}
	a, err := m.await(ctx, p, term)
	return a, turn, err
}

func (m *Member) refusalLocked() error {
	if m.failure != nil {
		return m.failure
	}
	return m.noRoom
}

// await waits until p, which was proposed by this node as the leader of that
// term, is applied; nil when it no longer leads.
func (m *Member) await(ctx context.Context, p *proposal, term segment.Term) (*applied, error) {
	for {
		m.mu.RLock()
		turn, err, leads := m.turn, m.refusalLocked(), m.lead && m.term == term
		m.mu.RUnlock()
		if err != nil || !leads {
			select {
			case a := <-p.done:
				return &a, nil
			default:
				return nil, err
			}
		}
		select {
		case a := <-p.done:
			return &a, nil
		case <-turn:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx))
		}
	}
}

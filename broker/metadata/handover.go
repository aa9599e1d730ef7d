package metadata

import (
	"context"
	"errors"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/raftstore/multiraft"
	"chronik/segment"
)

// HandOver has another voter lead, if this node does: of those that are live
// and not about to leave, the one that has most of the log. It returns when
// another leads, or when there is nobody to take over; ErrTimeout when ctx ends
// before. A node that does not lead has nothing to hand over, whether another
// leads or not; and one that has lost its leadership for want of a majority
// does not wait for it. Nodes that are gone are not waited for.
func (m *Member) HandOver(ctx context.Context) error {
	var led time.Time // when it was last seen to lead
	for {
		m.mu.RLock()
		failure, lead, leader, turn := m.failure, m.lead, m.leader, m.turn
		m.mu.RUnlock()
		switch {
		case failure != nil:
			return failure
		case !lead && (led.IsZero() || leader >= 0 && leader != m.self):
			return nil
		case lead:
			led = m.opt.Clock.Now()
			to, some := m.successor()
			if !some {
				return nil
			}
			if to == 0 {
				break
			}
			if err := m.group.TransferLeadership(to); err != nil && !errors.Is(err, multiraft.ErrNotLeader) {
				m.opt.Logger.Info("metadata leadership not handed over", "to", to, "err", err)
			}
		case !m.majority() || m.opt.Clock.Now().Sub(led) > m.opt.Session/3: // nobody else will lead
			return nil
		}
		if err := calls.Pause(ctx, m.opt.Clock, turn, retryPause); err != nil {
			return err
		}
	}
}

// majority reports whether enough voters may be alive for another to lead.
func (m *Member) majority() bool {
	voters, others := m.group.Status().Voters, 0
	for _, id := range voters {
		if id != uint64(m.self) && !m.opt.Gone(id) {
			others++
		}
	}
	return others > 0 && others+1 > len(voters)/2
}

// successor is the voter to hand over to, of those that were heard of lately; 0
// when there is none just now. Some reports whether there is any live voter.
func (m *Member) successor() (node uint64, some bool) {
	live := map[uint64]bool{}
	m.View(func(s *cluster.State) {
		for _, b := range s.Live() {
			live[uint64(b.ID)] = !b.Draining && b.ID != m.self && !m.opt.Gone(uint64(b.ID))
		}
	})
	for _, id := range m.group.Status().Voters {
		some = some || live[id]
	}
	now, most := m.opt.Clock.Now(), segment.Index(0)
	for _, r := range m.group.Progress() {
		if live[r.Node] && !r.Learner && r.Match >= most && now.Sub(r.Heard) < m.opt.Session/3 {
			node, most = r.Node, r.Match
		}
	}
	return node, some
}

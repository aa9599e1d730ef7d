package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/internal/clock"
	"chronik/raftstore/multiraft"
)

// ErrNotInCluster is what a node answers to calls of the metadata's before it
// is in a cluster itself; who asks goes on asking.
var ErrNotInCluster = errors.New("this node is not in a cluster yet")

// Serve answers a call of another node's. The methods 1 to 63 are the
// metadata's. It waits for what it is asked for, but not beyond ctx nor much
// longer than a session.
func (m *Member) Serve(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
	ctx, cancel := clock.WithTimeout(ctx, m.opt.Clock, 2*m.opt.Session)
	defer cancel()
	switch method {
	case calls.MethodPropose:
		q, p, err := calls.DecodeProposeRequest(body)
		if err != nil {
			return nil, err
		}
		if uint64(p.Node) != from {
			return nil, fmt.Errorf("%w: node %d proposes for node %d", cluster.ErrMalformed, from, p.Node)
		}
		return m.servePropose(ctx, q, p).Encode(), nil
	case calls.MethodJoin:
		c, err := calls.DecodeJoinRequest(body)
		if err != nil {
			return nil, err
		}
		if uint64(c.ID) != from {
			return nil, fmt.Errorf("%w: node %d asks for node %d", cluster.ErrMalformed, from, c.ID)
		}
		return m.serveJoin(ctx, c).Encode(), nil
	case calls.MethodHeartbeat:
		h, err := calls.DecodeHeartbeat(body)
		if err != nil {
			return nil, err
		}
		if uint64(h.ID) != from {
			return nil, fmt.Errorf("%w: node %d speaks for node %d", cluster.ErrMalformed, from, h.ID)
		}
		return m.serveHeartbeat(h), nil
	}
	return nil, fmt.Errorf("no such method: %d", method)
}

// servePropose proposes another node's command, if this node leads the term
// that it takes it for the leader of.
func (m *Member) servePropose(ctx context.Context, q calls.ProposeRequest, p cluster.Proposed) calls.ProposeAnswer {
	at := calls.Mark{Node: p.Node, Seq: p.Seq}
	m.mu.Lock()
	if err := m.refusalLocked(); err != nil || !m.lead || m.term != q.Term {
		m.mu.Unlock()
		if errors.Is(err, ErrStorage) {
			return calls.ProposeAnswer{Code: calls.Storage, Text: err.Error()}
		}
		return calls.ProposeAnswer{Code: calls.NotLeader, Text: ErrNotLeader.Error()}
	}
	switch known, err := m.state.CheckPeer(p); {
	case err != nil:
		m.mu.Unlock()
		ans := calls.ProposeAnswer{}
		ans.Code, ans.Text = calls.CodeOf(err)
		return ans
	case !known: // or not yet: a new leader may lack what the last one did
		m.mu.Unlock()
		return calls.ProposeAnswer{Code: calls.NotLeader, Text: fmt.Sprintf("node %d, or a broker that it names, is not registered", p.Node)}
	}
	switch fresh, known := m.admitted.Admit(at); {
	case !known:
		m.mu.Unlock()
		return calls.ProposeAnswer{Code: calls.Unknown, Text: "a command older than what the leader remembers"}
	case !fresh:
		m.mu.Unlock()
		return calls.ProposeAnswer{Code: calls.Seen}
	}
	done := make(chan applied, 1)
	m.waiting[at] = done
	m.queue = append(m.queue, q.Command)
	m.group.Wake()
	m.mu.Unlock()
	defer m.forget(at)
	a, err := m.await(ctx, &proposal{mark: at, done: done}, q.Term)
	if a == nil {
		if err == nil {
			err = ErrNotLeader
		}
		return calls.ProposeAnswer{Code: calls.Unknown, Text: err.Error()}
	}
	ans := calls.ProposeAnswer{Version: a.version, First: a.res.First}
	ans.Code, ans.Text = calls.CodeOf(a.err)
	return ans
}

// serveJoin lets a node in: it is registered, and made a learner of the group.
// A node that has been let in is told so again.
func (m *Member) serveJoin(ctx context.Context, c *cluster.RegisterBroker) calls.JoinAnswer {
	refuse := func(err error) calls.JoinAnswer {
		code, text := calls.CodeOf(err)
		return calls.JoinAnswer{Code: code, Text: text}
	}
	m.mu.RLock()
	lead, leader, known := m.lead, cluster.Broker{}, false
	registered, isThere := m.state.Broker(c.ID)
	brokers := len(m.state.Brokers())
	_, formed := m.state.First()
	formed = formed && m.state.ClusterID() != ""
	if m.leader >= 0 {
		leader, known = m.state.Broker(m.leader)
	}
	m.mu.RUnlock()
	switch {
	case !lead && !known:
		return calls.JoinAnswer{Code: calls.NotLeader, Text: "this node knows no leader"}
	case !lead:
		return calls.JoinAnswer{Code: calls.NotLeader, Text: fmt.Sprintf("node %d leads", leader.ID), Leader: leader.RaftAddr}
	case !formed:
		return calls.JoinAnswer{Code: calls.Unknown, Text: "the cluster is being formed"}
	}
	if err := cluster.Check(c); err != nil {
		return refuse(err)
	}
	if !isThere && brokers >= cluster.BrokersMax {
		return refuse(fmt.Errorf("%w: %d", cluster.ErrTooManyBrokers, brokers))
	}
	if !isThere || *cluster.Register(registered) != *c {
		if _, _, err := m.propose(ctx, c, true); err != nil {
			return refuse(err)
		}
	}
	if st := m.group.Status(); !slices.Contains(st.Voters, uint64(c.ID)) && !slices.Contains(st.Learners, uint64(c.ID)) {
		m.opt.Logger.Info("a node joins", "node", c.ID, "addr", c.RaftAddr)
		if err := m.addLearner(ctx, uint64(c.ID)); err != nil {
			return refuse(err)
		}
	}
	return calls.JoinAnswer{Joined: m.joined()}
}

// addLearner adds a learner to the group, behind changes that are under way:
// that of another node which joins, or a new voter.
func (m *Member) addLearner(ctx context.Context, node uint64) error {
	for {
		err := m.group.ChangeMembers(ctx, multiraft.Change{Node: node, As: multiraft.Learner})
		if !errors.Is(err, multiraft.ErrRefused) {
			return err
		}
		if calls.Pause(ctx, m.opt.Clock, nil, changePause) != nil {
			return errors.New("the cluster's members are being changed just now")
		}
	}
}

// changePause is the time between two attempts to change the group's members.
const changePause = 50 * time.Millisecond

// joined is what a joining node has to know.
func (m *Member) joined() Joined {
	m.mu.RLock()
	defer m.mu.RUnlock()
	first, _ := m.state.First()
	j := Joined{ClusterID: m.state.ClusterID(), Voters: []uint64{uint64(first)}, Brokers: map[uint64]string{}}
	for _, b := range m.state.Brokers() {
		if b.RaftAddr != "" {
			j.Brokers[uint64(b.ID)] = b.RaftAddr
		}
	}
	return j
}

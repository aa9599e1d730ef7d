package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chronik/broker/cluster"
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
	case methodPropose:
		q, p, err := decodeProposeRequest(body)
		if err != nil {
			return nil, err
		}
		if _, image := p.Command.(*cluster.Image); image || uint64(p.Node) != from {
			return nil, fmt.Errorf("%w: not a command of node %d's", cluster.ErrMalformed, from)
		}
		return m.servePropose(ctx, q, p).encode(), nil
	case methodJoin:
		c, err := decodeJoinRequest(body)
		if err != nil {
			return nil, err
		}
		if uint64(c.ID) != from {
			return nil, fmt.Errorf("%w: node %d asks for node %d", cluster.ErrMalformed, from, c.ID)
		}
		return m.serveJoin(ctx, c).encode(), nil
	case methodHeartbeat:
		h, err := decodeHeartbeat(body)
		if err != nil {
			return nil, err
		}
		if uint64(h.id) != from {
			return nil, fmt.Errorf("%w: node %d speaks for node %d", cluster.ErrMalformed, from, h.id)
		}
		return m.serveHeartbeat(h), nil
	}
	return nil, fmt.Errorf("no such method: %d", method)
}

// servePropose proposes another node's command, if this node leads the term
// that it takes it for the leader of.
func (m *Member) servePropose(ctx context.Context, q proposeRequest, p cluster.Proposed) proposeAnswer {
	at := mark{p.Node, p.Seq}
	m.mu.Lock()
	if err := m.refusalLocked(); err != nil || !m.lead || m.term != q.term {
		m.mu.Unlock()
		if errors.Is(err, ErrStorage) {
			return proposeAnswer{code: codeStorage, text: err.Error()}
		}
		return proposeAnswer{code: codeNotLeader, text: ErrNotLeader.Error()}
	}
	switch fresh, known := m.admitted.admit(at); {
	case !known:
		m.mu.Unlock()
		return proposeAnswer{code: codeUnknown, text: "a command older than what the leader remembers"}
	case !fresh:
		m.mu.Unlock()
		return proposeAnswer{code: codeSeen}
	}
	done := make(chan applied, 1)
	m.waiting[at] = done
	m.queue = append(m.queue, q.command)
	m.group.Wake()
	m.mu.Unlock()
	defer m.forget(at)
	a, err := m.await(ctx, &proposal{mark: at, done: done}, q.term)
	if a == nil {
		if err == nil {
			err = ErrNotLeader
		}
		return proposeAnswer{code: codeUnknown, text: err.Error()}
	}
	ans := proposeAnswer{version: a.version, first: a.res.First}
	ans.code, ans.text = codeOf(a.err)
	return ans
}

// admissions are the commands of other nodes that this node has proposed as
// the leader of its term. A call that is made again does not propose again.
type admissions map[int32][]*admission // by node, of its latest processes

// admission is of one process.
type admission struct {
	life uint64 // upper half of its sequence numbers
	most uint64 // greatest lower half
	seen map[uint64]struct{}
}

const (
	// admissionsMax is how many commands of one process are remembered. One
	// that is older than all of them is refused.
	admissionsMax = 4096
	// livesMax is how many processes of a node are: calls of the one before
	// may still be under way.
	livesMax = 4
)

// admit notes a command. It is fresh when it has not been admitted before;
// known is false when that is not remembered.
func (as admissions) admit(at mark) (fresh, known bool) {
	a, seq := as.of(at), at.seq&(1<<32-1)
	if seq+admissionsMax <= a.most {
		return false, false
	}
	if _, twice := a.seen[seq]; twice {
		return false, true
	}
	a.seen[seq] = struct{}{}
	if seq > a.most {
		a.most = seq
	}
	if len(a.seen) > 2*admissionsMax {
		for s := range a.seen {
			if s+admissionsMax <= a.most {
				delete(a.seen, s)
			}
		}
	}
	return true, true
}

func (as admissions) of(at mark) *admission {
	life := at.seq >> 32
	for _, a := range as[at.node] {
		if a.life == life {
			return a
		}
	}
	lives := append(as[at.node], &admission{life: life, seen: map[uint64]struct{}{}})
	as[at.node] = lives[max(0, len(lives)-livesMax):]
	return lives[len(lives)-1]
}

// serveJoin lets a node in: it is registered, and made a learner of the group.
// A node that has been let in is told so again.
func (m *Member) serveJoin(ctx context.Context, c *cluster.RegisterBroker) joinAnswer {
	refuse := func(err error) joinAnswer {
		code, text := codeOf(err)
		return joinAnswer{code: code, text: text}
	}
	m.mu.RLock()
	lead, leader, known := m.lead, cluster.Broker{}, false
	registered, isThere := m.state.Broker(c.ID)
	_, formed := m.state.First()
	formed = formed && m.state.ClusterID() != ""
	if m.leader >= 0 {
		leader, known = m.state.Broker(m.leader)
	}
	m.mu.RUnlock()
	switch {
	case !lead && !known:
		return joinAnswer{code: codeNotLeader, text: "this node knows no leader"}
	case !lead:
		return joinAnswer{code: codeNotLeader, text: fmt.Sprintf("node %d leads", leader.ID), leader: leader.RaftAddr}
	case !formed:
		return joinAnswer{code: codeUnknown, text: "the cluster is being formed"}
	}
	if !isThere || *cluster.Register(registered) != *c {
		if _, _, err := m.propose(ctx, c, true); err != nil {
			return refuse(err)
		}
	}
	if st := m.group.Status(); !slices.Contains(st.Voters, uint64(c.ID)) && !slices.Contains(st.Learners, uint64(c.ID)) {
		m.opt.Logger.Info("a node joins", "node", c.ID, "addr", c.RaftAddr)
		if err := m.group.ChangeMembers(ctx, multiraft.Change{Node: uint64(c.ID), As: multiraft.Learner}); err != nil {
			return refuse(err)
		}
	}
	return joinAnswer{joined: m.joined()}
}

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

package metadata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/internal/clock"
	"chronik/raftstore/multiraft"
)

// duty is the work in the background.
type duty struct {
	ctx    context.Context // ends when the member closes
	cancel context.CancelFunc
	woken  chan struct{} // capacity 1
	begun  sync.Once
	done   sync.WaitGroup

	// Of the leader, under the member's lock:
	term  uint64              // the leadership that the rest is of
	heard map[int32]time.Time // when each broker was heard of, or first missed
	back  map[int32]int64     // fenced brokers that were heard of, with their epochs
	last  time.Time           // when it looked last
}

func (d *duty) init() {
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.woken = make(chan struct{}, 1)
}

// wake has the work looked at now.
func (d *duty) wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// beats is how many signs of life there are in a session.
const beats = 6

// Start begins the work in the background, which Close ends; it is to be called
// before Await. Signs of life to the leader; on the leader, fencing brokers that give none and taking them
// back, and making learners voters; on every node, shortening the log.
func (m *Member) Start() {
	m.duty.begun.Do(func() { m.duty.done.Go(m.work) })
}

func (m *Member) stop() {
	m.duty.cancel()
	m.duty.done.Wait()
}

func (m *Member) work() {
	d, interval := &m.duty, m.opt.Session/beats
	for d.ctx.Err() == nil {
		m.shorten()
		m.mu.RLock()
		lead, leader, turn := m.lead, m.leader, m.turn
		m.mu.RUnlock()
		switch {
		case lead:
			m.fence(interval)
			m.promote()
		case m.opt.Peers == nil:
		case leader < 0:
			m.announce(turn)
		case leader != m.self:
			m.beat(leader, turn)
		}
		_ = calls.Pause(d.ctx, m.opt.Clock, d.woken, interval)
	}
}

// untilTurn is a context for calls that are of no use once there may be
// another leader.
func (m *Member) untilTurn(turn <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := clock.WithTimeout(m.duty.ctx, m.opt.Clock, m.opt.Session/2)
	go func() {
		select {
		case <-turn:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// announce is for a node that has come back with another raft address: the
// others do not reach it there until it is registered, nor does it hear of a
// leader that would register it. So it asks them in turn to be let in again.
func (m *Member) announce(turn <-chan struct{}) {
	var others []uint64
	m.View(func(s *cluster.State) {
		if self, known := s.Broker(m.self); !known || self.RaftAddr == m.opt.Self.RaftAddr {
			return
		}
		for _, b := range s.Brokers() {
			if b.ID != m.self {
				others = append(others, uint64(b.ID))
			}
		}
	})
	if len(others) == 0 {
		return
	}
	ctx, cancel := m.untilTurn(turn)
	defer cancel()
	for _, id := range others {
		b, err := m.opt.Peers.Call(ctx, id, calls.MethodJoin, calls.JoinRequest{Self: m.opt.Self}.Encode())
		var ans calls.JoinAnswer
		if err == nil {
			if ans, err = calls.DecodeJoinAnswer(b); err == nil {
				err = calls.ErrorOf(ans.Code, ans.Text)
			}
		}
		if err == nil {
			m.opt.Logger.Info("the cluster knows the new address of this node", "addr", m.opt.Self.RaftAddr)
			return
		}
		m.opt.Logger.Info("the new address of this node is not known yet", "asked", id, "why", err)
	}
}

// beat tells the leader that this broker is there.
func (m *Member) beat(leader int32, turn <-chan struct{}) {
	ctx, cancel := m.untilTurn(turn)
	defer cancel()
	m.mu.RLock()
	self, known := m.state.Broker(m.self)
	m.mu.RUnlock()
	if !known {
		return
	}
	b, err := m.opt.Peers.Call(ctx, uint64(leader), calls.MethodHeartbeat, calls.Heartbeat{ID: self.ID, Epoch: self.Epoch}.Encode())
	if err == nil {
		var code int8
		var text string
		if code, text, err = calls.DecodePlain(b); err == nil {
			err = calls.ErrorOf(code, text)
		}
	}
	if err != nil {
		m.opt.Logger.Debug("the metadata leader did not take a sign of life", "leader", leader, "err", err)
	}
}

// serveHeartbeat notes a broker's sign of life.
func (m *Member) serveHeartbeat(h calls.Heartbeat) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lead {
		return calls.Plain(calls.NotLeader, ErrNotLeader.Error())
	}
	b, known := m.state.Broker(h.ID)
	if !known || b.Epoch != h.Epoch {
		return calls.Plain(calls.CodeOf(cluster.ErrBrokerEpoch))
	}
	m.duty.refreshLocked(uint64(m.term))
	m.duty.heard[h.ID] = m.opt.Clock.Now()
	if b.Fenced {
		m.duty.back[h.ID] = h.Epoch
		m.duty.wake()
	}
	return calls.Plain(calls.OK, "")
}

// refreshLocked forgets what belongs to an earlier leadership.
func (d *duty) refreshLocked(term uint64) {
	if d.heard == nil || d.term != term {
		d.term, d.heard, d.back, d.last = term, map[int32]time.Time{}, map[int32]int64{}, time.Time{}
	}
}

// fence fences the brokers that have not been heard of for a session, and
// takes back those that have. Each has a whole session from when this node
// began to lead; and again, when this process itself has stood still.
func (m *Member) fence(interval time.Duration) {
	ctx, cancel := clock.WithTimeout(m.duty.ctx, m.opt.Clock, m.opt.Session)
	defer cancel()
	for _, c := range m.overdue(interval) {
		switch _, _, err := m.propose(ctx, c, true); {
		case err == nil:
			m.opt.Logger.Info("broker state changed", "command", describe(c))
		case !errors.Is(err, cluster.ErrBrokerEpoch):
			m.opt.Logger.Debug("broker state not changed", "command", describe(c), "err", err)
			return
		}
	}
}

// overdue returns the commands that fence and unfence brokers now.
func (m *Member) overdue(interval time.Duration) (commands []cluster.Command) {
	now := m.opt.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	d := &m.duty
	d.refreshLocked(uint64(m.term))
	if !d.last.IsZero() && now.Sub(d.last) > m.opt.Session/2+interval {
		clear(d.heard)
	}
	d.last = now
	for _, b := range m.state.Brokers() {
		if b.ID == m.self {
			d.heard[b.ID], d.back[b.ID] = now, b.Epoch
		}
		at, ok := d.heard[b.ID]
		switch {
		case !ok:
			d.heard[b.ID] = now
		case !b.Fenced && now.Sub(at) >= m.opt.Session:
			commands = append(commands, &cluster.FenceBroker{ID: b.ID, Epoch: b.Epoch})
			delete(d.back, b.ID)
		case b.Fenced && d.back[b.ID] == b.Epoch:
			commands = append(commands, &cluster.UnfenceBroker{ID: b.ID, Epoch: b.Epoch})
			delete(d.back, b.ID)
		}
	}
	return commands
}

// votersMax is the most voters there are.
const votersMax = 5

// promote makes learners voters: one, three or five, as many as there are
// brokers for. All of them in one change, so that their number is odd before
// and after it.
func (m *Member) promote() {
	changes := m.promotions(m.group.Status().Voters, m.group.Progress())
	if len(changes) == 0 {
		return
	}
	ctx, cancel := clock.WithTimeout(m.duty.ctx, m.opt.Clock, m.opt.Session)
	defer cancel()
	if err := m.group.ChangeMembers(ctx, changes...); err != nil {
		m.opt.Logger.Info("metadata voters not added", "changes", changes, "err", err)
		return
	}
	m.opt.Logger.Info("metadata voters added", "voters", m.group.Status().Voters)
}

// promotions decides which learners become voters now. Members counts those
// that are live; a learner is ready when it lately had the whole log.
func (m *Member) promotions(voters []uint64, members []multiraft.Replica) (changes []multiraft.Change) {
	now, there := m.opt.Clock.Now(), 1
	var ready []uint64
	m.View(func(s *cluster.State) {
		for _, r := range members {
			b, ok := s.Broker(int32(r.Node))
			if !ok || b.Fenced || b.Draining {
				continue
			}
			there++
			if r.Learner && now.Sub(r.CaughtUp) < m.opt.Session/2 && r.Match > 0 {
				ready = append(ready, r.Node)
			}
		}
	})
	slices.SortFunc(ready, cmp.Compare[uint64])
	target := min(votersMax, (there+1)/2*2-1)
	for target > len(voters) && target-len(voters) > len(ready) {
		target -= 2
	}
	for i := range max(0, target-len(voters)) {
		changes = append(changes, multiraft.Change{Node: ready[i], As: multiraft.Voter})
	}
	return changes
}

// describe is a command for the log.
func describe(c cluster.Command) string {
	switch c := c.(type) {
	case *cluster.FenceBroker:
		return "fence broker " + strconv.Itoa(int(c.ID))
	case *cluster.UnfenceBroker:
		return "unfence broker " + strconv.Itoa(int(c.ID))
	}
	return fmt.Sprintf("%T", c)
}

package metadata

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/segment"
)

// retryPause is the longest time between two attempts to find the leader.
const retryPause = 100 * time.Millisecond

// proposal is a command on its way. It reaches the log at most once:
//
//   - A leader admits a mark once in its term, so that within the term a
//     command may be sent to it again (calls.Admissions).
//   - It goes to the leader of another term only when what the earlier ones
//     proposed and is still in the log has been applied here, and it was not
//     in it (settle).
type proposal struct {
	mark  calls.Mark
	body  []byte // encoded, with the mark
	done  chan applied
	jumps int          // Member.jumps when it was made
	sent  segment.Term // it may be in the log, by the leader of this term; 0: it is not
	bind  bool         // it is the leader's own: not to be made by another
}

// Propose has a command committed and applied on this node, and returns its
// result and the metadata version that includes it. The leader is waited for,
// and asked if it is another node. When ctx ends (ErrTimeout), or the disk is
// full (ErrStorage), the command may have been carried out or still be; in
// every other case the answer is final.
//
// Result.Topic is nil if the state of this node jumped over the command, and
// the topic has gone since.
func (m *Member) Propose(ctx context.Context, c cluster.Command) (cluster.Result, uint64, error) {
	return m.propose(ctx, c, false)
}

func (m *Member) propose(ctx context.Context, c cluster.Command, bind bool) (cluster.Result, uint64, error) {
	p, err := m.begin(c)
	if err != nil {
		return cluster.Result{}, 0, err
	}
	p.bind = bind
	defer m.forget(p.mark)
	for {
		a, turn, err := m.attempt(ctx, p)
		switch {
		case err != nil:
			return cluster.Result{}, 0, err
		case a != nil:
			return a.res, a.version, a.err
		case bind:
			return cluster.Result{}, 0, ErrNotLeader
		}
		if err := calls.Pause(ctx, m.opt.Clock, turn, retryPause); err != nil {
			return cluster.Result{}, 0, err
		}
	}
}

// begin marks a command as this node's, and waits for it to be applied.
func (m *Member) begin(c cluster.Command) (*proposal, error) {
	if err := cluster.Check(c); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	p := &proposal{mark: calls.Mark{Node: m.self, Seq: m.life | m.seq&(1<<32-1)}, done: make(chan applied, 1), jumps: m.jumps}
	p.body = cluster.Proposed{Node: p.mark.Node, Seq: p.mark.Seq, Command: c}.Append(nil)
	if len(p.body) > calls.CommandBytesMax {
		return nil, fmt.Errorf("%w: a change of %d bytes, at most %d", cluster.ErrTooLarge, len(p.body), calls.CommandBytesMax)
	}
	m.waiting[p.mark] = p.done
	return p, nil
}

func (m *Member) forget(at calls.Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting, at)
}

// attempt brings p to the leader of now. It returns what came of it; or
// nothing, and then what tells that there may be another leader to try.
func (m *Member) attempt(ctx context.Context, p *proposal) (*applied, <-chan struct{}, error) {
	m.mu.RLock()
	turn, term, stale := m.turn, m.term, p.sent != 0 && p.sent != m.term
	m.mu.RUnlock()
	if stale {
		return m.settle(ctx, p, turn)
	}
	m.mu.Lock()
	leader, again := m.leader, p.sent != 0
	err := m.refusalLocked()
	own := err == nil && m.lead && m.term == term
	if own && !again {
		p.sent = term
		m.queue = append(m.queue, p.body)
		m.group.Wake()
	}
	m.mu.Unlock()
	switch {
	case err != nil:
		return nil, nil, err
	case own:
		a, err := m.await(ctx, p, term)
		return a, closed, err
	case leader < 0 || leader == m.self || m.opt.Peers == nil || p.bind:
		return nil, turn, nil
	}
	p.sent = term
	a, definite, err := m.forward(ctx, p, leader, term, turn)
	if definite && !again {
		p.sent = 0
	}
	return a, turn, err
}

// closed is a turn that has come.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (m *Member) refusalLocked() error {
	if m.failure != nil {
		return m.failure
	}
	return m.noRoom
}

// settle finds out what became of p, which the leader of an earlier term had:
// once everything is applied that was committed when another leads, either it
// is among that or it is gone; or an image jumped over it, and nobody knows.
func (m *Member) settle(ctx context.Context, p *proposal, turn <-chan struct{}) (*applied, <-chan struct{}, error) {
	err := m.readIndex(ctx)
	if err != nil && !errors.Is(err, errAgain) {
		return nil, nil, err
	}
	m.mu.RLock()
	jumps := m.jumps
	m.mu.RUnlock()
	select {
	case a := <-p.done:
		return &a, nil, nil
	default:
	}
	switch {
	case err != nil:
		return nil, turn, nil
	case jumps != p.jumps:
		return nil, nil, fmt.Errorf("%w: the state of this node was replaced meanwhile", ErrTimeout)
	}
	p.sent = 0
	return nil, closed, nil
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
			return nil, calls.TimedOut(ctx)
		}
	}
}

// forward asks the leader to propose p, and waits until this node has applied
// it. It returns nothing when p is to be tried again; definite says that the
// leader did not take it.
func (m *Member) forward(ctx context.Context, p *proposal, leader int32, term segment.Term, turn <-chan struct{}) (a *applied, definite bool, err error) {
	callCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan calls.ProposeAnswer, 1)
	go func() {
		b, err := m.opt.Peers.Call(callCtx, uint64(leader), calls.MethodPropose, calls.ProposeRequest{Term: term, Command: p.body}.Encode())
		if err == nil {
			var ans calls.ProposeAnswer
			if ans, err = calls.DecodeProposeAnswer(b); err == nil {
				answers <- ans
				return
			}
		}
		if callCtx.Err() == nil {
			m.opt.Logger.Debug("the metadata leader cannot be asked", "leader", leader, "err", err)
		}
		answers <- calls.ProposeAnswer{Code: calls.Unknown}
	}()
	select {
	case got := <-p.done: // applied here: that is the result
		return &got, false, nil
	case <-turn: // there may be another leader
		return nil, false, nil
	case <-ctx.Done():
		return nil, false, calls.TimedOut(ctx)
	case ans := <-answers:
		if ans.Refused() {
			return nil, true, ans.Err()
		}
		switch ans.Code {
		case calls.NotLeader:
			return nil, true, nil
		case calls.Unknown:
			return nil, false, nil
		case calls.Storage:
			return nil, false, ans.Err()
		case calls.Seen: // an earlier call brought it: it will be applied
			ans.Version = 0
		}
		a, err = m.reach(ctx, p, ans, turn)
		return a, false, err
	}
}

// reach waits until this node has applied p, or what contains it.
func (m *Member) reach(ctx context.Context, p *proposal, ans calls.ProposeAnswer, turn <-chan struct{}) (*applied, error) {
	for {
		m.mu.RLock()
		version, progress, err := m.state.Version(), m.progress, m.failure
		m.mu.RUnlock()
		select {
		case a := <-p.done:
			return &a, nil
		default:
		}
		if err != nil {
			return nil, err
		}
		if ans.Version != 0 {
			if version >= ans.Version { // an image jumped over it
				return m.result(p, ans), nil
			}
			turn = nil // it is committed, whoever leads
		}
		select {
		case a := <-p.done:
			return &a, nil
		case <-progress:
		case <-turn:
			return nil, nil
		case <-ctx.Done():
			return nil, calls.TimedOut(ctx)
		}
	}
}

// result is what the leader answered, with the topic as this node has it.
func (m *Member) result(p *proposal, ans calls.ProposeAnswer) *applied {
	a := &applied{res: cluster.Result{First: ans.First}, version: ans.Version, err: ans.Err()}
	decoded, _, err := cluster.Decode(p.body)
	if err != nil {
		panic(fmt.Sprintf("BUG: own command: %v", err))
	}
	var id cluster.TopicID
	switch c := decoded.Command.(type) {
	case *cluster.CreateTopic:
		id = c.ID
	case *cluster.AddPartitions:
		id = c.ID
	default:
		return a
	}
	m.View(func(s *cluster.State) { a.res.Topic = s.TopicByID(id) })
	return a
}

// Await waits until there is a leader and everything that was committed before
// the call is applied on this node. It is ErrTimeout when ctx ends before.
func (m *Member) Await(ctx context.Context) error {
	for {
		m.mu.RLock()
		turn := m.turn
		m.mu.RUnlock()
		err := m.readIndex(ctx)
		if !errors.Is(err, errAgain) {
			return err
		}
		if err := calls.Pause(ctx, m.opt.Clock, turn, retryPause); err != nil {
			return err
		}
	}
}

// errAgain is a read index that was not had; there may be one later.
var errAgain = errors.New("no read index")

func (m *Member) readIndex(ctx context.Context) error {
	read := make(chan error, 1)
	m.group.ReadIndex(func(err error) { read <- err })
	for {
		m.mu.RLock()
		failure, changed := m.failure, m.turn
		m.mu.RUnlock()
		if failure != nil {
			return failure
		}
		select {
		case err := <-read:
			if err != nil {
				return fmt.Errorf("%w: %w", errAgain, err)
			}
			return nil
		case <-changed: // the group tells what became of the question; unless it has failed
		case <-ctx.Done():
			return calls.TimedOut(ctx)
		}
	}
}

package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"chronik/raftstore/transport/wire"
)

// Errors of calls.
var (
	// ErrUnreachable is a call that was not served: no connection, or no room
	// at the other side.
	ErrUnreachable = errors.New("transport: node is unreachable")
	// ErrLost is a call whose connection broke before the answer: it may have
	// been served or not.
	ErrLost = errors.New("transport: the connection was lost during the call")
	// ErrTooLarge is a body larger than BodyBytesMax.
	ErrTooLarge = errors.New("transport: too large for a call")
)

// BodyBytesMax is the greatest body of a call, or of its answer.
const BodyBytesMax = wire.BodyBytesMax

const (
	// servingMax bounds the calls being served, servingConnMax those of a connection.
	servingMax     = 256
	servingConnMax = 64
)

// RemoteError is an error that Serve returned at the other side.
type RemoteError struct{ Msg string }

func (e *RemoteError) Error() string { return e.Msg }

type result struct {
	body []byte
	err  error
}

// caller is a connection for calls that was dialed.
type caller struct {
	*conn
	out chan []byte // frames

	pendMu  sync.Mutex
	pending map[uint64]chan result
	nextID  uint64
	ended   bool
}

// newCaller runs c until it fails.
func (t *Transport) newCaller(c *conn, heard func()) (*caller, bool) {
	k := &caller{conn: c, out: make(chan []byte, 16), pending: map[uint64]chan result{}}
	ok := t.spawn(func() { k.read(heard) }) && t.spawn(k.write)
	if !ok {
		c.fail(ErrClosed)
	}
	return k, ok
}

func (k *caller) write() {
	for {
		select {
		case b := <-k.out:
			if _, err := k.nc.Write(b); err != nil {
				k.fail(err)
				return
			}
		case <-k.done:
			return
		}
	}
}

func (k *caller) read(heard func()) {
	for {
		typ, body, err := wire.ReadFrame(k.r, k.limit)
		if err == nil && typ == wire.FrameAnswer {
			err = k.answered(body)
		} else if err == nil && typ != wire.FramePong {
			err = fmt.Errorf("%w: type %d in answer to a call", wire.ErrBadFrame, typ)
		}
		if err != nil {
			k.fail(err)
			break
		}
		heard()
	}
	k.pendMu.Lock()
	defer k.pendMu.Unlock()
	k.ended = true
	for id, done := range k.pending {
		delete(k.pending, id)
		done <- result{err: fmt.Errorf("%w: %w", ErrLost, k.reason())}
	}
}

func (k *caller) answered(b []byte) error {
	a, err := wire.ParseAnswer(b)
	if err != nil {
		return err
	}
	k.pendMu.Lock()
	done := k.pending[a.ID]
	delete(k.pending, a.ID)
	k.pendMu.Unlock()
	if done == nil {
		return nil // the caller has given up
	}
	switch a.Outcome {
	case wire.Served:
		done <- result{body: a.Body}
	case wire.Overloaded:
		done <- result{err: fmt.Errorf("%w: it serves too many calls", ErrUnreachable)}
	default:
		done <- result{err: &RemoteError{Msg: string(a.Body)}}
	}
	return nil
}

// call makes one call. sent is false if the other side cannot have seen it.
func (k *caller) call(ctx context.Context, method uint8, body []byte) ([]byte, error) {
	done := make(chan result, 1)
	k.pendMu.Lock()
	if k.ended {
		k.pendMu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, k.reason())
	}
	k.nextID++
	id := k.nextID
	k.pending[id] = done
	k.pendMu.Unlock()
	defer func() {
		k.pendMu.Lock()
		delete(k.pending, id)
		k.pendMu.Unlock()
	}()
	select {
	case k.out <- wire.AppendCall(nil, wire.Call{ID: id, Method: method, Wait: k.wait(ctx), Body: body}):
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-k.done:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, k.reason())
	}
	select {
	case r := <-done:
		return r.body, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wait is what is left of ctx; 0: no end.
func (k *caller) wait(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(deadline.Sub(k.t.opt.Clock.Now()), time.Millisecond)
}

func (k *caller) ping() {
	select {
	case k.out <- pingFrame:
	default: // what waits will do
	}
}

// callLink is the connection for calls to a peer, dialed when a call needs it.
type callLink struct {
	p *peer

	mu      sync.Mutex
	current *caller
	attempt *attempt // under way
}

// attempt is a dial that several calls may wait for.
type attempt struct {
	done chan struct{}
	k    *caller
	err  error
}

func (l *callLink) live() *caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil && l.current.reason() != nil {
		l.current = nil
	}
	return l.current
}

func (l *callLink) fail(err error) {
	if k := l.live(); k != nil {
		k.fail(err)
	}
}

func (l *callLink) keep(addrs []string) {
	if k := l.live(); k != nil && !slices.Contains(addrs, k.addr) {
		k.fail(errMoved)
	}
}

func (l *callLink) tick(now time.Time) {
	if k := l.live(); k != nil {
		k.watch(now)
		k.ping()
	}
}

// get returns the connection, dialing it if there is none.
func (l *callLink) get(ctx context.Context) (*caller, error) {
	if k := l.live(); k != nil {
		return k, nil
	}
	l.mu.Lock()
	a := l.attempt
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		if !l.p.t.spawn(func() { l.dial(a) }) {
			l.mu.Unlock()
			return nil, ErrClosed
		}
		l.attempt = a
	}
	l.mu.Unlock()
	select {
	case <-a.done:
		return a.k, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *callLink) dial(a *attempt) {
	c, err := l.p.connect(l.p.ctx, wire.Calls)
	if err != nil {
		a.err = fmt.Errorf("%w: node %d: %w", ErrUnreachable, l.p.id, err)
	} else if k, ok := l.p.t.newCaller(c, l.p.hear); ok {
		a.k = k
	} else {
		a.err = ErrClosed
	}
	l.mu.Lock()
	l.current, l.attempt = a.k, nil
	l.mu.Unlock()
	if l.p.ctx.Err() != nil {
		l.fail(ErrClosed)
	}
	close(a.done)
}

// Call has a peer serve a call. It dials at once when there is no connection,
// and gives ErrUnreachable when that fails or the peer is not known, ErrLost when
// the connection breaks before the answer, a *RemoteError for an error of the
// peer's Serve, and the error of ctx. A call to the node itself is served here.
// The body is not used once Call has returned; the answer is the caller's.
func (t *Transport) Call(ctx context.Context, to uint64, method uint8, body []byte) ([]byte, error) {
	start := t.opt.Clock.Now()
	answer, err := t.callPeer(ctx, to, method, body)
	t.opt.Hooks.RPC(method, to, t.opt.Clock.Now().Sub(start), err)
	return answer, err
}

func (t *Transport) callPeer(ctx context.Context, to uint64, method uint8, body []byte) ([]byte, error) {
	switch {
	case len(body) > BodyBytesMax:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(body), BodyBytesMax)
	case t.ctx.Err() != nil:
		return nil, ErrClosed
	case to == t.opt.NodeID:
		return t.callSelf(ctx, method, body)
	}
	p := t.peer(to)
	if p == nil {
		return nil, fmt.Errorf("%w: node %d is not known", ErrUnreachable, to)
	}
	k, err := p.calls.get(ctx)
	if err != nil {
		return nil, err
	}
	return k.call(ctx, method, body)
}

func (t *Transport) callSelf(ctx context.Context, method uint8, body []byte) ([]byte, error) {
	if t.opt.Serve == nil {
		return nil, &RemoteError{Msg: noService}
	}
	answer, err := t.opt.Serve(ctx, t.opt.NodeID, method, slices.Clone(body))
	if err != nil {
		return nil, &RemoteError{Msg: err.Error()}
	}
	return answer, nil
}

// CallAddr makes a call to whoever listens at an address, over a connection of
// its own, and tells who it was. Errors are those of Call.
func (t *Transport) CallAddr(ctx context.Context, addr string, method uint8, body []byte) (from uint64, answer []byte, err error) {
	start := t.opt.Clock.Now()
	defer func() { t.opt.Hooks.RPC(method, from, t.opt.Clock.Now().Sub(start), err) }()
	if len(body) > BodyBytesMax {
		return 0, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(body), BodyBytesMax)
	}
	if t.ctx.Err() != nil {
		return 0, nil, ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	c, err := t.dial(ctx, addr, wire.Calls, 0)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		return 0, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	k, ok := t.newCaller(c, func() {})
	if !ok {
		return 0, nil, ErrClosed
	}
	defer k.fail(ErrClosed)
	answer, err = k.call(ctx, method, body)
	return c.node, answer, err
}

const noService = "transport: this node serves no calls"

// callServer is a connection whose calls are served.
type callServer struct {
	t      *Transport
	c      *conn
	ctx    context.Context
	places chan struct{}
	mu     sync.Mutex // one writes at a time
}

func (s *callServer) write(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.c.nc.Write(frame)
	return err
}

func (s *callServer) answer(id uint64, outcome wire.Outcome, body []byte) error {
	return s.write(wire.AppendAnswer(nil, wire.Answer{ID: id, Outcome: outcome, Body: body}))
}

// take serves a call if there is room.
func (s *callServer) take(b []byte, wg *sync.WaitGroup) error {
	call, err := wire.ParseCall(b)
	if err != nil {
		return err
	}
	select {
	case s.places <- struct{}{}:
	default:
		return s.answer(call.ID, wire.Overloaded, nil)
	}
	select {
	case s.t.serving <- struct{}{}:
	default:
		<-s.places
		return s.answer(call.ID, wire.Overloaded, nil)
	}
	wg.Go(func() {
		defer func() { <-s.places }()
		outcome, body, ok := s.serve(call)
		<-s.t.serving
		if !ok {
			return
		}
		if err := s.answer(call.ID, outcome, body); err != nil {
			s.c.fail(err)
		}
	})
	return nil
}

// serve serves a call; ok is false if there is nothing to answer: it was cut
// short, and nobody knows how far it came. Its caller has given up, or gets ErrLost.
func (s *callServer) serve(call wire.Call) (outcome wire.Outcome, body []byte, ok bool) {
	if s.t.opt.Serve == nil {
		return wire.Failed, []byte(noService), true
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	if call.Wait > 0 {
		defer s.t.opt.Clock.AfterFunc(call.Wait, cancel).Stop()
	}
	answer, err := s.t.opt.Serve(ctx, s.c.node, call.Method, call.Body)
	if err == nil && len(answer) > BodyBytesMax {
		err = fmt.Errorf("%w: answer of %d bytes", ErrTooLarge, len(answer))
	}
	if err != nil {
		words := err.Error()
		return wire.Failed, []byte(words[:min(len(words), 64<<10)]), ctx.Err() == nil
	}
	return wire.Served, answer, true
}

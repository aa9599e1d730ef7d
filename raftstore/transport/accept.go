package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"chronik/raftstore/transport/shares"
	"chronik/raftstore/transport/wire"
)

const (
	// pendingMax bounds the connections whose hello is not done, strangersMax
	// those behind it that have no place of a known peer's.
	pendingMax   = 128
	strangersMax = 128
	// A known peer has places for its connections: of each class for messages
	// two, so that nobody who calls himself by its name takes its place away.
	messagePlaces = 2
	callPlaces    = 8
	// acceptPause is the wait behind a failed accept: there are no descriptors.
	acceptPause = 50 * time.Millisecond
)

// Serve takes connections from ln until the transport is closed, which closes
// ln; then it returns nil. It may be called for several listeners.
func (t *Transport) Serve(ln net.Listener) error {
	done := make(chan error, 1)
	if !t.spawn(func() { done <- t.acceptAll(ln) }) {
		return ln.Close()
	}
	return <-done
}

func (t *Transport) acceptAll(ln net.Listener) error {
	t.mu.Lock()
	t.listeners[ln] = true
	t.mu.Unlock()
	defer func() {
		_ = ln.Close()
		t.mu.Lock()
		delete(t.listeners, ln)
		t.mu.Unlock()
	}()
	for t.ctx.Err() == nil {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			t.take(nc)
		case t.ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("transport: accept: %w", err)
		default:
			t.say(slog.LevelError, "cannot accept a peer's connection", "", err)
			t.pause(t.ctx, acceptPause, nil)
		}
	}
	return nil
}

// take serves a connection. When there are too many whose hello is not done, one
// of them gives way.
func (t *Transport) take(nc net.Conn) {
	var out net.Conn
	t.mu.Lock()
	if len(t.pending) >= pendingMax {
		i := shares.GivesWay(t.pending, func(c net.Conn) string { return host(c.RemoteAddr()) })
		out = t.pending[i]
		t.pending = slices.Delete(t.pending, i, i+1)
	}
	t.pending = append(t.pending, nc)
	t.mu.Unlock()
	if out != nil {
		_ = out.Close()
	}
	if !t.spawn(func() { t.serve(nc) }) {
		_ = nc.Close()
	}
}

// serve does the hello with whoever has connected, and serves the connection.
func (t *Transport) serve(nc net.Conn) {
	inTime := t.deadline(t.ctx, nc)
	c, err := t.welcome(nc)
	switch late := !inTime(); {
	case late && err == nil:
		err = context.DeadlineExceeded
	case late && errors.Is(err, net.ErrClosed): // by the timer
		err = fmt.Errorf("no hello within %v: %w", openTimeout, err)
	}
	t.mu.Lock()
	if i := slices.Index(t.pending, nc); i >= 0 {
		t.pending = slices.Delete(t.pending, i, i+1)
	}
	t.mu.Unlock()
	if err != nil {
		if t.ctx.Err() == nil {
			t.say(slog.LevelWarn, "connection refused", host(nc.RemoteAddr()), err, "remote", nc.RemoteAddr())
		}
		_ = nc.Close()
		t.delist(c)
		return
	}
	if p := t.peer(c.node); p != nil {
		p.kick() // it is there
	}
	if c.class == wire.Calls {
		t.serveCalls(c)
	} else {
		t.serveMessages(c)
	}
	c.giveRoom()
	t.delist(c)
	if err := c.reason(); errors.Is(err, wire.ErrBadFrame) {
		t.say(slog.LevelError, "a peer's connection is closed", strconv.FormatUint(c.node, 10), err, "node", c.node, "class", c.class)
	}
}

// enlist adds a connection. A node has one of each class for messages: if it
// opens another, from the same host, the earlier one is dead, and we have not
// heard yet. From another host that may be somebody else, and both stay.
func (t *Transport) enlist(c *conn) {
	var out []*conn
	t.mu.Lock()
	places, others := callPlaces, 0
	if c.class != wire.Calls {
		places = messagePlaces
	}
	for other := range t.inbound {
		switch {
		case other.node != c.node || other.class != c.class:
		case c.class != wire.Calls && other.remote == c.remote:
			out = append(out, other)
		default:
			others++
		}
	}
	known := t.peers[c.node] != nil && others < places
	if !known {
		out = append(out, t.outcastLocked()...)
	}
	for _, other := range out {
		delete(t.inbound, other)
	}
	t.enlisted++
	c.order, t.inbound[c] = t.enlisted, known
	t.mu.Unlock()
	for _, other := range out {
		other.fail(net.ErrClosed)
	}
	if t.ctx.Err() != nil { // Close may have looked already
		c.fail(ErrClosed)
	}
}

// outcastLocked is the stranger that gives way to another one, if there are as
// many as may be.
func (t *Transport) outcastLocked() []*conn {
	var strangers []*conn
	for c, known := range t.inbound {
		if !known {
			strangers = append(strangers, c)
		}
	}
	if len(strangers) < strangersMax {
		return nil
	}
	slices.SortFunc(strangers, func(a, b *conn) int { return cmp.Compare(a.order, b.order) })
	i := shares.GivesWay(strangers, func(c *conn) string { return c.remote })
	return strangers[i : i+1]
}

func (t *Transport) delist(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.inbound, c)
}

// welcome does TLS and the hello on an accepted connection. It is enlisted before
// it is answered, so that a node's connections are in the order it opened them.
func (t *Transport) welcome(nc net.Conn) (*conn, error) {
	if t.server != nil {
		tc := tls.Server(nc, t.server)
		if err := tc.HandshakeContext(t.ctx); err != nil {
			if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) {
				_, _ = nc.Write(tlsAlert) // crypto/tls sends none
			}
			return nil, tlsError(err)
		}
		nc = tc
	}
	c := t.newConn(nc)
	c.remote = host(nc.RemoteAddr())
	theirs, head, err := readHello(c.r)
	if err != nil {
		return nil, named(err, head)
	}
	answer := theirs.Answer(t.hello(0, 0))
	c.class, c.node = theirs.Class, theirs.Node
	if answer.Status == wire.Welcome {
		t.enlist(c)
	}
	if _, err := nc.Write(wire.AppendFrame(nil, wire.FrameHello, answer.Append(nil))); err != nil {
		return c, err
	}
	if answer.Status != wire.Welcome {
		return c, fmt.Errorf("%w: %s", wire.ErrRefused, answer.Words)
	}
	return c, nil
}

// serveMessages delivers what comes until the connection fails.
func (t *Transport) serveMessages(c *conn) {
	for {
		typ, body, err := c.readFrame()
		if err != nil {
			c.fail(err)
			return
		}
		if p := t.peer(c.node); p != nil {
			p.hear()
		}
		switch typ {
		case wire.FramePing:
			if _, err := c.nc.Write(pongFrame); err != nil {
				c.fail(err)
				return
			}
		case wire.FrameMessages:
			if err := t.deliver(c, body); err != nil {
				c.fail(err)
				return
			}
		default:
			c.fail(fmt.Errorf("%w: type %d on a %s connection", wire.ErrBadFrame, typ, c.class))
			return
		}
	}
}

func (t *Transport) deliver(c *conn, body []byte) error {
	r := wire.Messages(body, c.node, t.opt.NodeID)
	for {
		before := r.Left()
		group, m, ok := r.Next()
		if !ok {
			return r.Err()
		}
		t.opt.Hooks.Received(m.GetType(), len(m.GetEntries()), before-r.Left())
		if err := t.opt.Deliver(c.node, group, m); err != nil {
			t.opt.Logger.Debug("raft message refused", "node", c.node, "group", group, "err", err)
		}
	}
}

// serveCalls serves calls until the connection fails, and waits for them.
func (t *Transport) serveCalls(c *conn) {
	ctx, cancel := context.WithCancel(t.ctx)
	var wg sync.WaitGroup
	s := &callServer{t: t, c: c, ctx: ctx, places: make(chan struct{}, servingConnMax)}
	for {
		typ, body, err := c.readFrame()
		if err == nil {
			switch typ {
			case wire.FramePing:
				err = s.write(pongFrame)
			case wire.FrameCall:
				err = s.take(body, &wg)
			default:
				err = fmt.Errorf("%w: type %d on a connection for calls", wire.ErrBadFrame, typ)
			}
		}
		if err != nil {
			c.fail(err)
			break
		}
	}
	cancel()
	wg.Wait()
}

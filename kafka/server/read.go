package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// firstReadBytes is the buffer a frame starts with, whatever size it claims,
// unless the connection has sent a larger one before.
const firstReadBytes = 64 << 10

// trustedBytesMax is the largest buffer that a frame starts with.
const trustedBytesMax = 1 << bufferBitsMax

type frameSizeError struct{ size, max int }

func (e *frameSizeError) Error() string {
	return fmt.Sprintf("frame of %d bytes, want 0 to %d", e.size, e.max)
}

// readLoop reads frames until the peer, the handler or a shutdown ends it.
func (c *Conn) readLoop() {
	defer c.ended.Done()
	defer close(c.queue)
	err := c.readFrames()
	reason := c.reasonOf(err)
	c.mu.Lock()
	if c.reason == 0 {
		c.reason = reason
	}
	c.mu.Unlock()
	c.server.log.Debug("stopped reading", "reason", reason, "remote", c.host, "err", err)
	if reason == ClosedByPeer || reason == ClosedByPanic {
		c.cancel() // nobody is there to answer; wakes whatever waits
	}
}

func (c *Conn) readFrames() error {
	for {
		size, err := c.readSize()
		if err != nil {
			return err
		}
		// No body is read, and no budget taken, behind a request that may park.
		if err := c.awaitSerial(); err != nil {
			return err
		}
		x, err := c.readExchange(size)
		if err != nil {
			return err
		}
		if err := c.start(x); err != nil {
			return err
		}
	}
}

// readSize waits for the next frame. The peer may be idle here.
func (c *Conn) readSize() (int, error) {
	head, err := c.in.Peek(4)
	if err != nil {
		return 0, err
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	c.in.Discard(4)
	if limit := c.server.limits.FrameBytesMax; size < 0 || size > limit {
		return 0, &frameSizeError{size, limit}
	}
	return size, nil
}

// awaitSerial waits until no request that does not overlap is under way.
func (c *Conn) awaitSerial() error {
	select {
	case c.serial <- struct{}{}:
		<-c.serial
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// start serves x if it may overlap, else leaves it to the writer.
func (c *Conn) start(x *exchange) error {
	c.mu.Lock()
	c.underWay++
	c.mu.Unlock()
	if !c.overlaps(x) {
		x.deferred = true
		c.serial <- struct{}{} // free: awaitSerial
		c.queue <- x
		return nil
	}
	if err := c.serve(x); err != nil {
		c.done(x, false)
		return err
	}
	if x.wait == nil && !x.hasResponse() {
		c.done(x, true)
		return nil
	}
	c.queue <- x // the writer always drains it
	return nil
}

// overlaps asks the handler; a panic there shows again in Serve.
func (c *Conn) overlaps(x *exchange) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return c.handler.Overlaps(x.frame.b)
}

// readExchange reads one frame of size bytes.
func (c *Conn) readExchange(size int) (*exchange, error) {
	x := exchangePool.Get().(*exchange)
	c.mu.Lock()
	c.reading = transfer{active: true, since: c.server.clock.Now()}
	c.mu.Unlock()
	err := c.readFrame(x, size)
	c.mu.Lock()
	c.reading.active = false
	c.lastActive = c.server.clock.Now()
	if err == nil {
		c.trusted = min(max(c.trusted, size), trustedBytesMax)
	}
	c.mu.Unlock()
	if err != nil {
		x.grant.release()
		x.work.release()
		if x.frame != nil {
			x.frame.put()
		}
		x.recycle()
		return nil, err
	}
	c.server.hooks.Received(4 + size)
	return x, nil
}

// readFrame fills x.frame, whose buffer starts small and doubles each time it
// is full. A connection that has sent frames of this size before gets the
// whole buffer at once, up to trustedBytesMax.
func (c *Conn) readFrame(x *exchange, size int) error {
	b := c.server.large
	if size <= smallFrameBytesMax {
		b = c.server.small
	}
	length := min(size, max(firstReadBytes, c.trusted))
	if err := c.acquire(b, &x.grant, bufferCap(length)); err != nil {
		return err
	}
	x.frame = getBuffer(length)
	for have := 0; ; {
		if err := c.fill(x.frame.b[have:]); err != nil {
			return err
		}
		if have = length; have == size {
			return c.takeWeight(x)
		}
		length = min(size, 2*have)
		if err := c.acquire(b, &x.grant, bufferCap(length)); err != nil {
			return err
		}
		grown, old := getBuffer(length), x.frame
		copy(grown.b, old.b)
		x.frame = grown
		b.shrink(&x.grant, int64(cap(old.b)))
		old.put()
	}
}

// A weight of at most weightBytesFree is not taken: what each connection is said to need covers it. A request that
// is heavier than weightBytesMin and the largest frame is not served.
const (
	weightBytesFree = 48 << 10
	weightBytesMin  = 16 << 20
)

type weightError struct{ weight, max int64 }

func (e *weightError) Error() string {
	return fmt.Sprintf("the request may take %d bytes to serve, more than %d", e.weight, e.max)
}

// takeWeight acquires what serving x takes, now that its frame is there.
func (c *Conn) takeWeight(x *exchange) error {
	weight := c.weight(x)
	if limit := max(weightBytesMin, int64(c.server.limits.FrameBytesMax)); weight > limit {
		return &weightError{weight, limit}
	}
	if weight <= weightBytesFree {
		return nil
	}
	return c.acquire(c.server.work, &x.work, int(weight))
}

// weight asks the handler; a panic there shows again in Serve.
func (c *Conn) weight(x *exchange) (bytes int64) {
	defer func() {
		if recover() != nil {
			bytes = 0
		}
	}()
	return c.handler.Weight(x.frame.b)
}

// acquire takes n bytes of budget; the time it waits is not the peer's.
func (c *Conn) acquire(b *budget, g *grant, n int) error {
	if b.tryAcquire(g, int64(n)) {
		return nil
	}
	start := c.server.clock.Now()
	c.mu.Lock()
	c.reading.paused = true
	c.mu.Unlock()
	err := b.acquire(c.ctx, g, int64(n))
	now := c.server.clock.Now()
	c.mu.Lock()
	c.reading.paused = false
	c.reading.since = c.reading.since.Add(now.Sub(start))
	c.mu.Unlock()
	c.server.hooks.MemoryWaited(now.Sub(start))
	return err
}

// fill reads len(p) bytes and notes the progress.
func (c *Conn) fill(p []byte) error {
	for len(p) > 0 {
		n, err := c.in.Read(p)
		p = p[n:]
		c.mu.Lock()
		c.reading.bytes += int64(n)
		c.mu.Unlock()
		if err != nil && len(p) > 0 {
			if isEOF(err) {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

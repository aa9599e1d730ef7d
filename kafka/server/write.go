package server

// A response is written in pieces of at most this many bytes and slices, so
// that the sweep can see whether the peer takes them.
const (
	writePieceBytes  = 1 << 20
	writePieceSlices = 512
)

// pollBytesMax is the most that a poll may weigh and wait while others wait for memory: a queue of
// heavier ones is gone at once, and not some with each sweep.
const pollBytesMax = 1 << 20

// writeLoop runs the requests that do not overlap and writes responses in
// order, until the reader has ended and nothing is left to answer.
func (c *Conn) writeLoop() {
	var err error
	for x := range c.queue {
		if err != nil || c.ctx.Err() != nil { // lost: let go of what is left
			if x.deferred {
				<-c.serial
			}
			c.done(x, x.deferred)
			continue
		}
		if err = c.answer(x); err != nil {
			c.abort(c.reasonOf(err))
		}
	}
	c.ended.Wait()
	c.close()
}

// answer completes x and writes its response. What the request held goes back
// before the write, which may take as long as the peer likes; the next request
// that does not overlap is read behind it (G3).
func (c *Conn) answer(x *exchange) error {
	var err error
	if x.deferred {
		c.park(x)
		if x.work.held > pollBytesMax && c.server.work.short() {
			c.wake(c.server.work)
		}
		err = c.serve(x)
		c.park(nil)
		defer func() { <-c.serial }() // the reader may go on
	}
	if err == nil && x.wait != nil {
		err = c.finish(x)
	}
	clean := err == nil
	if clean {
		x.letGo()
	}
	if clean && x.hasResponse() {
		err = c.write(x)
	}
	c.done(x, clean)
	return err
}

// write sends the response with its size in front.
func (c *Conn) write(x *exchange) error {
	bufs := x.out.Buffers()
	if err := x.out.Err(); err != nil {
		c.server.log.Error("BUG: response cannot be encoded", "err", err, "remote", c.host)
		return &handlerError{err}
	}
	x.outCap = cap(bufs[0])
	c.mu.Lock()
	c.writing.begin(c.server.clock.Now(), int64(x.outCap))
	c.mu.Unlock()
	c.server.holdUnsent(int64(x.outCap))
	err := c.writePieces(bufs)
	c.server.unsent.Add(-int64(x.outCap))
	c.mu.Lock()
	c.writing.end(c.server.clock.Now())
	c.mu.Unlock()
	return err
}

// writePieces writes bufs, a bounded piece at a time.
func (c *Conn) writePieces(bufs [][]byte) error {
	c.iov = c.iov[:0]
	bytes := 0
	for _, b := range bufs {
		for len(b) > 0 {
			n := min(len(b), writePieceBytes-bytes)
			c.iov = append(c.iov, b[:n])
			b, bytes = b[n:], bytes+n
			if bytes == writePieceBytes || len(c.iov) == writePieceSlices {
				if err := c.flush(bytes); err != nil {
					return err
				}
				bytes = 0
			}
		}
	}
	if bytes == 0 {
		return nil
	}
	return c.flush(bytes)
}

// flush writes c.iov, which holds so many bytes.
func (c *Conn) flush(bytes int) error {
	c.nb = c.iov
	_, err := c.nb.WriteTo(c.nc)
	c.iov = c.iov[:0]
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.writing.bytes += int64(bytes)
	c.lastActive = c.server.clock.Now()
	c.mu.Unlock()
	c.server.hooks.Sent(bytes)
	return nil
}

package server

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// untilWaiters waits until n requests wait for memory of b.
func (t *testTool) untilWaiters(b *budget, n int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d waiters", n), func() bool { return b.waiting() == n })
}

// A response that is not read holds no request memory, and nothing behind it is
// read: neither a request that would overlap nor its memory.
func TestUnreadResponseHoldsNoRequests(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	pad := strings.Repeat("z", 100<<10)
	for range 10 {
		c.send("s" + pad) // 30 MiB of answers: more than socket buffers take
	}
	c.send("p1", "q2")
	tool.untilWriting()
	tool.untilHeld(0)
	tool.mu.Lock()
	defer tool.mu.Unlock()
	if slices.Contains(tool.events, "serve p1") {
		t.Error("p1 started behind an answer that is not read")
	}
}

// Long polls whose large frames hold the memory that others wait for are
// answered early; the next poll of their connection waits again.
func TestPollsAreWokenForMemory(t *testing.T) {
	tool := start(t, Limits{FrameBytesMax: 1 << 20, RequestBytesMax: 896 << 10 * 8 / 5})
	pad := strings.Repeat("z", 300<<10)
	polls := []*client{tool.dial(), tool.dial()}
	for i, c := range polls {
		c.send(fmt.Sprintf("l%d%s", i, pad)) // 512 KiB of 896, and as the lifeline
		tool.untilUnderWay(i + 1)
	}
	quiet := tool.dial()
	quiet.send("lquiet") // holds nothing that anybody wants
	tool.untilUnderWay(3)
	other := tool.dial()
	other.send("e" + pad)
	tool.untilWaiters(tool.server.large, 1)
	tool.clock.Advance(sweepInterval)
	for i, c := range polls {
		c.wantRecv(fmt.Sprint(i) + pad)
	}
	other.wantRecv(pad)
	polls[0].send("lagain")
	tool.untilEvent("serve lagain")
	tool.untilUnderWay(2)
	tool.mu.Lock()
	defer tool.mu.Unlock()
	for _, e := range []string{"served lagain", "served lquiet"} {
		if slices.Contains(tool.events, e) {
			t.Errorf("%s, and nobody waits for memory", e)
		}
	}
}

// Responses that are not read hold no more memory together than requests may:
// the greatest that is not new is closed.
func TestUnreadResponsesAreBounded(t *testing.T) {
	tool := start(t, Limits{RequestBytesMax: 20 << 20})
	stuck := func(n int) {
		t.Helper()
		poll(t, fmt.Sprintf("%d writes under way", n), func() bool {
			return tool.count(func(c *Conn) bool { return c.writing.active && c.writing.bytes < 8<<20 }) == n
		})
	}
	var peers []*client
	for i := range 2 {
		c := tool.dial()
		c.send("R", "R", "R") // 24 MiB
		peers = append(peers, c)
		stuck(i + 1)
	}
	tool.untilWriting()
	tool.clock.Advance(2 * time.Second)
	late := tool.dial()
	late.send("R")
	tool.untilClosed(ClosedStalledWrite, 1)
	if got := late.recv(); len(got) != 8<<20 {
		t.Errorf("the newcomer received %d bytes", len(got))
	}
	for _, c := range peers {
		c.Close()
	}
	tool.until("all to end", func() bool { return tool.handlers == 2 })
	if n := tool.server.unsent.Load(); n != 0 {
		t.Errorf("%d bytes of responses are still counted", n)
	}
}

// A peer that takes each small response after 25 s is not better than one that
// does not take the first; one that pauses and then catches up is not closed.
func TestSlowReaderOfSmallResponses(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	wait := func(s int) { now = now.Add(time.Duration(s) * time.Second) }
	const grace = 30 * time.Second
	var slow transfer
	slow.begin(now, 100)
	wait(25)
	slow.bytes += 400
	if slow.tooSlow(now, grace) {
		t.Error("too slow after 25 s")
	}
	slow.end(now)
	slow.begin(now, 100)
	wait(6)
	if !slow.tooSlow(now, grace) {
		t.Error("not too slow after 31 s with a response in between")
	}
	var pauses transfer
	for range 10 {
		pauses.begin(now, 100)
		wait(20)
		pauses.bytes += 400
		if pauses.tooSlow(now, grace) {
			t.Fatal("too slow, though all was taken and it then had nothing to take for as long")
		}
		pauses.end(now)
		wait(20)
	}
}

// A peer that stalls is reset: the kernel does not go on offering it what it has not read.
func TestStalledPeersAreReset(t *testing.T) {
	tool := start(t, Limits{StallGrace: 5 * time.Second})
	c := tool.dial()
	c.send("s")
	tool.untilEvent("served s")
	c.Write(frame("half")[:5])
	tool.untilReading(1)
	tool.clock.Advance(60 * time.Second)
	tool.until("the stall to be seen", func() bool { return tool.closed[ClosedStalledRead] == 1 })
	if n, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %d bytes: %v, want a reset", n, err)
	}
}

// What a request weighs is held beside its frame until it has been served, however that ends.
func TestWeightsAreHeldAndReturned(t *testing.T) {
	const weight, small = 1 << 20, 1 << 10 // of a request, and the buffer of its frame
	tool := start(t, Limits{})
	tool.weight = func(frame []byte) int64 {
		if frame[0] == 'v' {
			panic("toy panic in Weight")
		}
		return weight
	}
	c := tool.dial()
	c.send("p1", "p2", "lpoll")
	tool.untilEvent("serve p1")
	tool.untilEvent("served p2")
	tool.untilHeld(3 * (weight + small))
	tool.unlock("1")
	c.wantRecv("1")
	tool.untilHeld(2 * (weight + small))
	tool.unlock("2")
	c.wantRecv("2")
	tool.untilEvent("serve lpoll")
	tool.untilHeld(weight + small)
	c.Close()
	tool.untilHeld(0)
	for _, request := range []string{"etext", "qtext", "0text", "x", "X", "!", "w", "s", "vtext"} {
		c := tool.dial()
		c.send(request)
		tool.untilEvent("served " + request)
		tool.untilHeld(0)
		c.Close()
	}
	if _, peak := tool.server.RequestBytes(); peak < 3*(weight+small) {
		t.Errorf("at most %d bytes were held", peak)
	}
}

// A weight that there is no memory for is waited for, and polls that hold it are woken; one that no request may
// have closes the connection before it is served.
func TestWeightsAreWaitedFor(t *testing.T) {
	tool := start(t, Limits{FrameBytesMax: 1 << 20, RequestBytesMax: 40 << 20})
	tool.weight = func(frame []byte) int64 {
		switch frame[0] {
		case 'l', 'e':
			return 8 << 20
		case 'x':
			return weightBytesMin + 1
		}
		return weightBytesFree
	}
	polls := []*client{tool.dial(), tool.dial()}
	for i, c := range polls {
		c.send(fmt.Sprintf("l%d", i)) // 8 MiB of 10, and 8 by the lifeline
		tool.untilUnderWay(i + 1)
	}
	other := tool.dial()
	other.send("eother")
	tool.untilWaiters(tool.server.work, 1)
	tool.mu.Lock()
	if slices.Contains(tool.events, "serve eother") {
		t.Error("a request was served before there was memory for it")
	}
	tool.mu.Unlock()
	tool.clock.Advance(sweepInterval)
	for i, c := range polls {
		c.wantRecv(fmt.Sprint(i))
	}
	other.wantRecv("other")
	heavy := tool.dial()
	heavy.send("xtoo much")
	heavy.wantEOF()
	tool.untilClosed(ClosedFrameSize, 1)
	tool.mu.Lock()
	defer tool.mu.Unlock()
	if slices.Contains(tool.events, "serve xtoo much") {
		t.Error("a request of too great a weight was served")
	}
}

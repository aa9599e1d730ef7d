package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// G3: responses leave in request order, whatever is ready first.
func TestG3ResponsesInRequestOrder(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	c.send("p1", "p2", "q3", "p4")
	tool.untilEvent("served p4") // all four overlap
	tool.unlock("4")
	tool.unlock("2")
	tool.unlock("1")
	c.wantRecv("1", "2", "3", "4")
}

// A request that does not overlap starts after all earlier ones were answered,
// and a later overlapping one after it.
func TestEffectsInRequestOrder(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	c.send("p1", "e2", "p3", "e4")
	tool.untilEvent("served p1")
	tool.mu.Lock()
	if slices.Contains(tool.events, "serve e2") {
		t.Error("e2 started before p1 was answered")
	}
	tool.mu.Unlock()
	tool.unlock("1")
	c.wantRecv("1", "2")
	tool.untilEvent("served p3")
	tool.unlock("3")
	c.wantRecv("3", "4")
	want := []string{"serve p1", "served p1", "serve e2", "served e2", "serve p3", "served p3", "serve e4", "served e4"}
	tool.mu.Lock()
	defer tool.mu.Unlock()
	if !slices.Equal(tool.events, want) {
		t.Errorf("events %q, want %q", tool.events, want)
	}
}

// P10: a request without an answer takes no place in the order.
func TestP10SilentRequests(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	c.send("p1", "0a", "0b", "e2")
	tool.untilEvent("served 0b")
	tool.unlock("1")
	c.wantRecv("1", "2")
}

// At most PendingMax requests wait, then the reader stops.
func TestPendingIsBounded(t *testing.T) {
	tool := start(t, Limits{PendingMax: 2})
	c := tool.dial()
	c.send("p1", "p2", "p3", "p4", "p5", "p6")
	// One with the writer, two in the queue, one that the reader holds.
	tool.untilEvent("served p4")
	tool.unlock("1")
	tool.untilEvent("served p5")
	tool.mu.Lock()
	if slices.Contains(tool.events, "serve p6") {
		t.Error("p6 started with four requests pending")
	}
	tool.mu.Unlock()
	for i := 2; i <= 6; i++ {
		tool.unlock(fmt.Sprint(i))
	}
	c.wantRecv("1", "2", "3", "4", "5", "6")
}

// G1: negative and oversized frames close, after what came before is answered.
func TestG1FrameSize(t *testing.T) {
	tool := start(t, Limits{FrameBytesMax: 1000})
	for i, size := range []uint32{1001, 0x80000000, 0xffffffff, 0x7fffffff} {
		c := tool.dial()
		c.send("p" + fmt.Sprint(i))
		c.Write(binary.BigEndian.AppendUint32(nil, size))
		tool.untilEvent(fmt.Sprintf("served p%d", i))
		tool.unlock(fmt.Sprint(i))
		c.wantRecv(fmt.Sprint(i))
		c.wantEOF()
		tool.untilClosed(ClosedFrameSize, i+1)
	}
	c := tool.dial()
	c.send("e" + strings.Repeat("y", 999)) // exactly the limit
	c.wantRecv(strings.Repeat("y", 999))
}

// G2: what the handler refuses closes, after what came before is answered.
func TestG2HandlerErrorCloses(t *testing.T) {
	for i, bad := range []string{"x", "X", ""} {
		tool := start(t, Limits{})
		c := tool.dial()
		c.send("p1", bad, "e2")
		tool.untilEvent("served p1")
		tool.unlock("1")
		c.wantRecv("1")
		c.wantEOF()
		tool.untilClosed(ClosedByHandler, 1)
		tool.mu.Lock()
		if slices.Contains(tool.events, "serve e2") {
			t.Errorf("case %d: a request behind the refused one was served", i)
		}
		tool.mu.Unlock()
	}
}

func TestPanicCostsOneConnection(t *testing.T) {
	tool := start(t, Limits{})
	other := tool.dial()
	for i, bad := range []string{"!", "w"} {
		c := tool.dial()
		c.send(bad)
		c.wantEOF()
		tool.untilClosed(ClosedByPanic, i+1)
	}
	other.send("ealive")
	other.wantRecv("alive")
	tool.mu.Lock()
	defer tool.mu.Unlock()
	if tool.panics != 2 {
		t.Errorf("%d panics counted, want 2", tool.panics)
	}
}

// Frames of all sizes arrive whole, in one write or byte by byte.
func TestFramesOfAllSizes(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	for _, n := range []int{1, 2, 1000, 16 << 10, 16<<10 + 1, 64 << 10, 64<<10 + 1, 200_000, 1 << 20, 5_000_001} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(i * 7)
		}
		c.send("e" + string(body))
		c.wantRecv(string(body))
	}
	for _, b := range frame("ebyte by byte") {
		c.Write([]byte{b})
	}
	c.wantRecv("byte by byte")
}

// G8: a connection without a request for IdleMax is closed; one with a request
// under way is not.
func TestG8Idle(t *testing.T) {
	tool := start(t, Limits{IdleMax: 10 * time.Second})
	idle, busy := tool.dial(), tool.dial()
	idle.send("ea")
	idle.wantRecv("a")
	busy.send("p1")
	tool.untilEvent("served p1")
	tool.clock.Advance(10 * time.Second)
	idle.send("eb") // still open
	idle.wantRecv("b")
	tool.untilUnderWay(1)
	tool.clock.Advance(12 * time.Second)
	idle.wantEOF()
	tool.untilClosed(ClosedIdle, 1)
	tool.unlock("1")
	busy.wantRecv("1")
}

// A half frame holds what has arrived of it until StallGrace has passed.
func TestHalfFrameIsClosed(t *testing.T) {
	tool := start(t, Limits{StallGrace: 5 * time.Second})
	c := tool.dial()
	c.Write(binary.BigEndian.AppendUint32(nil, 50<<20))
	c.Write(make([]byte, 1000))
	tool.untilHeld(64 << 10)
	tool.clock.Advance(4 * time.Second)
	tool.untilHeld(64 << 10)
	tool.clock.Advance(3 * time.Second)
	c.wantEOF()
	tool.untilClosed(ClosedStalledRead, 1)
	if used, peak := tool.server.RequestBytes(); used != 0 || peak > 64<<10 {
		t.Errorf("used %d peak %d for 1000 bytes of a frame that claims 50 MiB", used, peak)
	}
}

// A peer that does not take its response is closed, and what was spliced into
// it is let go, once.
func TestDeadReaderIsClosedAndReleased(t *testing.T) {
	tool := start(t, Limits{StallGrace: 5 * time.Second})
	c := tool.dial()
	for i := 0; i < 10; i++ {
		c.send("s") // 30 MiB in all: more than socket buffers take
	}
	tool.until("the writer to be stuck", func() bool {
		n := 0
		for _, e := range tool.events {
			if e == "serve s" {
				n++
			}
		}
		return n >= 1
	})
	tool.untilWriting()
	tool.clock.Advance(20 * time.Second)
	tool.untilClosed(ClosedStalledWrite, 1)
	tool.mu.Lock()
	defer tool.mu.Unlock()
	served := 0
	for _, e := range tool.events {
		if e == "served s" {
			served++
		}
	}
	if tool.releases["s"] != served {
		t.Errorf("%d releases for %d responses", tool.releases["s"], served)
	}
}

// release runs exactly once on every way out.
func TestReleaseExactlyOnce(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	c.send("e1", "q2", "05", "p3")
	tool.untilEvent("served p3")
	tool.unlock("3")
	c.wantRecv("1", "2", "3")
	c.send("p4", "p6", "l7") // never answered: the client goes away
	tool.untilEvent("served p6")
	c.Close()
	tool.untilClosed(ClosedByPeer, 1)
	d := tool.dial()
	d.send("X8")
	d.wantEOF()
	e := tool.dial()
	e.send("x9")
	e.wantEOF()
	tool.untilClosed(ClosedByHandler, 2)
	tool.mu.Lock()
	defer tool.mu.Unlock()
	for _, name := range []string{"e1", "q2", "p3", "p4", "05", "p6", "X8", "x9"} {
		if tool.releases[name] != 1 {
			t.Errorf("%s was released %d times", name, tool.releases[name])
		}
	}
	if tool.releases["l7"] != 0 {
		t.Errorf("l7 was never served, yet released %d times", tool.releases["l7"])
	}
}

// A peer that goes away wakes its long poll.
func TestDisconnectEndsLongPoll(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	c.send("l1")
	tool.untilEvent("serve l1")
	c.Close()
	tool.untilEvent("served l1")
	tool.untilClosed(ClosedByPeer, 1)
	tool.until("the handler to be closed", func() bool { return tool.handlers == 1 })
}

func TestConnectionLimits(t *testing.T) {
	tool := start(t, Limits{ConnectionsMax: 3, ConnectionsPerIPMax: 2})
	a, b := tool.dial(), tool.dial()
	a.send("ea")
	a.wantRecv("a")
	b.send("eb")
	b.wantRecv("b")
	tool.dial().wantEOF()
	tool.untilClosed(ClosedByLimit, 1)
	a.Close()
	tool.untilClosed(ClosedByPeer, 1)
	tool.until("a place to be free", func() bool { return tool.server.Connections() == 1 })
	d := tool.dial()
	d.send("ed")
	d.wantRecv("d")
}

func TestConnectionsMax(t *testing.T) {
	tool := start(t, Limits{ConnectionsMax: 1})
	a := tool.dial()
	a.send("ea")
	a.wantRecv("a")
	tool.dial().wantEOF()
	tool.untilClosed(ClosedByLimit, 1)
	a.send("eb")
	a.wantRecv("b")
}

// While the process is full newcomers are closed and counted, and one line says so; who is in stays.
func TestFull(t *testing.T) {
	var full atomic.Bool
	var lines lockedBuffer
	tool := start(t, Limits{}, func(o *Options) {
		o.Full = full.Load
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	})
	a := tool.dial()
	a.send("ea")
	a.wantRecv("a")
	full.Store(true)
	for range 20 {
		tool.dial().wantEOF()
	}
	tool.untilClosed(ClosedByFull, 20)
	a.send("eb")
	a.wantRecv("b")
	tool.clock.Advance(refusalsLoggedEvery)
	tool.dial().wantEOF()
	tool.untilClosed(ClosedByFull, 21)
	full.Store(false)
	c := tool.dial()
	c.send("ec")
	c.wantRecv("c")
	log := lines.String()
	if n := strings.Count(log, "connections refused"); n != 2 || !strings.Contains(log, "count=1 ") || !strings.Contains(log, "count=20 ") {
		t.Errorf("want a line for the first and one for the 20 others:\n%s", log)
	}
}

// Shutdown answers what was read, wakes long polls, and refuses newcomers.
func TestShutdownFinishesRequests(t *testing.T) {
	tool := start(t, Limits{})
	waiting, polling, idle := tool.dial(), tool.dial(), tool.dial()
	waiting.send("p1", "p2")
	polling.send("l3")
	idle.send("e4")
	idle.wantRecv("4")
	tool.untilEvent("served p2")
	tool.untilEvent("serve l3")
	done := make(chan error, 1)
	go func() { done <- tool.server.Shutdown(context.Background()) }()
	polling.wantRecv("3")
	polling.wantEOF()
	idle.wantEOF()
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v before the pending requests were answered", err)
	default:
	}
	tool.unlock("1")
	tool.unlock("2")
	waiting.wantRecv("1", "2")
	waiting.wantEOF()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := tool.server.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	tool.untilClosed(ClosedByShutdown, 3)
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	c.send("p1")
	tool.untilEvent("served p1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tool.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Shutdown returned %v", err)
	}
	c.wantEOF()
	tool.untilClosed(ClosedByShutdown, 1)
}

// Many half-read large frames hold the whole budget; all get through.
func TestBudgetDoesNotDeadlock(t *testing.T) {
	const frameBytes = 1 << 20
	tool := start(t, Limits{FrameBytesMax: 2 << 20, RequestBytesMax: 2 << 20})
	body := "e" + strings.Repeat("z", frameBytes)
	clients := make([]*client, 24)
	for i := range clients {
		clients[i] = tool.dial()
		clients[i].Write(frame(body)[:100_000])
	}
	tool.untilReading(len(clients))
	done := make(chan error, len(clients))
	for _, c := range clients {
		go func() {
			_, err := c.Write(frame(body)[100_000:])
			if err == nil && c.recv() != body[1:] {
				err = errors.New("wrong answer")
			}
			done <- err
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	_, peak := tool.server.RequestBytes()
	if limit := int64(2<<20 + 3*frameBytes); peak > limit {
		t.Errorf("peak %d, want at most the limit and what one frame needs to grow, %d", peak, limit)
	}
	if peak < 3<<19 {
		t.Errorf("peak %d: the budget was never under pressure", peak)
	}
}

// What a connection has sent before lets its next buffer start larger, but
// only so far.
func TestTrustIsBounded(t *testing.T) {
	tool := start(t, Limits{})
	c := tool.dial()
	body := "e" + strings.Repeat("t", 9<<20)
	c.send(body)
	c.wantRecv(body[1:])
	tool.untilHeld(0)
	c.Write(binary.BigEndian.AppendUint32(nil, 90<<20)) // and no more
	tool.untilHeld(trustedBytesMax)
}

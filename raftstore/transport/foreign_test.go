package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/internal/clock"
)

// logged is what a node has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines are those that contain all of the words.
func (l *logged) lines(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.text.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n++
	}
	return n
}

func (l *logged) to(o *Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }

// answering is a server that reads something and says one thing.
func answering(t *testing.T, words string) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<10))
			_, _ = io.WriteString(c, words)
			_ = c.Close()
		}
	}()
	return ln.Addr().String()
}

// TestWhatIsNoPeerIsNamed when it is dialed.
func TestWhatIsNoPeerIsNamed(t *testing.T) {
	ca := newAuthority(t)
	withTLS := func(o *Options) { o.TLS = ca.config(t) }
	plain, secure := startNode(t, 1, nil), startNode(t, 1, withTLS)
	peer, securePeer := startNode(t, 2, nil), startNode(t, 2, withTLS)
	for _, c := range []struct {
		name string
		from *testNode
		addr string
		want string
	}{
		{"HTTP", plain, answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "an HTTP server answers"},
		{"something else", plain, answering(t, "220 mail.example ESMTP ready"), "not a Chronik raft port"},
		{"nothing, as a Kafka port", plain, answering(t, ""), "not a Chronik raft port"},
		{"TLS, from plain", plain, securePeer.addr, "the peer speaks TLS, this node does not"},
		{"plain, from TLS", secure, peer.addr, "the peer may not speak TLS"},
		{"HTTP, from TLS", secure, answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "an HTTP server answers"},
		{"something else, from TLS", secure, answering(t, "220 mail.example ESMTP ready"), "this node speaks TLS, the peer does not"},
	} {
		_, _, err := c.from.CallAddr(t.Context(), c.addr, 1, nil)
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestWhoIsNoPeerIsNamed when it connects.
func TestWhoIsNoPeerIsNamed(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name   string
		tls    bool
		speaks string // "": TLS
		want   string
	}{
		{"TLS", false, "", "the peer speaks TLS, this node does not"},
		{"HTTP", false, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "the peer speaks HTTP"},
		{"Kafka", false, "\x00\x00\x00\x11\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka", "the peer speaks Kafka's protocol"},
		{"HTTP to TLS", true, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "the peer speaks HTTP"},
		{"plain to TLS", true, strings.Repeat("x", 64), "this node speaks TLS, the peer does not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &logged{}
			n := startNode(t, 1, func(o *Options) {
				if log.to(o); c.tls {
					o.TLS = ca.config(t)
				}
			})
			nc, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if c.speaks == "" {
				_ = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake()
			} else {
				_, _ = io.WriteString(nc, c.speaks)
			}
			until(t, "the refusal", func() bool { return log.lines("connection refused", c.want) == 1 })
		})
	}
}

// TestRefusalsAreLoggedNowAndThen: the same refusal of the same host once a
// minute, with how often it was; another reason at once.
func TestRefusalsAreLoggedNowAndThen(t *testing.T) {
	log, clk := &logged{}, clock.NewManual(time.Unix(1000, 0))
	n := startNode(t, 1, func(o *Options) { log.to(o); o.Clock = clk })
	refused := func(speaks string) {
		t.Helper()
		nc, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, speaks); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, nc) // until it is closed, behind what is logged
	}
	const http = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for range 20 {
		refused(http)
	}
	if got := log.lines("connection refused"); got != 1 {
		t.Errorf("20 refusals: %d lines", got)
	}
	refused("\x16\x03\x01" + strings.Repeat("x", 64))
	if got := log.lines("connection refused", "speaks TLS"); got != 1 {
		t.Errorf("another reason: %d lines", got)
	}
	clk.Advance(time.Minute)
	refused(http)
	if got := log.lines("connection refused", "times=20"); got != 1 {
		t.Errorf("after a minute: %d lines\n%s", got, log.text.String())
	}
}

// TestFailuresAreLoggedNowAndThen: so it is with a peer that cannot be reached.
func TestFailuresAreLoggedNowAndThen(t *testing.T) {
	log := &logged{}
	n := startNode(t, 1, log.to)
	addr := answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	n.SetPeer(2, addr)
	until(t, "the first", func() bool { return log.lines("cannot reach a peer", "an HTTP server answers") > 0 })
	failed := func() error { return n.Peers()[0].Err }
	for range 5 {
		before := failed()
		until(t, "another attempt", func() bool { n.peer(2).kick(); return failed() != before })
	}
	if got := log.lines("cannot reach a peer"); got != 1 {
		t.Errorf("%d lines", got)
	}
	n.SetPeer(2, refusingAddr(t))
	until(t, "another reason", func() bool { return log.lines("cannot reach a peer", "connection refused") == 1 })
}

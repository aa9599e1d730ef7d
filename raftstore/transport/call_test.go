package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chronik/internal/clock"

	pb "go.etcd.io/raft/v3/raftpb"
)

// stage is a Serve whose calls wait until they are told to go on.
type stage struct {
	running atomic.Int64
	ended   atomic.Int64 // by their context
	curtain chan struct{}
}

func (s *stage) serve(ctx context.Context, _ uint64, _ uint8, body []byte) ([]byte, error) {
	s.running.Add(1)
	defer s.running.Add(-1)
	select {
	case <-s.curtain:
		return body, nil
	case <-ctx.Done():
		s.ended.Add(1)
		return nil, ctx.Err()
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	a, _ := pair(t, func(o *Options) {
		o.Serve = func(_ context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
			return fmt.Appendf(nil, "%d/%d/%s", from, method, body), nil
		}
	})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("1/%d/%d", i, j)
				if got, err := a.Call(t.Context(), 2, uint8(i), fmt.Append(nil, j)); string(got) != want || err != nil {
					t.Errorf("%q, %v, want %q", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestCallEndsWithItsContext: here at once, and there too.
func TestCallEndsWithItsContext(t *testing.T) {
	s := &stage{curtain: make(chan struct{})}
	a, _ := pair(t, func(o *Options) { o.Serve = s.serve })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := a.Call(ctx, 2, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%q, %v", got, err)
	}
	// Serve may not even have begun; then nothing has to end.
	until(t, "the end there", func() bool { return s.running.Load() == 0 })
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := a.Call(ctx, 2, 1, nil); done <- err }()
	until(t, "the call", func() bool { return s.running.Load() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCallsThatAreLost: the connection breaks before the answer.
func TestCallsThatAreLost(t *testing.T) {
	s := &stage{curtain: make(chan struct{})}
	a, b := pair(t, func(o *Options) { o.Serve = s.serve })
	done := make(chan error, 2)
	go func() { _, err := a.Call(t.Context(), 2, 1, nil); done <- err }()
	go func() { _, _, err := a.CallAddr(t.Context(), b.addr, 1, nil); done <- err }()
	until(t, "the calls", func() bool { return s.running.Load() == 2 })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-done; !errors.Is(err, ErrLost) {
			t.Error(err)
		}
	}
	if s.running.Load() != 0 || s.ended.Load() != 2 {
		t.Errorf("%d calls run, %d were ended", s.running.Load(), s.ended.Load())
	}
	// It is gone: that a call fails is known at once.
	if _, err := a.Call(t.Context(), 2, 1, nil); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	if _, _, err := a.CallAddr(t.Context(), b.addr, 1, nil); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	if _, err := b.Call(t.Context(), 1, 1, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// TestTooManyCalls: those beyond the bound are refused, not served, and the
// connection lives.
func TestTooManyCalls(t *testing.T) {
	s := &stage{curtain: make(chan struct{})}
	a, _ := pair(t, func(o *Options) { o.Serve = s.serve })
	done := make(chan error, 2*servingConnMax)
	call := func() { _, err := a.Call(t.Context(), 2, 1, []byte("x")); done <- err }
	for range servingConnMax {
		go call()
	}
	until(t, "all places to be taken", func() bool { return s.running.Load() == servingConnMax })
	for range 5 {
		go call()
	}
	for range 5 {
		if err := <-done; !errors.Is(err, ErrUnreachable) {
			t.Errorf("one too many: %v", err)
		}
	}
	close(s.curtain)
	for range servingConnMax {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestNobodyServes(t *testing.T) {
	a, b := pair(t, nil)
	var remote *RemoteError
	if _, err := a.Call(t.Context(), 2, 1, nil); !errors.As(err, &remote) || remote.Msg != noService {
		t.Error(err)
	}
	if _, err := b.Call(t.Context(), 2, 1, nil); !errors.As(err, &remote) || remote.Msg != noService {
		t.Error(err)
	}
}

// TestAnswerTooLarge: it is an error there, and the connection lives.
func TestAnswerTooLarge(t *testing.T) {
	a, _ := pair(t, func(o *Options) {
		o.Serve = func(_ context.Context, _ uint64, method uint8, _ []byte) ([]byte, error) {
			return make([]byte, BodyBytesMax+int(method)), nil
		}
	})
	var remote *RemoteError
	if _, err := a.Call(t.Context(), 2, 1, nil); !errors.As(err, &remote) {
		t.Error(err)
	}
	if got, err := a.Call(t.Context(), 2, 0, nil); err != nil || len(got) != BodyBytesMax {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestClustersDoNotMix: nodes of two clusters connect neither for messages nor
// for calls; one that belongs to none yet may call, and is sent messages, but
// sends none before it knows.
func TestClustersDoNotMix(t *testing.T) {
	var joined atomic.Bool // node 3
	id := func(s string) func(*Options) {
		return func(o *Options) {
			o.ClusterID = func() string {
				if s == "" && joined.Load() {
					return "B"
				}
				return s
			}
			o.Serve = func(context.Context, uint64, uint8, []byte) ([]byte, error) { return nil, nil }
		}
	}
	a, b, c := startNode(t, 1, id("A")), startNode(t, 2, id("B")), startNode(t, 3, id(""))
	a.SetPeer(2, b.addr)
	a.SetPeer(3, c.addr)
	c.SetPeer(2, b.addr)
	until(t, "those that may", func() bool { return a.connectedTo(3) && errors.Is(c.Peers()[0].Err, errNoCluster) })
	until(t, "the refusal", func() bool { return errors.Is(a.Peers()[0].Err, ErrRefused) })
	_, err := a.Call(t.Context(), 2, 1, nil)
	_, _, errAddr := a.CallAddr(t.Context(), b.addr, 1, nil)
	for _, err := range []error{err, errAddr} {
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	}
	if from, _, err := c.CallAddr(t.Context(), b.addr, 1, nil); from != 2 || err != nil {
		t.Errorf("from %d, %v", from, err)
	}
	if c.connectedTo(2) || len(b.inboundOf(3)) > 1 {
		t.Errorf("it sends messages already: %+v", c.Peers())
	}
	joined.Store(true)
	until(t, "it to send messages", func() bool { return c.connectedTo(2) })
}

// TestAddressesAreTriedInTurn: one that refuses, one where another node is, and
// the right one; and an address that is no longer named is left.
func TestAddressesAreTriedInTurn(t *testing.T) {
	a, b, c := startNode(t, 1, nil), startNode(t, 2, nil), startNode(t, 3, nil)
	a.SetPeer(2, refusingAddr(t), c.addr, b.addr)
	until(t, "the connection", func() bool { return a.connectedTo(2) })
	if s := a.Peers()[0]; s.Addr != b.addr || s.Err != nil {
		t.Errorf("%+v", s)
	}
	before := a.peer(2).small.current()
	a.SetPeer(2, b.addr, c.addr)
	if a.peer(2).small.current() != before || before.reason() != nil {
		t.Error("the connection was given up, and its address is still named")
	}
	a.SetPeer(2, c.addr)
	until(t, "the connection to end", func() bool { return !a.connectedTo(2) })
	until(t, "the refusal", func() bool { return errors.Is(a.Peers()[0].Err, ErrRefused) })
	a.SetPeer(2, b.addr)
	until(t, "the connection", func() bool { return a.connectedTo(2) })
	if len(a.downs()) != 0 {
		t.Error("Down without an end")
	}
}

// TestWhoIsBackIsFoundAtOnce: a node that connects is dialed without waiting
// for the next attempt, which does not come, because the clock stands.
func TestWhoIsBackIsFoundAtOnce(t *testing.T) {
	clk := clock.NewManual(time.Unix(1000, 0))
	c := startNode(t, 3, func(o *Options) { o.Clock = clk })
	b := newTestNode(2, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	c.opt.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		select {
		case <-open:
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		default:
			return nil, syscall.ECONNREFUSED
		}
	}
	c.SetPeer(2, ln.Addr().String())
	until(t, "the refusal of bulk", func() bool {
		l := c.peer(2).bulk
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err != nil
	})
	until(t, "the refusal of small", func() bool { return c.Peers()[0].Err != nil })
	close(open)
	b.serve(t, ln)
	b.SetPeer(3, c.addr)
	until(t, "the way back", func() bool { return c.connectedTo(2) })
}

func TestHooks(t *testing.T) {
	var mu sync.Mutex
	counts := map[string]int{}
	a, b := pair(t, func(o *Options) {
		count := func(what string, kind pb.MessageType, entries, bytes int) {
			mu.Lock()
			defer mu.Unlock()
			counts[fmt.Sprintf("%d %s %s", o.NodeID, what, kind)] += 1000*entries + bytes
		}
		o.Hooks.Sent = func(kind pb.MessageType, entries, bytes int) { count("sent", kind, entries, bytes) }
		o.Hooks.Received = func(kind pb.MessageType, entries, bytes int) { count("received", kind, entries, bytes) }
		o.Hooks.RPC = func(method uint8, node uint64, _ time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			counts[fmt.Sprintf("call %d of %d: %v", method, node, err != nil)]++
		}
		o.Serve = func(_ context.Context, _ uint64, method uint8, _ []byte) ([]byte, error) {
			return nil, map[uint8]error{2: io.EOF}[method]
		}
	})
	a.Send(1, []*pb.Message{heartbeat(1, 2, 1, 1), appendOf(1, 2, 1, []byte("x"), []byte("y"))})
	until(t, "the messages", func() bool { return len(b.deliveries()) == 2 })
	_, _ = a.Call(t.Context(), 2, 1, nil)
	_, _ = a.Call(t.Context(), 2, 2, nil)
	_, _, _ = a.CallAddr(t.Context(), b.addr, 3, nil)
	mu.Lock()
	defer mu.Unlock()
	for what, want := range map[string]int{
		"1 sent MsgHeartbeat": 5, "2 received MsgHeartbeat": 5, "1 sent MsgApp": 2014, "2 received MsgApp": 2014,
		"call 1 of 2: false": 1, "call 2 of 2: true": 1, "call 3 of 2: false": 1,
	} {
		if counts[what] != want {
			t.Errorf("%s: %d, want %d", what, counts[what], want)
		}
	}
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.cert = a.sign(t, tmpl, tmpl, key)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(t *testing.T, tmpl, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(crand.Reader, tmpl, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// config is that of a node with a certificate of its own.
func (a *authority) config(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, a.cert, key)
	return &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// TestMutualTLS: messages, calls and Down over TLS; and those without a good
// certificate, or without TLS, stay out.
func TestMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	with := func(cfg *tls.Config) func(*Options) {
		return func(o *Options) {
			o.TLS = cfg
			o.Serve = func(_ context.Context, from uint64, _ uint8, body []byte) ([]byte, error) { return body, nil }
		}
	}
	a, b := pair(t, func(o *Options) { with(ca.config(t))(o) })
	a.Send(1, []*pb.Message{heartbeat(1, 2, 1, 1), appendOf(1, 2, 1, make([]byte, 3<<20))})
	until(t, "messages", func() bool { return len(b.deliveries()) == 2 })
	if got, err := a.Call(t.Context(), 2, 1, []byte("body")); string(got) != "body" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	naked := ca.config(t)
	naked.Certificates = nil
	for name, cfg := range map[string]*tls.Config{"without TLS": nil, "of another authority": newAuthority(t).config(t), "without a certificate": naked} {
		c := startNode(t, 3, with(cfg))
		if from, got, err := c.CallAddr(t.Context(), b.addr, 1, nil); !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrLost) {
			t.Errorf("%s: %q from %d, %v", name, got, from, err)
		}
		if from, got, err := a.CallAddr(t.Context(), c.addr, 1, nil); name != "without a certificate" && !errors.Is(err, ErrUnreachable) {
			t.Errorf("to one %s: %q from %d, %v", name, got, from, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	until(t, "Down", func() bool { return len(a.downs()) == 1 })
}

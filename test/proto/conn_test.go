package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// answerMax bounds the wait for any response; long polls in these tests ask for less.
const answerMax = 20 * time.Second

// process is the lifetime of the shared broker.
var process = harness.Outside()

var shared = sync.OnceValues(func() (*harness.Broker, error) {
	if addr := os.Getenv("CHRONIK_TEST_BOOTSTRAP"); addr != "" {
		return &harness.Broker{Addr: addr}, nil
	}
	if _, err := harness.Binary(); err != nil {
		return nil, err
	}
	b := harness.Prepare(process, harness.Config{Set: map[string]string{
		"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "4", "group.min.session.timeout.ms": "1000",
	}})
	_, err := b.Launch()
	return b, err
})

func TestMain(m *testing.M) {
	status := m.Run()
	process.End()
	os.Exit(status)
}

// broker returns the package's one broker; tests with settings of their own start another.
func broker(t *testing.T) *harness.Broker {
	t.Helper()
	deviates(t)
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// conn is one connection on which requests are written and responses read separately.
type conn struct {
	t    *testing.T
	net  net.Conn
	corr int32
	id   *string // client id
}

func dial(t *testing.T, b *harness.Broker) *conn {
	t.Helper()
	deviates(t)
	c, err := net.DialTimeout("tcp", b.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	id := "proto-test"
	return &conn{t: t, net: c, id: &id}
}

// frame encodes a request with its header and size.
func (c *conn) frame(req kmsg.Request) []byte {
	c.corr++
	var opts []kmsg.RequestFormatterOpt
	if c.id != nil {
		opts = append(opts, kmsg.FormatterClientID(*c.id))
	}
	return kmsg.NewRequestFormatter(opts...).AppendRequest(nil, req, c.corr)
}

// send writes a request and returns its correlation id.
func (c *conn) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.write(c.frame(req))
	return c.corr
}

func (c *conn) write(b []byte) {
	c.t.Helper()
	c.net.SetWriteDeadline(time.Now().Add(answerMax))
	if _, err := c.net.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// readFrame returns the next response without its size.
func (c *conn) readFrame(limit time.Duration) ([]byte, error) {
	c.net.SetReadDeadline(time.Now().Add(limit))
	var size [4]byte
	if _, err := io.ReadFull(c.net, size[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(size[:]))
	if n < 4 || n > 200<<20 {
		c.t.Fatalf("a response of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(c.net, body)
	return body, err
}

// receive reads the next response, which must answer req with the given correlation id and leave no byte over.
func (c *conn) receive(req kmsg.Request, corr int32) kmsg.Response {
	c.t.Helper()
	body, err := c.readFrame(answerMax)
	if err != nil {
		c.t.Fatalf("%s v%d: no response: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != corr {
		c.t.Fatalf("%s v%d: correlation id %d, want %d", kmsg.NameForKey(req.Key()), req.GetVersion(), got, corr)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	body = body[4:]
	if resp.IsFlexible() && req.Key() != 18 {
		if len(body) == 0 || body[0] != 0 {
			c.t.Fatalf("%s v%d: header v1 without an empty tag section: % x", kmsg.NameForKey(req.Key()), req.GetVersion(), body[:min(len(body), 8)])
		}
		body = body[1:]
	}
	decode(c.t, resp, body)
	return resp
}

// decode parses a response body and demands that it encodes back to the same bytes.
func decode(t *testing.T, resp kmsg.Response, body []byte) {
	t.Helper()
	name := kmsg.NameForKey(resp.Key())
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: response does not parse: %v: % x", name, resp.GetVersion(), err, body[:min(len(body), 200)])
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		t.Fatalf("%s v%d: response of %d bytes encodes back to %d bytes\ngot  % x\nback % x", name, resp.GetVersion(), len(body), len(again),
			body[:min(len(body), 300)], again[:min(len(again), 300)])
	}
}

// do sends a request and reads its response.
func (c *conn) do(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	return c.receive(req, c.send(req))
}

// ask is do with the response's own type.
func ask[R kmsg.Response](c *conn, req kmsg.Request) R {
	c.t.Helper()
	return c.do(req).(R)
}

// closed demands that the broker closes the connection without another response.
func (c *conn) closed() {
	c.t.Helper()
	body, err := c.readFrame(answerMax)
	var timeout net.Error
	switch {
	case err == nil:
		c.t.Fatalf("the connection was to be closed; a response of %d bytes came: % x", len(body), body[:min(len(body), 40)])
	case errors.As(err, &timeout) && timeout.Timeout():
		c.t.Fatalf("the connection was to be closed; it is still open after %v", answerMax)
	}
}

// silent demands that nothing comes for a while.
func (c *conn) silent(d time.Duration) {
	c.t.Helper()
	body, err := c.readFrame(d)
	var timeout net.Error
	if err == nil {
		c.t.Fatalf("a response of %d bytes came, none was due: % x", len(body), body[:min(len(body), 40)])
	}
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.t.Fatalf("the connection was to stay open: %v", err)
	}
}

// alive demands that the connection still answers.
func (c *conn) alive() {
	c.t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	if r := ask[*kmsg.ApiVersionsResponse](c, req); r.ErrorCode != 0 {
		c.t.Fatalf("ApiVersions: %s", codeName(r.ErrorCode))
	}
}

// code demands an error code.
func code(t *testing.T, what string, got int16, want *kerr.Error) {
	t.Helper()
	w := int16(0)
	if want != nil {
		w = want.Code
	}
	if got != w {
		t.Fatalf("%s: %s, want %s", what, codeName(got), codeName(w))
	}
}

func codeName(c int16) string {
	if c == 0 {
		return "NONE"
	}
	if e := kerr.TypedErrorForCode(c); e != nil {
		return e.Message
	}
	return "unknown code"
}

// equal demands a value.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

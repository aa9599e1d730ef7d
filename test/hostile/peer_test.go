package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fate is how a connection ended.
type fate string

const (
	closed fate = "closed"          // by the broker
	alive  fate = "alive"           // still there at the end, and answers
	either fate = "closed or alive" // only ever wanted
	left   fate = "left"            // by the peer
	lost   fate = "lost"            // still open at the end, and does not answer, or never let in
)

// closeMax bounds the wait for the broker to close what it has to: on a machine that has nothing else to do a minute would do.
const closeMax = 4 * time.Minute

// peer is one hostile connection. It is used by one goroutine.
type peer struct {
	*net.TCPConn
	addr   string
	rng    *rand.Rand
	served []kmsg.ApiVersionsResponseApiKey // what the broker says it serves
	stop   <-chan struct{}                  // closed when those that the broker may not close are to look whether they live
	corr   int32
}

func dial(addr string, receiveBytes int) (*net.TCPConn, error) {
	nc, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		return nil, err
	}
	c := nc.(*net.TCPConn)
	if receiveBytes > 0 {
		err = c.SetReadBuffer(receiveBytes)
	}
	return c, err
}

// request encodes a request with header and size.
func (p *peer) request(r kmsg.Request) []byte {
	p.corr++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("hostile")).AppendRequest(nil, r, p.corr)
}

// header encodes a size that claims bodyBytes, and a valid header.
func (p *peer) header(key, version int16, bodyBytes int) []byte {
	r := kmsg.RequestForKey(key)
	p.corr++
	b := binary.BigEndian.AppendUint16(make([]byte, 4), uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(p.corr))
	b = append(binary.BigEndian.AppendUint16(b, 7), "hostile"...)
	if r != nil {
		if r.SetVersion(version); r.IsFlexible() {
			b = append(b, 0)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+bodyBytes))
	return b
}

func sized(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// send writes and gives up when the broker does not take it: whether it lives is asked elsewhere.
func (p *peer) send(b []byte) {
	p.SetWriteDeadline(time.Now().Add(time.Second))
	p.Write(b)
}

// untilClosed reads and drops what comes until the broker closes.
func (p *peer) untilClosed() fate {
	p.SetReadDeadline(time.Now().Add(closeMax))
	_, err := io.Copy(io.Discard, p.TCPConn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return lost
	}
	return closed
}

// untilReset sends b every now and then, and reads nothing, until the broker closes.
func (p *peer) untilReset(b []byte) fate {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(closeMax); time.Now().Before(end); <-tick.C {
		p.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := p.Write(b); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return closed
		}
	}
	return lost
}

// trickle sends a byte now and then until the broker closes or stop says that it is enough.
func (p *peer) trickle() fate {
	tick := time.NewTicker(time.Duration(100+p.rng.IntN(400)) * time.Millisecond)
	defer tick.Stop()
	for {
		p.SetWriteDeadline(time.Now().Add(closeMax))
		if _, err := p.Write([]byte{0}); err != nil {
			return closed
		}
		select {
		case <-tick.C:
		case <-p.stop:
			return lost
		}
	}
}

// answer reads one response.
func (p *peer) answer() ([]byte, error) {
	p.SetReadDeadline(time.Now().Add(closeMax))
	var size [4]byte
	if _, err := io.ReadFull(p, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 100<<20 {
		return nil, fmt.Errorf("a response of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(p, b)
	return b, err
}

// untilStop waits, then asks for versions; what was sent before is skipped in front of the answer.
func (p *peer) untilStop() fate {
	<-p.stop
	return p.ask(p.request(kmsg.NewPtrApiVersionsRequest()))
}

// ask sends the rest of a request whose correlation id is the last one used, and skips to its answer.
func (p *peer) ask(rest []byte) fate {
	p.SetWriteDeadline(time.Now().Add(closeMax))
	if _, err := p.Write(rest); err != nil {
		return closed
	}
	for {
		b, err := p.answer()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return lost
		case err != nil:
			return closed
		case int32(binary.BigEndian.Uint32(b)) == p.corr:
			return alive
		}
	}
}

// anyAPI is one of the advertised requests in one of its versions that are served.
func (p *peer) anyAPI() (key, version int16) {
	k := p.served[p.rng.IntN(len(p.served))]
	lo := k.MinVersion
	if k.ApiKey == 0 {
		lo = 3 // Produce below 3 is advertised, not served
	}
	return k.ApiKey, lo + int16(p.rng.IntN(int(k.MaxVersion-lo)+1))
}

func (p *peer) garbage(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.rng.Uint32())
	}
	return b
}

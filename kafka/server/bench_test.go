package server

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"chronik/kafka/wire"
)

// echo answers at once; its requests overlap if their first byte is 'q'.
type echo struct{ spliced [][]byte }

func (e *echo) Overlaps(frame []byte) bool { return frame[0] == 'q' }
func (e *echo) Weight(frame []byte) int64  { return int64(len(frame)) }
func (e *echo) Close()                     {}
func (e *echo) Serve(frame []byte, out *wire.Writer) (func() error, func(), error) {
	if e.spliced != nil {
		out.Splice(e.spliced)
	} else {
		out.Raw(frame[:min(len(frame), 100)])
	}
	return nil, nil, nil
}

// BenchmarkConnection measures a request and its response over loopback: one
// at a time, and with more under way; small requests, large ones, and large
// spliced responses. Bytes are those of the larger direction.
func BenchmarkConnection(b *testing.B) {
	for _, c := range []struct {
		name     string
		op       byte
		bytes    int
		response int
		window   int
	}{
		{"serial/100B", 'e', 100, 100, 1},
		{"overlapping/100B/16", 'q', 100, 100, 16},
		{"overlapping/1MiB/4", 'q', 1 << 20, 100, 4},
		{"spliced/1MiB/1", 'e', 100, 1 << 20, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := &echo{}
			if c.response > 100 {
				e.spliced = [][]byte{make([]byte, c.response/2), make([]byte, c.response/2)}
			}
			benchmarkConnection(b, e, c.op, c.bytes, c.response, c.window)
		})
	}
}

func benchmarkConnection(b *testing.B, e *echo, op byte, bytes, response, window int) {
	s := New(Options{Open: func(*Conn) Handler { return e }})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(ln, "PLAINTEXT")
	defer s.Shutdown(b.Context())
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	request := make([]byte, 4+bytes)
	binary.BigEndian.PutUint32(request, uint32(bytes))
	request[4] = op
	b.SetBytes(int64(max(bytes, response)))
	b.ReportAllocs()
	places := make(chan struct{}, window)
	done := make(chan error, 1)
	go func() {
		r := bufio.NewReaderSize(nc, 64<<10)
		for range b.N {
			if _, err := r.Discard(4 + response); err != nil {
				done <- err
				return
			}
			<-places
		}
		done <- nil
	}()
	b.ResetTimer()
	for range b.N {
		places <- struct{}{}
		if _, err := nc.Write(request); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil && err != io.EOF {
		b.Fatal(err)
	}
}

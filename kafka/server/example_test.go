package server_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"chronik/kafka/server"
	"chronik/kafka/wire"
)

// shout answers each request with its bytes in capitals.
type shout struct{}

func (s shout) Overlaps([]byte) bool      { return false }
func (s shout) Weight(frame []byte) int64 { return int64(len(frame)) }
func (s shout) Close()                    {}
func (s shout) Serve(frame []byte, out *wire.Writer) (func() error, func(), error) {
	for _, b := range frame {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		out.Int8(int8(b))
	}
	return nil, nil, nil
}

// Two requests sent at once are answered in order.
func Example() {
	s := server.New(server.Options{Open: func(*server.Conn) server.Handler { return shout{} }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l, "PLAINTEXT") }()

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	io.WriteString(c, "\x00\x00\x00\x05hello\x00\x00\x00\x05world")
	answers := make([]byte, 18)
	if _, err := io.ReadFull(c, answers); err != nil {
		panic(err)
	}
	fmt.Printf("%q\n", answers)
	if err := s.Shutdown(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(<-served)
	// Output:
	// "\x00\x00\x00\x05HELLO\x00\x00\x00\x05WORLD"
	// server closed
}

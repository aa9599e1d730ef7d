package harness

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
)

// tapped counts connections, so that each has files of its own.
var tapped atomic.Int64

// tap stands between clients and the broker at target: it listens on a port of its own, which it returns, and writes
// what goes by into dir, two files a connection: NAME.requests and NAME.responses, the bytes as they are.
func tap(tb testing.TB, dir, target string) (port int) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	port = FreePorts(tb, 1)[0]
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			go tapOne(dir, client, target)
		}
	}()
	return port
}

// tapOne passes one connection on until either side ends it. A broker that is down refuses the client.
func tapOne(dir string, client net.Conn, target string) {
	defer client.Close()
	broker, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer broker.Close()
	name := filepath.Join(dir, fmt.Sprintf("%d-%d", os.Getpid(), tapped.Add(1)))
	requests, err := os.Create(name + ".requests")
	if err != nil {
		panic(err)
	}
	defer requests.Close()
	responses, err := os.Create(name + ".responses")
	if err != nil {
		panic(err)
	}
	defer responses.Close()
	ended := make(chan struct{}, 2)
	pass := func(from, to net.Conn, file io.Writer) {
		io.Copy(io.MultiWriter(file, to), from)
		to.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}
	go pass(client, broker, requests)
	go pass(broker, client, responses)
	<-ended
	<-ended
}

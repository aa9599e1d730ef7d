package harness

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// within runs f in a station's namespace; sockets stay in the one in which they were made.
func within(t *testing.T, n *Network, station int, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/run/netns/" + n.namespace(station))
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("station %d: %v", station, err)
	}
}

// echo answers one byte with one byte.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { io.Copy(c, c); c.Close() }()
	}
}

// answered says whether a byte came back within a second.
func answered(c net.Conn) bool {
	c.SetDeadline(time.Now().Add(time.Second))
	b := []byte{1}
	if _, err := c.Write(b); err != nil {
		return false
	}
	_, err := io.ReadFull(c, b)
	return err == nil
}

// TestNetwork cuts and heals links under connections that are open.
func TestNetwork(t *testing.T) {
	n := newNetwork(t, 2)
	var l net.Listener
	within(t, n, 1, func() (err error) {
		l, err = net.Listen("tcp", n.Addr(1)+":7000")
		return err
	})
	defer l.Close()
	go echo(l)
	var peer net.Conn
	within(t, n, 2, func() (err error) {
		peer, err = net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		return err
	})
	defer peer.Close()
	client, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	expect := func(when string, wantPeer, wantClient bool) {
		t.Helper()
		var err error
		Eventually(t, time.Minute, when, func() error { // retransmissions after a cut take their time
			p, c := answered(peer), answered(client)
			if p != wantPeer || c != wantClient {
				err = fmt.Errorf("node 2 is answered: %v, the test is answered: %v, want %v and %v", p, c, wantPeer, wantClient)
			} else {
				err = nil
			}
			return err
		})
	}
	expect("at first", true, true)
	n.Isolate(1)
	expect("node 1 isolated", false, true)
	n.Heal()
	expect("healed", true, true)
	n.CutOneWay(1, 2)
	expect("cut one way", false, true)
	n.Heal()
	expect("healed again", true, true)
	n.Unplug(1)
	expect("unplugged", false, false)
	n.Heal()
	expect("plugged in", true, true)
	if _, err := net.DialTimeout("tcp", n.Addr(2)+":7000", 5*time.Second); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens at node 2: %v", err)
	}
}

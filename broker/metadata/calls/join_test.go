package calls

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/internal/clock"
)

// nobody is Peers that nobody answers, or all of them with one answer.
type nobody struct {
	answer *JoinAnswer
	mu     sync.Mutex
	asked  int
	addrs  map[uint64][]string
}

func (n *nobody) Call(context.Context, uint64, uint8, []byte) ([]byte, error) {
	return nil, errors.New("unused")
}

func (n *nobody) CallAddr(context.Context, string, uint8, []byte) (uint64, []byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.answer != nil {
		return 1, n.answer.Encode(), nil
	}
	return 0, nil, errors.New("nobody is there")
}

func (n *nobody) SetPeer(id uint64, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[id] = addrs
}

// TestJoinSaysWhatItWaitsFor at once, and then once a minute.
func TestJoinSaysWhatItWaitsFor(t *testing.T) {
	var text bytes.Buffer
	clk, peers := clock.NewManual(time.Unix(1000, 0)), &nobody{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Join(ctx, JoinOptions{Addrs: []string{"n1:1"}, Peers: peers, Clock: clk, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		done <- err
	}()
	asked := func() int {
		peers.mu.Lock()
		defer peers.mu.Unlock()
		return peers.asked
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	began := clk.Now()
	for n := 1; clk.Now().Sub(began) < 150*time.Second; n = asked() + 1 {
		for deadline := time.Now().Add(time.Minute); asked() < n; <-poll.C {
			if at, ok := clk.Next(); ok {
				clk.Advance(at.Sub(clk.Now()))
			}
			if time.Now().After(deadline) {
				t.Fatal("it has given up")
			}
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := strings.Count(text.String(), "not joined yet"); got != 3 || !strings.Contains(text.String(), "attempts=1\n") {
		t.Errorf("said %d times in 150 s, want 3:\n%s", got, text.String())
	}
}

// TestJoinKeepsStaticAddresses: connections to them are there already.
func TestJoinKeepsStaticAddresses(t *testing.T) {
	brokers := map[uint64]string{1: "host1:5001", 2: "host2:5002", 3: "host3:5003", 4: "host4:5004"}
	peers := &nobody{addrs: map[uint64][]string{}, answer: &JoinAnswer{Joined: Joined{ClusterID: "c", Voters: []uint64{1}, Brokers: brokers}}}
	_, err := Join(t.Context(), JoinOptions{Self: cluster.Broker{ID: 3}, Addrs: []string{"localhost:5001"}, Peers: peers, Clock: clock.Real,
		Logger: slog.New(slog.DiscardHandler), StaticPeers: map[uint64]string{1: "localhost:5001", 2: "host2:5002"}})
	want := map[uint64][]string{1: {"localhost:5001", "host1:5001"}, 2: {"host2:5002"}, 4: {"host4:5004"}}
	if err != nil || !reflect.DeepEqual(peers.addrs, want) {
		t.Errorf("%v, %v; want %v", peers.addrs, err, want)
	}
}

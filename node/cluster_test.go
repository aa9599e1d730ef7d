package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/internal/config"
	"chronik/kafka/msg"
)

// testCluster is nodes in this process, on a loopback address of their own, so
// that a port that was free stays so while a node is down.
type testCluster struct {
	t     *testing.T
	host  string
	dirs  map[int]string
	raft  map[int]string // raft addresses, as they were first given
	nodes map[int]*Node
}

func newTestCluster(t *testing.T) *testCluster {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), 1+rand.IntN(254), 1+rand.IntN(254))
	c := &testCluster{t: t, host: host, dirs: map[int]string{}, raft: map[int]string{}, nodes: map[int]*Node{}}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if err := n.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
	return c
}

// reserve gives a node its raft port before it is started.
func (c *testCluster) reserve(ids ...int) {
	for _, id := range ids {
		l, err := net.Listen("tcp", c.host+":0")
		if err != nil {
			c.t.Fatal(err)
		}
		c.raft[id], c.dirs[id] = l.Addr().String(), c.t.TempDir()
		l.Close()
	}
}

func (c *testCluster) conf(id int, flags ...string) *config.Config {
	c.t.Helper()
	f := map[string]string{
		"kafka-port": "0", "metrics-port": "0", "bind-addr": c.host, "advertised-addr": c.host, "data-dir": c.dirs[id],
		"node-id": fmt.Sprint(id), "raft-addr": c.raft[id],
	}
	var peers []string
	for peer, addr := range c.raft {
		peers = append(peers, fmt.Sprintf("%d@%s", peer, addr))
	}
	f["peers"] = strings.Join(peers, ",")
	if id == 1 {
		f["bootstrap"] = "true" // as a user leaves it
	}
	for i := 0; i < len(flags); i += 2 {
		f[flags[i]] = flags[i+1]
	}
	conf, err := config.Load(config.Input{Command: config.RaftCluster, Flags: f, Hostname: os.Hostname})
	if err != nil {
		c.t.Fatal(err)
	}
	return conf
}

// start starts nodes at the same time and waits until all of them serve.
func (c *testCluster) start(ids ...int) {
	c.t.Helper()
	type started struct {
		id  int
		n   *Node
		err error
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	all := make(chan started)
	for _, id := range ids {
		conf := c.conf(id)
		go func() {
			n, err := Start(ctx, conf, Build{}, slog.New(slog.DiscardHandler))
			all <- started{id, n, err}
		}()
	}
	for range ids {
		s := <-all
		if s.err != nil {
			c.t.Errorf("node %d: %v", s.id, s.err)
			continue
		}
		c.nodes[s.id] = s.n
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *testCluster) stop(id int) {
	c.t.Helper()
	n := c.nodes[id]
	delete(c.nodes, id)
	if err := n.Stop(); err != nil {
		c.t.Errorf("stop node %d: %v", id, err)
	}
}

// await polls until ok returns nil.
func await(t *testing.T, what string, ok func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not in a minute: %v", what, err)
}

// awaitReady waits until every running node is ready and knows all of them.
func (c *testCluster) awaitReady() (clusterID string) {
	c.t.Helper()
	for id, n := range c.nodes {
		var m *msg.MetadataResponse
		await(c.t, fmt.Sprintf("node %d is ready", id), func() error {
			if err := n.notReady(); err != nil {
				return err
			}
			m = askMetadata(c.t, n.KafkaAddr().String())
			if len(m.Brokers) != len(c.nodes) {
				return fmt.Errorf("it knows %d brokers", len(m.Brokers))
			}
			return nil
		})
		if clusterID != "" && m.ClusterId.String != clusterID {
			c.t.Errorf("node %d is of cluster %s, another of %s", id, m.ClusterId.String, clusterID)
		}
		clusterID = m.ClusterId.String
	}
	return clusterID
}

// awaitVoters waits until every running node knows of that many votes in the
// metadata group: then it does without one of three nodes.
func (c *testCluster) awaitVoters(want int) {
	c.t.Helper()
	for id, n := range c.nodes {
		await(c.t, fmt.Sprintf("node %d knows %d voters", id, want), func() error {
			if got := n.broker.MetadataVoters(); got != want {
				return fmt.Errorf("it knows %d", got)
			}
			return nil
		})
	}
}

func TestThreeNodesBecomeACluster(t *testing.T) {
	c := newTestCluster(t)
	c.reserve(1, 2, 3)
	c.start(3, 2, 1)
	cluster := c.awaitReady()
	c.awaitVoters(3)
	await(t, "requests to other nodes are counted by what they are", func() error {
		var text strings.Builder
		for _, n := range c.nodes {
			if err := n.metrics.WriteText(&text); err != nil {
				return err
			}
		}
		for _, want := range []string{"join", "metadata_propose", "broker_heartbeat"} {
			if !strings.Contains(text.String(), `chronik_raft_rpc_calls_total{rpc_type="`+want+`"`) {
				return fmt.Errorf("no %s", want)
			}
		}
		if strings.Contains(text.String(), `"call_`) {
			return errors.New("a call without a name")
		}
		return nil
	})
	for _, id := range []int{1, 2, 3} { // each finds its place again
		c.stop(id)
		c.start(id)
		if again := c.awaitReady(); again != cluster {
			t.Errorf("cluster %s became %s when node %d came back", cluster, again, id)
		}
	}
	for _, id := range []int{3, 1, 2} {
		c.stop(id)
	}
	c.start(1, 2, 3)
	if again := c.awaitReady(); again != cluster {
		t.Errorf("cluster %s became %s when all came back", cluster, again)
	}
}

// A node without state waits for its peers, and says so; it is stopped while
// it waits.
func TestANodeWaitsToJoin(t *testing.T) {
	c := newTestCluster(t)
	c.reserve(1, 2)
	n := newNode(c.conf(2), Build{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.start(ctx) }()
	await(t, "the node says what it waits for", func() error {
		if err := n.notReady(); err == nil || !strings.HasPrefix(err.Error(), "waiting for a peer to let this node join: "+c.raft[1]+": ") {
			return fmt.Errorf("ready: %v", err)
		}
		return nil
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while it waited: %v", err)
	}
}

// What is stopped while it waits says that it has stopped.
func TestStoppedWhileItWaitsToJoin(t *testing.T) {
	c := newTestCluster(t)
	c.reserve(1, 2)
	log := &lines{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	conf := c.conf(2)
	go func() { done <- Run(ctx, conf, Build{}, slog.New(slog.NewTextHandler(log, nil))) }()
	await(t, "the node says what it waits for", func() error {
		if !log.contain("not joined yet") {
			return errors.New("it says nothing")
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil || !log.contain("msg=stopped") {
		t.Errorf("%v; stopped without saying so", err)
	}
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) contain(words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), words)
}

// A node whose disk was replaced is not taken for the one it was, whatever its
// flags say: it would vote again where it has voted.
func TestABootstrapNodeWithAnEmptyDiskFoundsNoSecondCluster(t *testing.T) {
	c := newTestCluster(t)
	c.reserve(1, 2, 3)
	c.start(1, 2, 3)
	c.awaitReady()
	c.awaitVoters(3)
	c.stop(1)
	c.dirs[1] = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Start(ctx, c.conf(1), Build{}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrMembership) || !strings.Contains(err.Error(), "node 1 has joined before") {
		t.Errorf("with an empty disk: %v", err)
	}
}

func TestAStandaloneNodeBecomesAClusterOfOne(t *testing.T) {
	c := newTestCluster(t)
	c.reserve(1)
	alone, err := start(t, load(t, c.dirs[1]))
	if err != nil {
		t.Fatal(err)
	}
	cluster := askMetadata(t, alone.KafkaAddr().String()).ClusterId.String
	if err := alone.Stop(); err != nil {
		t.Fatal(err)
	}
	c.start(1)
	if again := c.awaitReady(); again != cluster {
		t.Errorf("cluster %s became %s", cluster, again)
	}
	c.reserve(2)
	c.start(2) // others may join it now
	c.awaitReady()
	c.stop(2)
	c.stop(1)
	if _, err := start(t, load(t, c.dirs[1])); !errors.Is(err, ErrDataDir) || !strings.Contains(err.Error(), "want raft-cluster") {
		t.Errorf("a cluster's node by itself: %v", err)
	}
}

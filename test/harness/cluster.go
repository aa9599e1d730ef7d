package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// ClusterConfig says how the nodes of a cluster are to be started.
type ClusterConfig struct {
	Nodes   int               // 0: three
	Racks   []string          // by node; nil: none
	Set     map[string]string // --set name=value, of every node
	Args    []string          // further arguments, of every node
	Env     []string          // further NAME=value pairs, of every node
	File    string            // content of every node's chronik.toml; "" for none
	Dirs    []string          // data directories by node; nil: temporary ones
	Network bool              // each node in a network namespace of its own: see Cluster.Net
}

// Cluster is the nodes 1, 2, ... of a cluster under test.
type Cluster struct {
	Nodes []*Broker
	Net   *Network // nil: all of them are on loopback

	tb testing.TB
}

// member is what a node's command line says of its cluster.
type member struct {
	id        int32
	host      string
	namespace string // network namespace; "" for none
	rack      string
	raft      int // port
	peers     string
	bootstrap bool
}

func (m *member) args() []string {
	args := []string{"--node-id", strconv.Itoa(int(m.id))}
	if m.rack != "" {
		args = append(args, "--rack", m.rack)
	}
	args = append(args, "raft-cluster", "--raft-addr", net.JoinHostPort(m.host, strconv.Itoa(m.raft)), "--peers", m.peers)
	if m.bootstrap {
		args = append(args, "--bootstrap")
	}
	return args
}

// StartCluster runs a cluster until the test ends and returns once every node is ready and the metadata has the votes
// that so many nodes have: until then, node 1, which forms the cluster, is the only one that must not fail.
func StartCluster(tb testing.TB, cfg ClusterConfig) *Cluster {
	tb.Helper()
	for try := 1; ; try++ {
		c := PrepareCluster(tb, cfg)
		err := c.Launch()
		if err == nil {
			c.awaitVoters()
			return c
		}
		if try == startsMax || !errors.Is(err, ErrPortTaken) || cfg.Dirs != nil {
			tb.Fatal(err)
		}
		c.Kill()
	}
}

// PrepareCluster chooses addresses and directories without starting anything.
func PrepareCluster(tb testing.TB, cfg ClusterConfig) *Cluster {
	tb.Helper()
	if os.Getenv("CHRONIK_TEST_BOOTSTRAP") != "" || Peer() != "" {
		tb.Skip("this test needs a cluster of its own")
	}
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	c := &Cluster{tb: tb}
	if cfg.Network {
		c.Net = newNetwork(tb, cfg.Nodes)
	}
	members := make([]*member, cfg.Nodes)
	peers := make([]string, cfg.Nodes)
	for i, port := range FreePorts(tb, cfg.Nodes) {
		m := &member{id: int32(i + 1), host: "127.0.0.1", raft: port, bootstrap: i == 0}
		if c.Net != nil {
			m.host, m.namespace = c.Net.Addr(i+1), c.Net.namespace(i+1)
		}
		if i < len(cfg.Racks) {
			m.rack = cfg.Racks[i]
		}
		peers[i] = fmt.Sprintf("%d@%s", m.id, net.JoinHostPort(m.host, strconv.Itoa(port)))
		members[i] = m
	}
	for i, m := range members {
		m.peers = strings.Join(append(append([]string{}, peers[:i]...), peers[i+1:]...), ",")
		dir := ""
		if cfg.Dirs != nil {
			dir = cfg.Dirs[i]
		}
		b := Prepare(tb, Config{Dir: dir, Set: cfg.Set, Args: cfg.Args, Env: cfg.Env, File: cfg.File, member: m})
		b.cluster = c
		c.Nodes = append(c.Nodes, b)
	}
	return c
}

// Launch starts every node that does not run and waits until all are ready.
func (c *Cluster) Launch() error {
	for _, b := range c.Nodes {
		if b.Running() {
			continue
		}
		if err := b.Spawn(); err != nil {
			return err
		}
	}
	return c.AwaitReady()
}

// AwaitReady waits until every node is ready and knows who leads each of its partitions.
func (c *Cluster) AwaitReady() error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, b := range c.Nodes {
		wg.Go(func() { errs[i] = b.AwaitReady() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// awaitVoters waits until the metadata has three voters, or five where there are as many nodes.
func (c *Cluster) awaitVoters() {
	c.tb.Helper()
	voters := 1
	for _, n := range []int{3, 5} {
		if len(c.Nodes) >= n {
			voters = n
		}
	}
	for _, b := range c.Nodes {
		if err := b.AwaitMetric(readyMax, "chronik_raft_quorum_size", func(v float64) bool { return v == float64(voters/2+1) }); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// Kill ends every node with SIGKILL, all at once.
func (c *Cluster) Kill() {
	for _, b := range c.Nodes {
		b.kill()
	}
	for _, b := range c.Nodes {
		b.Kill()
	}
}

// For is the same cluster, whose failures are those of another test.
func (c *Cluster) For(tb testing.TB) *Cluster { return &Cluster{Nodes: c.Nodes, Net: c.Net, tb: tb} }

// Node is the node with an id.
func (c *Cluster) Node(id int32) *Broker {
	if id < 1 || int(id) > len(c.Nodes) {
		c.tb.Fatalf("there is no node %d", id)
	}
	return c.Nodes[id-1]
}

// Others are the nodes without b.
func (c *Cluster) Others(b *Broker) []*Broker {
	var others []*Broker
	for _, n := range c.Nodes {
		if n != b {
			others = append(others, n)
		}
	}
	return others
}

// Serving are the nodes that run and were not paused.
func (c *Cluster) Serving() []*Broker {
	var serving []*Broker
	for _, b := range c.Nodes {
		if b.Serving() {
			serving = append(serving, b)
		}
	}
	return serving
}

// Bootstrap is the addresses of all nodes, separated by commas.
func (c *Cluster) Bootstrap() string {
	addrs := make([]string, len(c.Nodes))
	for i, b := range c.Nodes {
		addrs[i] = b.Addr
	}
	return strings.Join(addrs, ",")
}

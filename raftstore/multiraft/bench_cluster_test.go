package multiraft

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/internal/clock"

	pb "go.etcd.io/raft/v3/raftpb"
)

// wires carry messages between nodes of this process, as they are.
type wires struct {
	hosts [3]atomic.Pointer[Host]
	sent  atomic.Int64
}

func (w *wires) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		if h := w.hosts[m.GetTo()-1].Load(); h != nil {
			w.sent.Add(1)
			_ = h.Step(group, m) // a group that is not there yet
		}
	}
}

// benchCluster is three nodes; each leads a third of the groups.
type benchCluster struct {
	wires
	nodes  [3]*benchNode
	clocks [3]*clock.Manual // nil: real time
}

func startBenchCluster(b *testing.B, groups, size int, segmentBytes int64, manual bool) *benchCluster {
	b.Helper()
	c := &benchCluster{}
	for i := range c.nodes {
		c.nodes[i] = openBench(b, groups, size, segmentBytes, []uint64{1, 2, 3}, func(o *Options) {
			o.NodeID, o.Transport = uint64(i+1), &c.wires
			if manual {
				c.clocks[i] = clock.NewManual(time.Unix(0, 0))
				o.Clock = c.clocks[i]
			}
		})
		c.hosts[i].Store(c.nodes[i].host)
	}
	for g := range groups {
		until(b, "a leader", nil, func() bool {
			if manual {
				c.tick(1)
			}
			return c.leader(g) != nil
		})
	}
	return c
}

func (c *benchCluster) leader(group int) *pump {
	for _, n := range c.nodes {
		if p := n.pumps[group]; p.leads() {
			return p
		}
	}
	return nil
}

// tick lets so many ticks pass, and messages go round at each.
func (c *benchCluster) tick(n int) {
	for range n {
		for _, clk := range c.clocks {
			clk.Advance(100 * time.Millisecond)
		}
		for range 3 {
			for _, node := range c.nodes {
				for _, s := range node.host.shards {
					t := make(barrier)
					s.Push(t)
					<-t
				}
			}
		}
	}
}

func (c *benchCluster) close(b *testing.B) {
	for _, n := range c.nodes {
		n.close(b)
	}
}

// BenchmarkIdleCluster: an operation is a tick of 1,000 idle groups of three voters on each of three nodes, with all their
// heartbeats; messages are handed over as they are.
func BenchmarkIdleCluster(b *testing.B) {
	const groups = 1000
	heap := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	before := heap()
	c := startBenchCluster(b, groups, 64, 64<<10, true)
	defer c.close(b)
	after := heap()
	c.tick(20)
	c.sent.Store(0)
	b.ReportAllocs()
	b.ResetTimer()
	c.tick(b.N)
	b.StopTimer()
	each := float64(b.N) * groups
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/each, "ns/group-tick") // of all three replicas
	b.ReportMetric(float64(c.sent.Load())/each, "messages/group-tick")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/groups/3, "B/replica")
}

// BenchmarkIdleReplica: an operation is a tick of one replica that follows and hears nothing.
func BenchmarkIdleReplica(b *testing.B) {
	c := startBenchCluster(b, 1, 64, 64<<10, true)
	defer c.close(b)
	c.tick(20)
	for _, n := range c.nodes {
		if g, _ := n.host.Group(1); !n.pumps[0].leads() {
			g.mu.Lock()
			defer g.mu.Unlock()
			b.ResetTimer()
			for range b.N {
				g.node.Tick()
				g.reads.Tick(10, ErrNoLeader)
				g.tickPeers()
				g.tickHandoffs()
				if g.hasten() || g.node.HasReady() {
					_ = g.node.Ready() // an election: a few in thousands
				}
			}
			b.StopTimer()
			return
		}
	}
}

// BenchmarkReplicate: an operation is one record proposed until it is committed, so durable on two nodes of three, which share
// this machine's disk.
func BenchmarkReplicate(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, groups := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%dK/groups=%d/proposers=256", size>>10, groups), func(b *testing.B) {
				c := startBenchCluster(b, groups, size, 64<<20, false)
				defer c.close(b)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range 256 {
					p := c.leader(i % groups)
					wg.Go(func() {
						record, done := make([]byte, size), make(chan error, 1)
						for left.Add(-1) >= 0 {
							if err := p.produce(record, done); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "proposals/s")
			})
		}
	}
}

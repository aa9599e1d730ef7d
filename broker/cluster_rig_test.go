package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// crew is several brokers in one process, each with a disk in memory. All that
// is real is underneath, but for the sockets.
type crew struct {
	t      *testing.T
	static map[string]string
	tune   func(o *Options)

	mu   sync.Mutex
	runs map[uint64]*mate
	cut  map[uint64]bool // unreachable, though they run
}

// mate is one process of a node.
type mate struct {
	*Broker // nil until it is open; under crew.mu for others
	c       *crew
	id      uint64
	fs      *vfs.Mem
	known   map[uint64]string // under crew.mu
	calls   map[uint8]int     // by method, under crew.mu
	gone    chan struct{}

	states *raftstore.HardStates
	syncer *wal.Syncer
	host   *multiraft.Host
}

func newCrew(t *testing.T, nodes int, tune func(o *Options)) *crew {
	t.Helper()
	c := &crew{t: t, tune: tune, runs: map[uint64]*mate{}, cut: map[uint64]bool{}, static: map[string]string{
		"offsets.topic.num.partitions": "2", "default.replication.factor": "3", "group.initial.rebalance.delay.ms": "0",
		"log.segment.bytes": "1048576", "offsets.topic.segment.bytes": "1048576", // a file in memory takes its whole length
	}}
	t.Cleanup(func() {
		for _, n := range c.running() {
			n.stop()
		}
	})
	for id := uint64(1); id <= uint64(nodes); id++ {
		c.start(id, vfs.NewMem())
	}
	for _, n := range c.running() {
		c.until("all brokers are known", func() bool { return len(n.Nodes()) == nodes })
	}
	c.until("voters", func() bool { return len(c.runs[1].meta.Status().Voters) == min(3, nodes) })
	return c
}

func testLog() *slog.Logger {
	if os.Getenv("CHRONIK_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func raftAddr(id uint64) string { return fmt.Sprintf("n%d:1", id) }

// start starts a node over its disk, which joins the cluster when it is new,
// or forms it when it is the first.
func (c *crew) start(id uint64, fs *vfs.Mem) *mate {
	c.t.Helper()
	n := c.boot(id, fs)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.open(ctx); err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	return n
}

func (c *crew) boot(id uint64, fs *vfs.Mem) *mate {
	c.t.Helper()
	n := &mate{c: c, id: id, fs: fs, known: map[uint64]string{}, calls: map[uint8]int{}, gone: make(chan struct{}), syncer: wal.NewSyncer(wal.SyncerOptions{})}
	var err error
	if n.states, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: fs, Dir: "data/hardstate"}); err != nil {
		c.t.Fatal(err)
	}
	n.host = multiraft.NewHost(multiraft.Options{
		NodeID: id, HardStates: n.states, Transport: n, Logger: testLog().With("node", id), Shards: 1, TickInterval: 30 * time.Millisecond,
	})
	n.host.Start()
	c.mu.Lock()
	c.runs[id] = n
	c.mu.Unlock()
	return n
}

func (n *mate) open(ctx context.Context) error {
	id, c, log := n.id, n.c, testLog().With("node", n.id)
	o := Options{
		NodeID: int32(id), Host: "h", Port: int32(9000 + id), Rack: fmt.Sprintf("r%d", id), DataDir: "data", FS: n.fs, Syncer: n.syncer, Raft: n.host,
		Clock: clock.Real, Rand: rand.New(rand.NewPCG(rand.Uint64(), id)), Logger: log, Metrics: metrics.Discard(), Static: c.static,
		Peers: n, RaftAddr: raftAddr(id), Directory: [16]byte{byte(id)}, Voters: []uint64{1},
		ISR: ISR{MaxLag: 2 * time.Second, CheckInterval: 100 * time.Millisecond},
	}
	if c.tune != nil {
		c.tune(&o)
	}
	names, _ := n.fs.ReadDir("data/metadata")
	if o.Learner = id != 1; o.Learner && len(names) == 0 {
		self := cluster.Broker{ID: o.NodeID, Host: o.Host, Port: o.Port, Rack: o.Rack, RaftAddr: o.RaftAddr, Dir: o.Directory}
		j, err := metadata.Join(ctx, metadata.JoinOptions{Self: self, Addrs: []string{raftAddr(1)}, Peers: n, Clock: clock.Real, Logger: log})
		if err != nil {
			return err
		}
		o.Voters = j.Voters
	}
	b, err := New(o)
	if err != nil {
		return err
	}
	c.mu.Lock()
	n.Broker = b
	c.mu.Unlock()
	return b.Start(ctx)
}

func (c *crew) running() (out []*mate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.runs {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *mate) int { return int(a.id) - int(b.id) })
	return out
}

// leave takes the node off the network, and tells the others that its process
// is gone.
func (n *mate) leave() {
	n.c.mu.Lock()
	if n.c.runs[n.id] != n {
		n.c.mu.Unlock()
		return
	}
	delete(n.c.runs, n.id)
	close(n.gone)
	n.c.mu.Unlock()
	for _, other := range n.c.running() {
		other.host.Down(n.id)
	}
}

// stop ends the process in good order.
func (n *mate) stop() {
	if n.Broker != nil {
		if err := n.Broker.Close(); err != nil {
			n.c.t.Errorf("node %d: %v", n.id, err)
		}
	}
	n.leave()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := errors.Join(n.host.Stop(ctx), n.states.Close()); err != nil {
		n.c.t.Errorf("node %d: %v", n.id, err)
	}
	n.syncer.Close()
}

// kill is a power cut; what was not synced may be lost. It returns the disk.
func (n *mate) kill() *vfs.Mem {
	n.leave()
	disk := n.fs.Crash(rand.Uint64())
	n.stop()
	return disk
}

// reach is the node at an address, if from can reach it.
func (c *crew) reach(from uint64, addr string) *mate {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.runs {
		if raftAddr(n.id) == addr && !c.cut[from] && !c.cut[n.id] && c.runs[from] != nil {
			return n
		}
	}
	return nil
}

func (c *crew) isolate(id uint64, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[id] = cut
}

func (n *mate) SetPeer(id uint64, addrs ...string) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.known[id] = addrs[0]
}

func (n *mate) where(id uint64) string {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.known[id]
}

func (n *mate) Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error) {
	_, b, err := n.CallAddr(ctx, n.where(node), method, body)
	return b, err
}

var errNoRoute = errors.New("no such node")

func (n *mate) CallAddr(ctx context.Context, addr string, method uint8, body []byte) (uint64, []byte, error) {
	n.c.mu.Lock()
	n.calls[method]++
	n.c.mu.Unlock()
	to := n.c.reach(n.id, addr)
	if to == nil {
		return 0, nil, errNoRoute
	}
	n.c.mu.Lock()
	b := to.Broker
	n.c.mu.Unlock()
	if b == nil {
		return to.id, nil, metadata.ErrNotInCluster
	}
	type answer struct {
		b   []byte
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		out, err := b.Serve(context.WithoutCancel(ctx), n.id, method, slices.Clone(body))
		if n.c.reach(to.id, raftAddr(n.id)) != nil {
			answers <- answer{out, err}
		}
	}()
	select {
	case a := <-answers:
		return to.id, a.b, a.err
	case <-to.gone:
		return 0, nil, errNoRoute
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

// Send is of multiraft.Transport.
func (n *mate) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		if to := n.c.reach(n.id, n.where(m.GetTo())); to != nil {
			_ = to.host.Step(group, proto.Clone(m).(*pb.Message)) // a group that is not open there is no news
		}
	}
}

// until polls for what comes in the end.
func (c *crew) until(what string, cond func() bool) {
	c.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); !cond(); <-poll.C {
		if time.Now().After(deadline) {
			for _, n := range c.running() {
				c.t.Logf("node %d: metadata %+v, nodes %+v, not ready: %v", n.id, n.meta.Status(), n.AllNodes(), n.NotReady())
				for _, p := range n.Partitions() {
					l, _ := n.PartitionLeader(p.TopicPartition)
					c.t.Logf("node %d: %s-%d: leader %+v, %d in sync, %+v, %+v", n.id, p.Topic, p.Partition, l, p.InSync, p.Raft, p.Followers)
				}
			}
			c.t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

// leader waits until the running nodes agree who leads a partition, and returns it.
func (c *crew) leader(topic string, partition int32) *mate {
	c.t.Helper()
	var found *mate
	c.until(fmt.Sprintf("a leader of %s-%d", topic, partition), func() bool {
		found = nil
		for _, n := range c.running() {
			l, _ := n.PartitionLeader(TopicPartition{Topic: topic, Partition: partition})
			if found != nil && uint64(l.ID) != found.id {
				return false
			}
			c.mu.Lock()
			found = c.runs[uint64(l.ID)]
			c.mu.Unlock()
			if found == nil {
				return false
			}
		}
		return true
	})
	return found
}

func (c *crew) create(n *mate, name string, partitions int32, factor int16, configs ...ConfigValue) {
	c.t.Helper()
	t := NewTopic{Name: name, Partitions: partitions, ReplicationFactor: factor, Configs: configs}
	if got := n.CreateTopics(background, []NewTopic{t}, time.Minute, false)[0]; got.Err != nil {
		c.t.Fatalf("create %s: %v", name, got.Err)
	}
}

// produce tries, at whoever leads, until a value is acknowledged by all.
func (c *crew) produce(topic string, partition int32, value string) (offset int64) {
	c.t.Helper()
	var last error
	defer func() {
		if c.t.Failed() {
			c.t.Logf("last refusal: %v", last)
		}
	}()
	c.until("an acknowledgement", func() bool {
		p := c.try(c.leader(topic, partition), topic, partition, value)
		offset, last = p.BaseOffset, p.Err
		return p.Err == nil
	})
	return offset
}

func (c *crew) try(n *mate, topic string, partition int32, value string) *ProducePartition {
	p := n.Produce(background, &ProduceRequest{Version: 9, Acks: -1, Timeout: 10 * time.Second, Partitions: []ProducePartition{
		{TopicPartition: TopicPartition{Topic: topic, Partition: partition}, Records: recordsOf(c.t, batch.Plain(batch.None), value)},
	}})
	select {
	case <-p.Done():
	case <-n.gone:
		return &ProducePartition{Err: errNoRoute}
	case <-time.After(time.Minute):
		c.t.Fatal("a produce was not answered")
	}
	return &p.Partitions[0]
}

// values reads a partition from a node, as a consumer.
func (c *crew) values(n *mate, topic string, partition int32) (out []string, err error) {
	c.t.Helper()
	for offset := int64(0); ; {
		q, res := n.read(at(topic, partition, offset))
		p := q.Partitions[0]
		for _, rest := range p.Records {
			for len(rest) > 0 {
				v, tail, err := batch.Next(rest)
				if err != nil {
					c.t.Fatal(err)
				}
				for r, err := range batch.Records(v, nil) {
					if err != nil {
						c.t.Fatal(err)
					}
					out = append(out, string(r.Value))
					offset = r.Offset + 1
				}
				rest = tail
			}
		}
		size := p.Size
		res.Release()
		if p.Err != nil || size == 0 {
			return out, p.Err
		}
	}
}

func (n *mate) read(parts ...FetchPartition) (*FetchRequest, *FetchResult) {
	q := &FetchRequest{ReplicaID: -1, MinBytes: 1, MaxBytes: 1 << 20, ReplicaRead: true, Partitions: parts}
	return q, n.Fetch(background, q)
}

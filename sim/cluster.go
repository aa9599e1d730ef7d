package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"chronik/sim/disk"
	"chronik/sim/history"
	"chronik/sim/network"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Bug is a mistake to make on purpose, to see that it is found.
type Bug int

// The bugs. They are in the simulation, not in the product.
const (
	NoBug         Bug = iota
	AckBeforeSync     // disks answer a sync without doing it
	ForgetVote        // terms and votes are durable a little after they are told
	StaleReads        // followers serve what they have, and call it safe
)

func (b Bug) String() string {
	return [...]string{"none", "ack-before-sync", "forget-vote", "stale-reads"}[b]
}

// Options say what to run.
type Options struct {
	Seed   uint64
	Nodes  int           // 0: the seed decides
	Length time.Duration // of the time with faults; 0: the seed decides
	Bug    Bug
	// Abort is called with what there is when the run cannot go on in a
	// sensible way: a term has two leaders, or a follower has forgotten what its
	// leader counts on, and these are never done with each other. It must not
	// return. Nil: the run goes on.
	Abort func(Report)
	All   bool // the journal has every event, a message of raft's too
}

// Report is what a run came to.
type Report struct {
	Seed       uint64
	Nodes      int
	Length     time.Duration // of virtual time
	Faults     int
	Acked      int // records
	Reads      int
	Followed   int // reads from followers
	Violations []string
	Events     int
	Digest     uint64   // of all events: equal runs have equal ones
	Journal    []string // what happened, a line an event
}

// simulation is a run under way.
type simulation struct {
	opt        Options
	rand       *rand.Rand // of the goroutine that runs the faults; others get their own
	journal    *journal
	hist       *history.History
	net        *network.Network
	nodes      []*node
	topics     []string
	committers []*committer
	lives      int
	faults     int

	processes sync.WaitGroup
	restarts  sync.WaitGroup // shutdowns under way
	clients   sync.WaitGroup
	stop      context.CancelFunc // of the clients
	ctx       context.Context

	onVote func(from, to uint64) // told of each vote that is given
}

func (c *simulation) newRand() *rand.Rand {
	return rand.New(rand.NewPCG(c.rand.Uint64(), c.rand.Uint64()))
}

// settings are small, so that in seconds everything happens that otherwise
// takes days.
func (c *simulation) settings() map[string]string {
	return map[string]string{
		"offsets.topic.num.partitions":     "2",
		"offsets.topic.replication.factor": fmt.Sprint(min(3, len(c.nodes))),
		"log.segment.bytes":                "1048576",
		"log.roll.ms":                      "3000",
		"log.retention.check.interval.ms":  "5000",
		"auto.create.topics.enable":        "false",
	}
}

// Run runs one seed. It must be called in a bubble of testing/synctest.
func Run(o Options) Report {
	c := newSimulation(o)
	for _, n := range c.nodes {
		n.start()
	}
	c.createTopics()
	c.startClients()
	c.breakThings()
	c.settle()
	c.stop()
	c.clients.Wait()
	c.finish()
	c.processes.Wait()
	if acked, _, _ := c.hist.Counts(); acked == 0 {
		c.hist.Violate("live", "nothing was acknowledged at all")
	}
	return c.report()
}

func (c *simulation) report() Report {
	acked, reads, followed := c.hist.Counts()
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	return Report{
		Seed: c.opt.Seed, Nodes: len(c.nodes), Length: time.Since(c.journal.begin), Faults: c.faults, Acked: acked, Reads: reads, Followed: followed,
		Violations: c.hist.Violations(), Events: c.journal.events, Digest: c.journal.digest, Journal: c.journal.lines,
	}
}

func newSimulation(o Options) *simulation {
	c := &simulation{opt: o, rand: rand.New(rand.NewPCG(o.Seed, 0x73696d)), journal: newJournal(), hist: history.New()}
	c.journal.all = o.All
	c.ctx, c.stop = context.WithCancel(context.Background())
	if c.opt.Nodes == 0 {
		c.opt.Nodes = []int{1, 3, 3, 3, 3, 3, 3, 3, 5, 5}[c.rand.IntN(10)]
	}
	if c.opt.Length == 0 {
		c.opt.Length = time.Duration(10+c.rand.IntN(20)) * time.Second
	}
	c.net = network.New(network.Options{
		Rand: c.newRand(), Default: c.goodLink(), Sent: c.sent, Unreachable: c.unreachable, Received: func(group uint64, m *pb.Message) {
			c.journal.mix("%d>%d %d %s t%d i%d", m.GetFrom(), m.GetTo(), group, m.GetType(), m.GetTerm(), m.GetIndex())
		},
	})
	for i := range c.opt.Nodes {
		n := &node{c: c, id: uint64(i + 1), disk: disk.New(), clock: newClock(0.95 + 0.1*c.rand.Float64())}
		n.disk.Late = c.late()
		c.nodes = append(c.nodes, n)
	}
	return c
}

func (c *simulation) goodLink() network.Link {
	return network.Link{Delay: 200 * time.Microsecond, JitterMax: time.Duration(1+c.rand.IntN(2000)) * time.Microsecond}
}

// late is the disk's part of the planted bugs: syncs that are answered before
// they are done, those of records never. A file's first ones are done in time: a
// beginning that is missing would be noticed by whoever opens it.
func (c *simulation) late() func(string, int) time.Duration {
	dir, late := "", time.Duration(0)
	switch c.opt.Bug {
	case AckBeforeSync:
		dir, late = dataDir+"/topics/", time.Hour
	case ForgetVote:
		dir, late = dataDir+"/hardstate/", 20*time.Millisecond
	default:
		return nil
	}
	return func(name string, n int) time.Duration {
		if n < 3 || !strings.HasPrefix(name, dir) || strings.Contains(name, "MANIFEST") {
			return 0
		}
		return late
	}
}

// sent watches raft: who leads, and who votes.
func (c *simulation) sent(from, group uint64, m *pb.Message) {
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		if !c.hist.Led(group, m.GetTerm(), from) {
			c.abort()
		}
	case pb.MsgAppResp:
		if !c.hist.Answered(group, m.GetTerm(), from, m.GetIndex(), m.GetReject()) {
			c.abort()
		}
	case pb.MsgVoteResp:
		if onVote := c.onVote; onVote != nil && !m.GetReject() {
			onVote(from, m.GetTo())
		}
	}
}

func (c *simulation) abort() {
	if c.opt.Abort != nil {
		c.opt.Abort(c.report())
	}
}

// unreachable tells a node what its transport would notice.
func (c *simulation) unreachable(from, to uint64) {
	if n := c.node(from); n != nil {
		if p := n.current(); p != nil && p.host.Load() != nil {
			p.host.Load().Unreachable(to)
		}
	}
}

// node returns one by its id.
func (c *simulation) node(id uint64) *node {
	if id == 0 || id > uint64(len(c.nodes)) {
		return nil
	}
	return c.nodes[id-1]
}

// sleep lets virtual time pass; false: the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// await polls until f holds, for at most limit of virtual time.
func await(limit time.Duration, f func() error) error {
	for begin := time.Now(); ; {
		err := f()
		if err == nil {
			return nil
		}
		if time.Since(begin) > limit {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		sleep(context.Background(), 100*time.Millisecond)
	}
}

func (r Report) String() string {
	return fmt.Sprintf("seed %d: %d nodes, %s of virtual time, %d faults, %d records acknowledged, %d reads (%d from followers), %d events, digest %016x",
		r.Seed, r.Nodes, r.Length, r.Faults, r.Acked, r.Reads, r.Followed, r.Events, r.Digest)
}

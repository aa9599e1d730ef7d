package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chronik/broker"
	"chronik/broker/cluster"
	"chronik/broker/follow"
	"chronik/broker/metadata"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/sim/disk"
	"chronik/sim/network"
	"chronik/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

const dataDir = "data"

// node is a machine of the cluster: its disk and clock stay when its process ends.
type node struct {
	c     *simulation
	id    uint64
	disk  *disk.Disk
	clock *nodeClock

	mu      sync.Mutex
	process *process
	down    bool // the process has been ended and not started again
}

// process is one life of a node.
type process struct {
	n      *node
	name   string // node and life, for the journal
	ctx    context.Context
	stop   context.CancelFunc
	end    *network.Endpoint
	log    *slog.Logger
	mount  *disk.Mount
	rand   *rand.Rand
	host   atomic.Pointer[multiraft.Host]
	member atomic.Pointer[broker.Broker] // nil until it answers other nodes
	broker atomic.Pointer[broker.Broker] // nil until it serves clients

	closers []func() error // in the order of opening
	closing sync.Once
}

// current is the process that runs, nil when none does.
func (n *node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// start runs a new process on what is on the disk.
func (n *node) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		return
	}
	n.c.lives++
	p := &process{n: n, name: fmt.Sprintf("n%d.%d", n.id, n.c.lives), mount: n.disk.Mount(), rand: n.c.newRand()}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.log = slog.New(&journalHandler{j: n.c.journal, name: p.name, ended: p.ctx})
	n.process, n.down = p, false
	p.end = n.c.net.Attach(n.id, n.addr(), network.Handlers{Deliver: p.deliver, Serve: p.serve})
	n.c.processes.Go(p.run)
}

func (n *node) addr() string { return fmt.Sprintf("node%d:5001", n.id) }

// end ends the process where it stands. With power, the disk loses what was not
// synced.
func (n *node) end(power bool, seed uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.process
	if p == nil {
		return
	}
	n.process, n.down = nil, true
	p.stop() // first: nothing is journalled or answered from here on
	p.end.Close()
	if power {
		n.disk.PowerCut(seed)
	} else {
		n.disk.Kill()
	}
}

func (p *process) deliver(_, group uint64, m *pb.Message) {
	if h := p.host.Load(); h != nil {
		_ = h.Step(group, m) // a group that is not there yet: lost, as by the real transport
	}
}

func (p *process) serve(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
	if b := p.member.Load(); b != nil {
		return b.Serve(ctx, from, method, body)
	}
	return nil, metadata.ErrNotInCluster
}

// run opens everything, waits for the end of the process, and gives back what
// it holds; of a process that was ended, nothing of that reaches the disk.
func (p *process) run() {
	err := p.open()
	switch {
	case p.ctx.Err() != nil:
	case errors.Is(err, disk.ErrSync): // it exits, and whoever watches it starts it again
		p.n.c.journal.add("%s: %v", p.name, err)
		p.n.end(false, 0)
		p.n.c.startLater(p.n, time.Second)
	case err != nil:
		p.n.c.hist.Violate("start", "%s does not start: %v", p.name, err)
	default:
		p.n.c.journal.add("%s serves", p.name)
	}
	<-p.ctx.Done()
	_ = p.close() // of a process that is gone; shutdown looks at the others
}

// close gives back what was opened, in the reverse order, once.
func (p *process) close() (err error) {
	p.closing.Do(func() {
		var errs []error
		for i := len(p.closers) - 1; i >= 0; i-- {
			errs = append(errs, p.closers[i]())
		}
		err = errors.Join(errs...)
	})
	return err
}

// open puts the node together the way package node does.
func (p *process) open() error {
	n := p.n
	syncer := wal.NewSyncer(wal.SyncerOptions{Clock: n.clock})
	p.closers = append(p.closers, func() error { syncer.Close(); return nil })
	states, _, err := raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: p.mount, Dir: dataDir + "/hardstate", Logger: p.log})
	if err != nil {
		return fmt.Errorf("hard states: %w", err)
	}
	p.closers = append(p.closers, states.Close)
	raft := multiraft.Options{NodeID: n.id, HardStates: states, Clock: n.clock, Logger: p.log, Shards: 1}
	if len(n.c.nodes) > 1 {
		raft.Transport = p.end
	}
	host := multiraft.NewHost(raft)
	host.Start()
	p.host.Store(host)
	p.closers = append(p.closers, func() error {
		ctx, cancel := context.WithTimeout(p.ctx, settleLimit)
		defer cancel()
		return host.Stop(ctx)
	})
	o := broker.Options{
		NodeID: int32(n.id), Host: fmt.Sprintf("node%d", n.id), Port: 9092, DataDir: dataDir, FS: p.mount, Syncer: syncer,
		Raft: host, Clock: n.clock, Rand: p.rand, Logger: p.log, Metrics: metrics.Discard(), Static: n.c.settings(),
	}
	if len(n.c.nodes) > 1 {
		if err := p.join(&o); err != nil {
			return fmt.Errorf("join: %w", err)
		}
	}
	b, err := broker.New(o)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	p.closers = append(p.closers, b.Close)
	p.member.Store(b)
	if err := b.Start(p.ctx); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	p.broker.Store(b)
	return nil
}

// join completes a broker's options as a node of a cluster: the first one
// begins it, the others ask the first ones until they are let in, once.
func (p *process) join(o *broker.Options) error {
	n := p.n
	o.Peers, o.RaftAddr, o.Directory = p.end, n.addr(), [16]byte{1, byte(n.id)}
	if n.c.opt.Bug == StaleReads {
		o.FollowerReads = follow.Unsafe
	}
	const name = "voters.json"
	b, err := vfs.ReadFile(p.mount, dataDir+"/"+name, 1000)
	if err == nil {
		err = json.Unmarshal(b, &o.Voters)
		o.Learner = !slices.Contains(o.Voters, n.id)
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o.Voters = []uint64{n.id}
	if n.id != 1 {
		joined, err := metadata.Join(p.ctx, metadata.JoinOptions{
			Self:  cluster.Broker{ID: o.NodeID, Host: o.Host, Port: o.Port, RaftAddr: o.RaftAddr, Dir: o.Directory},
			Addrs: []string{n.c.nodes[0].addr(), n.c.nodes[1].addr(), n.c.nodes[2].addr()}, Peers: o.Peers, Clock: o.Clock, Logger: o.Logger,
		})
		if err != nil {
			return err
		}
		o.Voters, o.Learner = joined.Voters, true
	}
	if b, err = json.Marshal(o.Voters); err != nil {
		return err
	}
	return vfs.ReplaceFile(p.mount, dataDir, name+".tmp", name, b)
}

// shutdown ends the process in good order, and returns when it has ended. With
// drain, others lead first what it leads, if they can within seconds.
func (n *node) shutdown(drain bool) error {
	p := n.current()
	if p == nil || p.broker.Load() == nil {
		return fmt.Errorf("node %d does not run", n.id)
	}
	if drain {
		ctx, cancel := context.WithTimeout(p.ctx, drainLimit)
		_, err := p.broker.Load().Drain(ctx)
		cancel()
		n.c.journal.add("%s has handed over: %v", p.name, err)
	}
	p.broker.Store(nil) // no clients any more
	err := p.close()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != p { // ended meanwhile
		return nil
	}
	p.stop()
	p.end.Close()
	n.process, n.down = nil, true
	n.disk.Kill()
	return err
}

// drainLimit is how long a node that shuts down hands over.
const drainLimit = 10 * time.Second

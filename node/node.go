package node

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"chronik/admin"
	"chronik/broker"
	"chronik/internal/clock"
	"chronik/internal/config"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/kafka/handler"
	"chronik/kafka/server"
	"chronik/raftstore"
	"chronik/raftstore/link"
	"chronik/raftstore/multiraft"
	"chronik/raftstore/transport"
	"chronik/wal"
)

// Build says what is running, for the metrics.
type Build struct{ Version, GoVersion, Revision string }

// Node is a running node.
type Node struct {
	conf    *config.Config
	log     *slog.Logger
	fs      vfs.FS
	clock   clock.Clock
	metrics *metrics.Metrics
	closers []closer // in the order of opening
	broker  *broker.Broker
	raft    *multiraft.Host
	syncer  *wal.Syncer
	server  *server.Server
	kafka   *net.TCPListener
	admin   net.Addr
	failed  chan error // a listener's end

	waiting atomic.Pointer[error] // why the node is not serving; nil: it is

	idMu sync.Mutex
	id   *identity

	// Of a cluster's node.
	letIn    func() // ends the turning away of clients
	raftPort net.Listener
	tls      *tls.Config
	link     *link.Link
	peers    *transport.Transport
	serves   atomic.Pointer[broker.Broker] // who answers calls of other nodes
}

type closer struct {
	what   string
	within time.Duration
	close  func(ctx context.Context) error
}

// Run starts a node, serves until the context ends, and stops it.
func Run(ctx context.Context, conf *config.Config, build Build, log *slog.Logger) error {
	n, err := Start(ctx, conf, build, log)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			log.Info("stopped", "while", "starting")
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-n.failed:
	}
	return errors.Join(err, n.Stop())
}

// Start opens a node. On an error everything is closed again.
func Start(ctx context.Context, conf *config.Config, build Build, log *slog.Logger) (*Node, error) {
	n := newNode(conf, build, log)
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func newNode(conf *config.Config, build Build, log *slog.Logger) *Node {
	n := &Node{
		conf: conf, log: log, fs: vfs.OS, clock: clock.Real, failed: make(chan error, 1),
		metrics: metrics.New(metrics.Options{
			NodeID: int32(conf.Cluster.NodeID), PartitionsMax: conf.Metrics.MaxPartitions,
			Version: build.Version, GoVersion: build.GoVersion, Revision: build.Revision,
		}),
	}
	n.starting(errors.New("opening the data directory"))
	return n
}

func (n *Node) start(ctx context.Context) error {
	began := n.clock.Now()
	for _, open := range []func(context.Context) error{
		n.openDir, n.openAdmin, n.listen, n.listenRaft, n.openRaft, n.enter, n.openBroker, n.serveKafka} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	n.waiting.Store(nil)
	took := n.clock.Now().Sub(began)
	n.metrics.Ready(took)
	n.log.Info("serving", "node", n.conf.Cluster.NodeID, "kafka", n.kafka.Addr().String(), "metrics", n.admin.String(), "raft", n.raftAddr(),
		"advertised", n.advertised(), "data", n.conf.Server.DataDir, "cluster", n.broker.ClusterID(), "took", took.Round(time.Millisecond))
	return nil
}

// onStop has f called when the node stops, with sync_timeout to be done in.
func (n *Node) onStop(what string, f func(ctx context.Context) error) {
	n.onStopWithin(n.conf.Shutdown.SyncTimeout, what, f)
}

func (n *Node) onStopWithin(d time.Duration, what string, f func(ctx context.Context) error) {
	n.closers = append(n.closers, closer{what, d, f})
}

// starting says what the node is waiting for.
func (n *Node) starting(why error) { n.waiting.Store(&why) }

// fail ends Run.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default: // it is ending
	}
}

// Stop closes what Start opened, in reverse.
func (n *Node) Stop() error {
	var errs []error
	ran := n.waiting.Load() == nil
	n.starting(errors.New("stopping"))
	for len(n.closers) > 0 {
		c := n.closers[len(n.closers)-1]
		n.closers = n.closers[:len(n.closers)-1]
		ctx, cancel := context.WithTimeout(context.Background(), c.within)
		if err := c.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.what, err))
		}
		cancel()
	}
	if ran {
		n.log.Info("stopped", "errors", len(errs))
	}
	return errors.Join(errs...)
}

// openDir takes the data directory and checks that it is this node's.
func (n *Node) openDir(context.Context) error {
	dir := n.conf.Server.DataDir
	if err := n.fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("%w: %w", ErrDataDir, err)
	}
	lock, err := n.fs.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDataDir, dir, err)
	}
	n.onStop("the data directory lock", func(context.Context) error { return lock.Close() })
	n.id, err = openIdentity(n.fs, dir, n.conf.Cluster.NodeID)
	return err
}

// ErrAddress is an address that cannot be listened on: the user can put that
// right.
var ErrAddress = errors.New("cannot listen")

func (n *Node) openAdmin(context.Context) error {
	addr := net.JoinHostPort(n.conf.Server.BindAddr, strconv.Itoa(n.conf.Server.MetricsPort))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: want another --metrics-port or --bind-addr: %w", ErrAddress, err)
	}
	n.admin = l.Addr()
	s := admin.Serve(sparing{l}, admin.Options{
		Ready: n.notReady, WriteMetrics: n.metrics.WriteText, ContentType: metrics.ContentType, Clock: n.clock, Logger: n.log,
	})
	n.onStop("the admin listener", s.Close)
	return nil
}

// notReady says why the node is not serving, nil when it is.
func (n *Node) notReady() error {
	if why := n.waiting.Load(); why != nil {
		return *why
	}
	return n.broker.NotReady()
}

// openRaft opens the hard states and what carries raft's messages.
func (n *Node) openRaft(context.Context) error {
	n.starting(errors.New("opening the hard states"))
	dir := n.conf.Server.DataDir
	n.syncer = wal.NewSyncer(wal.SyncerOptions{Clock: n.clock, Observe: func(r wal.Round) { n.metrics.Storage.Flush(r.Logs, r.Took) }})
	n.onStop("the sync coordinator", func(context.Context) error { n.syncer.Close(); return nil })
	states, rec, err := raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: n.fs, Dir: filepath.Join(dir, "hardstate"), Logger: n.log})
	if err != nil {
		return err
	}
	if rec.TornBytes > 0 {
		n.log.Warn("cut a torn tail", "log", "hardstate", "bytes", rec.TornBytes)
	}
	n.onStop("the hard states", func(context.Context) error { return states.Close() })
	o := multiraft.Options{
		NodeID: uint64(n.conf.Cluster.NodeID), HardStates: states, Clock: n.clock, Logger: n.log, Metrics: n.metrics,
		TickInterval: n.conf.Raft.HeartbeatInterval, HeartbeatTicks: 1,
		ElectionTicks: int(max(2, n.conf.Raft.ElectionTimeout/n.conf.Raft.HeartbeatInterval)),
	}
	if n.raftPort != nil {
		n.link = link.New(&n.metrics.Raft, n.clock)
		n.openTransport()
		o.Transport = n.link
	}
	n.raft = multiraft.NewHost(o)
	n.raft.Start()
	n.onStop("the raft host", n.raft.Stop)
	if n.raftPort != nil {
		n.serveTransport()
	}
	return nil
}

func (n *Node) openBroker(ctx context.Context) error {
	dir, err := n.id.directory()
	if err != nil {
		return err
	}
	o := broker.Options{
		NodeID: int32(n.conf.Cluster.NodeID), Host: n.conf.Server.AdvertisedAddr, Port: int32(n.conf.Server.AdvertisedPort), Rack: n.conf.Server.Rack,
		DataDir: n.conf.Server.DataDir, FS: n.fs, Syncer: n.syncer, Maps: n.openMaps(), Raft: n.raft, Clock: n.clock, Rand: newRand(),
		Logger: n.log, Metrics: n.metrics, Static: n.conf.Kafka,
		RaftAddr: n.raftAddr(), Directory: dir, StaticPeers: n.staticPeers(),
		Voters: n.id.Voters, Learner: !slices.Contains(n.id.Voters, uint64(n.conf.Cluster.NodeID)),
		FollowerReads: broker.FollowerReads(n.conf.Cluster.FollowerReadPolicy), ReadIndexTimeout: n.conf.Cluster.ReadIndexTimeout,
		ISR: broker.ISR{MaxLag: n.conf.ISR.MaxLag, MaxLagEntries: uint64(n.conf.ISR.MaxLagEntries), CheckInterval: n.conf.ISR.CheckInterval},
	}
	if n.peers != nil {
		o.Peers, o.Gone = n.peers, n.peers.Gone
	}
	n.starting(errors.New("opening the metadata"))
	if n.broker, err = broker.New(o); err != nil {
		return err
	}
	n.onStop("the broker", func(context.Context) error { return n.broker.Close() })
	n.serves.Store(n.broker)
	n.starting(errors.New("waiting for the leader of the metadata, then opening partitions"))
	if err := n.broker.Start(ctx); err != nil {
		return err
	}
	return n.entered()
}

// listen takes the Kafka port, so that its number is known to the broker, and
// a port that is taken is found before logs are recovered. Clients that connect
// before the node serves wait for it, or in a cluster, where that may take long
// and there are others, are turned away.
func (n *Node) listen(context.Context) error {
	addr := net.JoinHostPort(n.conf.Server.BindAddr, strconv.Itoa(n.conf.Server.KafkaPort))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: want another --kafka-port or --bind-addr: %w", ErrAddress, err)
	}
	n.kafka = l.(*net.TCPListener)
	n.onStop("the Kafka port", func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if port := &n.conf.Server.AdvertisedPort; *port == 0 {
		*port = l.Addr().(*net.TCPAddr).Port
	}
	if n.conf.Cluster.Enabled {
		n.letIn = turnAway(n.kafka)
	}
	return nil
}

func (n *Node) serveKafka(context.Context) error {
	settings := n.broker.Settings()
	h := handler.New(handler.Options{
		Broker: n.broker, Clock: n.clock, Logger: n.log, Metrics: n.metrics, Rand: newRand(), FetchSessions: settings.FetchSessionsMax,
	})
	k := &n.metrics.Kafka
	n.server = server.New(server.Options{
		Open:  func(c *server.Conn) server.Handler { return h.Open(c) },
		Clock: n.clock, Logger: n.log, Full: full,
		Limits: server.Limits{
			FrameBytesMax: int(settings.SocketRequestMaxBytes), RequestBytesMax: max(0, settings.QueuedRequestMaxBytes),
			ConnectionsMax: settings.MaxConnections, ConnectionsPerIPMax: settings.MaxConnectionsPerIP,
			IdleMax: settings.ConnectionsMaxIdle,
		},
		Hooks: server.Hooks{
			Opened:       k.ConnectionsOpened.Inc,
			Refused:      func(r server.CloseReason) { k.ConnectionRejected(r.String()) },
			Closed:       func(r server.CloseReason) { k.ConnectionClosed(r.String()) },
			Received:     func(bytes int) { k.BytesIn.Add(float64(bytes)) },
			Sent:         func(bytes int) { k.BytesOut.Add(float64(bytes)) },
			MemoryWaited: k.MemoryWaited,
		},
	})
	n.metrics.SetSource(n.snapshot)
	if n.letIn != nil {
		n.letIn()
	}
	go func() { n.fail(fmt.Errorf("the Kafka listener has failed: %w", n.server.Serve(n.kafka, "PLAINTEXT"))) }()
	n.onStopWithin(n.conf.Shutdown.DrainTimeout, "the Kafka listener", func(ctx context.Context) error {
		err := n.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // clients that do not read are no failure of ours
			n.log.Warn("connections were cut off", "after", n.conf.Shutdown.DrainTimeout)
			return nil
		}
		return err
	})
	if n.conf.Cluster.Enabled && n.conf.Raft.EnableLeadershipTransfer {
		n.onStopWithin(n.conf.Shutdown.TransferTimeout, "the leaderships", n.handOver)
	}
	return nil
}

func (n *Node) advertised() string {
	return net.JoinHostPort(n.conf.Server.AdvertisedAddr, strconv.Itoa(n.conf.Server.AdvertisedPort))
}

// newRand is seeded from the operating system.
func newRand() *rand.Rand {
	var seed [16]byte
	crand.Read(seed[:])
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
}

// KafkaAddr is the address that clients connect to, with the port that the
// system chose where the configured one is 0.
func (n *Node) KafkaAddr() net.Addr { return n.kafka.Addr() }

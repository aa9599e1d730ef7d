package node

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
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
	"chronik/raftstore/multiraft"
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
	id      *identity
	closers []closer // in the order of opening
	broker  *broker.Broker
	raft    *multiraft.Host
	server  *server.Server
	ready   chan struct{} // closed when the node serves
	serving chan error    // the Kafka listener's end
	kafka   net.Listener
	admin   net.Addr
}

type closer struct {
	what  string
	close func(ctx context.Context) error
}

// Run starts a node, serves until the context ends, and stops it.
func Run(ctx context.Context, conf *config.Config, build Build, log *slog.Logger) error {
	n, err := Start(ctx, conf, build, log)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // stopped while starting
		}
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-n.serving:
		err = fmt.Errorf("the Kafka listener has failed: %w", err)
	}
	return errors.Join(err, n.Stop())
}

// Start opens a node. On an error everything is closed again.
func Start(ctx context.Context, conf *config.Config, build Build, log *slog.Logger) (*Node, error) {
	n := &Node{
		conf: conf, log: log, fs: vfs.OS, clock: clock.Real, ready: make(chan struct{}), serving: make(chan error, 1),
		metrics: metrics.New(metrics.Options{
			NodeID: int32(conf.Cluster.NodeID), PartitionsMax: conf.Metrics.MaxPartitions,
			Version: build.Version, GoVersion: build.GoVersion, Revision: build.Revision,
		}),
	}
	began := n.clock.Now()
	for _, open := range []func(context.Context) error{n.openDir, n.openAdmin, n.listen, n.openBroker, n.serveKafka} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, n.Stop())
		}
	}
	close(n.ready)
	took := n.clock.Now().Sub(began)
	n.metrics.Ready(took)
	log.Info("serving", "node", conf.Cluster.NodeID, "kafka", n.kafka.Addr().String(), "metrics", n.admin.String(),
		"advertised", n.advertised(), "data", conf.Server.DataDir, "cluster", n.broker.ClusterID(), "took", took.Round(time.Millisecond))
	return n, nil
}

func (n *Node) onStop(what string, f func(ctx context.Context) error) {
	n.closers = append(n.closers, closer{what, f})
}

// Stop closes what Start opened, in reverse.
func (n *Node) Stop() error {
	var errs []error
	for len(n.closers) > 0 {
		c := n.closers[len(n.closers)-1]
		n.closers = n.closers[:len(n.closers)-1]
		ctx, cancel := context.WithTimeout(context.Background(), n.conf.Shutdown.DrainTimeout)
		if err := c.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.what, err))
		}
		cancel()
	}
	select {
	case <-n.ready:
		n.log.Info("stopped", "errors", len(errs))
	default: // it never ran
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
	select {
	case <-n.ready:
	default:
		return errors.New("starting")
	}
	return n.broker.NotReady()
}

func (n *Node) openBroker(ctx context.Context) error {
	dir := n.conf.Server.DataDir
	syncer := wal.NewSyncer(wal.SyncerOptions{Clock: n.clock, Observe: func(r wal.Round) { n.metrics.Storage.Flush(r.Logs, r.Took) }})
	n.onStop("the sync coordinator", func(context.Context) error { syncer.Close(); return nil })
	states, rec, err := raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: n.fs, Dir: filepath.Join(dir, "hardstate"), Logger: n.log})
	if err != nil {
		return err
	}
	if rec.TornBytes > 0 {
		n.log.Warn("cut a torn tail", "log", "hardstate", "bytes", rec.TornBytes)
	}
	n.onStop("the hard states", func(context.Context) error { return states.Close() })
	n.raft = multiraft.NewHost(multiraft.Options{
		NodeID: uint64(n.conf.Cluster.NodeID), HardStates: states, Clock: n.clock, Logger: n.log, Metrics: n.metrics,
		TickInterval: n.conf.Raft.HeartbeatInterval, HeartbeatTicks: 1,
		ElectionTicks: int(max(2, n.conf.Raft.ElectionTimeout/n.conf.Raft.HeartbeatInterval)),
	})
	n.raft.Start()
	n.onStop("the raft host", n.raft.Stop)
	n.broker, err = broker.Open(ctx, broker.Options{
		NodeID: int32(n.conf.Cluster.NodeID), Host: n.conf.Server.AdvertisedAddr, Port: int32(n.conf.Server.AdvertisedPort), Rack: n.conf.Server.Rack,
		DataDir: dir, FS: n.fs, Syncer: syncer, Maps: n.openMaps(), Raft: n.raft, Clock: n.clock, Rand: newRand(),
		Logger: n.log, Metrics: n.metrics, Static: n.conf.Kafka,
	})
	if err != nil {
		return err
	}
	n.onStop("the broker", func(context.Context) error { return n.broker.Close() })
	return nil
}

// listen takes the Kafka port, so that its number is known to the broker, and
// a port that is taken is found before logs are recovered. Clients that
// connect from now on are answered once the node serves.
func (n *Node) listen(context.Context) error {
	addr := net.JoinHostPort(n.conf.Server.BindAddr, strconv.Itoa(n.conf.Server.KafkaPort))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: want another --kafka-port or --bind-addr: %w", ErrAddress, err)
	}
	n.kafka = l
	n.onStop("the Kafka port", func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if port := &n.conf.Server.AdvertisedPort; *port == 0 {
		*port = l.Addr().(*net.TCPAddr).Port
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
	go func() { n.serving <- n.server.Serve(n.kafka, "PLAINTEXT") }()
	n.onStop("the Kafka listener", func(ctx context.Context) error {
		err := n.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // clients that do not read are no failure of ours
			n.log.Warn("connections were cut off", "after", n.conf.Shutdown.DrainTimeout)
			return nil
		}
		return err
	})
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

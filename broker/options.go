package broker

import (
	"cmp"
	"log/slog"
	"math/rand/v2"
	"time"

	"chronik/broker/follow"
	"chronik/broker/metadata"
	"chronik/broker/replica"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// Options say what a broker runs on.
type Options struct {
	NodeID int32
	Host   string // advertised to clients
	Port   int32
	Rack   string

	DataDir string
	FS      vfs.FS
	Syncer  *wal.Syncer
	Maps    *wal.Maps
	Raft    *multiraft.Host
	Clock   clock.Clock
	Rand    *rand.Rand // used under the broker's lock
	Logger  *slog.Logger
	Metrics *metrics.Metrics
	// Static are Kafka broker settings from the command line and the file,
	// checked by broker/config.
	Static map[string]string

	// The cluster. All zero: a node by itself.
	Peers       Peers             // nil: a node by itself
	RaftAddr    string            // where other nodes reach this one
	Directory   [16]byte          // identity of the data directory
	StaticPeers map[uint64]string // addresses from the configuration, tried before those that brokers have registered
	Voters      []uint64          // of a new metadata group; nil: this node
	Learner     bool              // this node is not among Voters: it has been let in

	FollowerReads    FollowerReads // "": follow.Safe
	ReadIndexTimeout time.Duration // of a safe read from a follower; 0: 5 s
	ISR              ISR           // when a replica is in sync; zero fields: 10 s, 10,000 entries, 1 s
}

func (o *Options) setDefaults() {
	o.FollowerReads = cmp.Or(o.FollowerReads, follow.Safe)
	o.ReadIndexTimeout = cmp.Or(o.ReadIndexTimeout, 5*time.Second)
	o.ISR.MaxLag = cmp.Or(o.ISR.MaxLag, 10*time.Second)
	o.ISR.MaxLagEntries = cmp.Or(o.ISR.MaxLagEntries, 10_000)
	o.ISR.CheckInterval = cmp.Or(o.ISR.CheckInterval, time.Second)
}

// Peers are the other nodes; *transport.Transport is one.
type Peers = metadata.Peers

// FollowerReads says what a replica that does not lead answers consumers.
type FollowerReads = follow.Reads

// ISR says when a replica is in sync.
type ISR = replica.Rules

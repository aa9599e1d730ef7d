package broker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

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

	FollowerReads    FollowerReads
	ReadIndexTimeout time.Duration // of a safe read from a follower; 0: 5 s
	ISR              ISR
}

// Peers are the other nodes; *transport.Transport is one.
type Peers interface {
	Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error)
	CallAddr(ctx context.Context, addr string, method uint8, body []byte) (uint64, []byte, error)
	SetPeer(id uint64, addrs ...string)
}

// FollowerReads says what a replica that does not lead answers consumers.
type FollowerReads string

// The policies; "" is safe.
const (
	FollowerReadsNone   FollowerReads = "none"   // NOT_LEADER_OR_FOLLOWER
	FollowerReadsUnsafe FollowerReads = "unsafe" // what it knows to be committed, which may be old
	FollowerReadsSafe   FollowerReads = "safe"   // what was committed when it was asked, as the leader says
)

// ISR says when a replica is in sync. Zero fields are the defaults.
type ISR struct {
	MaxLag        time.Duration // it has not had everything for longer: out; 10 s
	MaxLagEntries uint64        // it lacks more than these for longer than CheckInterval: out; 10,000
	CheckInterval time.Duration // 1 s
}

package metadata

import (
	"context"
	"errors"
	"log/slog"

	"chronik/broker/cluster"
	"chronik/internal/clock"
)

// ErrNotInCluster is what a node answers to calls of the metadata's before it
// is in a cluster itself; who asks goes on asking.
var ErrNotInCluster = errors.New("this node is not in a cluster yet")

// admissions are the commands of other nodes that this node has proposed as
// the leader of its term.
type admissions map[mark]struct{}

// Start begins the work in the background: signs of life to the leader, and
// what a leader does.
func (m *Member) Start() {}

// Serve answers a call of another node's. The methods 1 to 63 are the
// metadata's.
func (m *Member) Serve(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// JoinOptions say who asks to join, and whom.
type JoinOptions struct {
	Self   cluster.Broker
	Addrs  []string // raft addresses of nodes that may be in the cluster
	Peers  Peers
	Clock  clock.Clock
	Logger *slog.Logger
}

// Joined is what a node needs to know of the cluster that it has joined.
type Joined struct {
	ClusterID string
	Voters    []uint64 // Options.Voters
	Brokers   map[uint64]string
}

// Join asks nodes to be let into their cluster, until one does or ctx ends.
func Join(ctx context.Context, o JoinOptions) (Joined, error) {
	return Joined{}, errors.ErrUnsupported
}

package calls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"chronik/broker/cluster"
	"chronik/internal/clock"
	"chronik/internal/repeats"
)

// JoinOptions say who asks to join, and whom.
type JoinOptions struct {
	Self   cluster.Broker
	Addrs  []string // raft addresses of nodes that may be in the cluster
	Peers  Peers
	Clock  clock.Clock
	Logger *slog.Logger
	// Waiting is told, after each round in which no address let the node in,
	// the error of each. Nil: nobody asks.
	Waiting func(errs []error)
	// StaticPeers are addresses of nodes that stay the first to be tried.
	StaticPeers map[uint64]string
}

// Joined is what a node needs to know of the cluster that it has joined. It is
// to be kept before the metadata is opened.
type Joined struct {
	ClusterID string
	Voters    []uint64          // for Options.Voters
	Brokers   map[uint64]string // raft addresses
}

const (
	joinPauseMin    = 100 * time.Millisecond
	joinPauseMax    = 500 * time.Millisecond
	joinCallMax     = 10 * time.Second
	joinRedirectMax = 3
)

// Join asks nodes in turn to be let into their cluster, and again, until one
// does or ctx ends: they may not be there yet, or ask themselves. Peers knows
// the cluster's brokers afterwards. cluster.ErrBrokerIDTaken ends it at once.
// It may be repeated.
func Join(ctx context.Context, o JoinOptions) (Joined, error) {
	said := repeats.New(o.Clock)
	for wait := joinPauseMin; ; wait = min(2*wait, joinPauseMax) {
		errs := make([]error, len(o.Addrs))
		for i, addr := range o.Addrs {
			joined, err := o.ask(ctx, addr)
			switch {
			case err == nil:
				o.setPeers(joined.Brokers)
				o.Logger.Info("joined the cluster", "cluster", joined.ClusterID, "brokers", len(joined.Brokers))
				return joined, nil
			case errors.Is(err, cluster.ErrBrokerIDTaken) || errors.Is(err, cluster.ErrBrokerID):
				return Joined{}, err
			}
			errs[i] = fmt.Errorf("%s: %w", addr, err)
			if ctx.Err() != nil {
				continue
			}
			if times, now := said.Say(addr, repeats.Reason(err)); now {
				o.Logger.Info("not joined yet", "addr", addr, "why", err, "attempts", times)
			}
		}
		if o.Waiting != nil {
			o.Waiting(errs)
		}
		if err := Pause(ctx, o.Clock, nil, wait); err != nil {
			return Joined{}, fmt.Errorf("join the cluster: %w", err)
		}
	}
}

func (o *JoinOptions) setPeers(brokers map[uint64]string) {
	for id, addr := range brokers {
		first, ok := o.StaticPeers[id]
		switch {
		case id == uint64(o.Self.ID):
		case ok && first != addr:
			o.Peers.SetPeer(id, first, addr)
		default:
			o.Peers.SetPeer(id, addr)
		}
	}
}

// ask asks one node, and those it names as the leader.
func (o *JoinOptions) ask(ctx context.Context, addr string) (Joined, error) {
	ctx, cancel := clock.WithTimeout(ctx, o.Clock, joinCallMax)
	defer cancel()
	for range joinRedirectMax {
		_, b, err := o.Peers.CallAddr(ctx, addr, MethodJoin, JoinRequest{o.Self}.Encode())
		if err != nil {
			return Joined{}, err
		}
		ans, err := DecodeJoinAnswer(b)
		switch {
		case err != nil:
			return Joined{}, err
		case ans.Code == OK:
			return ans.Joined, nil
		case ans.Code != NotLeader || ans.Leader == "" || ans.Leader == addr:
			return Joined{}, ErrorOf(ans.Code, ans.Text)
		}
		addr = ans.Leader
	}
	return Joined{}, fmt.Errorf("%w: the leader moves", ErrNotLeader)
}

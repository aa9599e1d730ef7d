package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/leaders"
	"chronik/broker/metadata"
	"chronik/broker/metadata/calls"
	"chronik/raftstore/transport"
	"chronik/wal"
)

// ErrMembership is a node that cannot be what its command line says: the user
// can put that right.
var ErrMembership = errors.New("cannot be a member of this cluster")

// listenRaft takes the raft port, before anything is recovered: other nodes
// that connect from now on wait instead of being refused.
func (n *Node) listenRaft(context.Context) error {
	if !n.conf.Cluster.Enabled {
		return nil
	}
	var err error
	if n.tls, err = loadTLS(n.fs, &n.conf.Raft); err != nil {
		return err
	}
	l, err := net.Listen("tcp", n.conf.Raft.ListenAddr)
	if err != nil {
		return fmt.Errorf("%w: want another --raft-addr: %w", ErrAddress, err)
	}
	if addr := l.Addr().(*net.TCPAddr); n.tls == nil && !addr.IP.IsLoopback() {
		n.log.Warn("the raft port has no TLS: whoever reaches it can speak for any node, and so lose or change what is stored; set tls_cert_file, tls_key_file and tls_ca_file of [raft], or let nobody but the nodes reach it", "addr", addr.String())
	}
	n.raftPort = l
	n.onStop("the raft port", func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// raftAddr is where the other nodes reach this one; "" if there are none.
func (n *Node) raftAddr() string {
	if n.raftPort == nil || n.conf.Raft.AdvertisedAddr != "" {
		return n.conf.Raft.AdvertisedAddr
	}
	port := n.raftPort.Addr().(*net.TCPAddr).Port
	return net.JoinHostPort(n.conf.Server.AdvertisedAddr, strconv.Itoa(port))
}

// openTransport makes the way to the other nodes. It is used only once
// serveTransport has been called.
func (n *Node) openTransport() {
	n.peers = transport.New(transport.Options{
		NodeID: uint64(n.conf.Cluster.NodeID), ClusterID: n.clusterID, TLS: n.tls, Clock: n.clock, Rand: newRand(), Logger: n.log,
		Deliver: n.link.Deliver, Serve: n.serveCall,
		Unreachable: func(node uint64) { n.raft.Unreachable(node) },
		Down:        func(node uint64) { n.raft.Down(node) },
		Hooks:       transport.Hooks{RPC: n.called, Dropped: n.link.Dropped},
	})
	n.link.Connect(n.peers)
	n.onStop("the transport", func(context.Context) error { return n.peers.Close() })
}

// serveTransport lets other nodes in.
func (n *Node) serveTransport() {
	n.link.Open(n.raft)
	for id, addr := range n.staticPeers() {
		n.peers.SetPeer(id, addr)
	}
	go func() {
		if err := n.peers.Serve(n.raftPort); err != nil && !errors.Is(err, transport.ErrClosed) {
			n.fail(fmt.Errorf("the raft port has failed: %w", err))
		}
	}()
}

func (n *Node) staticPeers() map[uint64]string {
	static := map[uint64]string{}
	for _, p := range n.conf.Cluster.Peers {
		static[uint64(p.ID)] = p.Addr
	}
	return static
}

// serveCall answers what another node asks. Nobody is let in before this node has
// recorded which cluster that is: it could not speak to them after a crash.
func (n *Node) serveCall(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
	if b := n.serves.Load(); b != nil && n.clusterID() != "" {
		return b.Serve(ctx, from, method, body)
	}
	return nil, metadata.ErrNotInCluster
}

// called counts a request to another node; which, is not known before the
// answer if it was made to an address.
func (n *Node) called(method uint8, node uint64, took time.Duration, err error) {
	rpc := n.metrics.Raft.RPC(callName(method), node)
	rpc.Sent()
	if err != nil {
		rpc.Failed()
		return
	}
	rpc.Answered(took)
}

// callNames are the values of rpc_type for requests. Those of raft's messages
// are raftstore/link's.
var callNames = map[uint8]string{
	calls.MethodPropose: "metadata_propose", calls.MethodJoin: "join", calls.MethodHeartbeat: "broker_heartbeat",
	leaders.MethodTransfer: "transfer_leadership",
}

func callName(method uint8) string {
	if name := callNames[method]; name != "" {
		return name
	}
	return "call_" + strconv.Itoa(int(method))
}

// clusterID is "" as long as it is not known.
func (n *Node) clusterID() string {
	n.idMu.Lock()
	defer n.idMu.Unlock()
	return n.id.ClusterID
}

// remember changes the identity of the data directory, durably.
func (n *Node) remember(change func(*identity)) error {
	n.idMu.Lock()
	defer n.idMu.Unlock()
	change(n.id)
	return n.id.write(n.fs, n.conf.Server.DataDir)
}

// enter settles which metadata group this node belongs to: the one it was in,
// one of its own, or that of the nodes it is told of, which it asks to be let in.
func (n *Node) enter(ctx context.Context) error {
	self := uint64(n.conf.Cluster.NodeID)
	if err := n.adopt(self); err != nil {
		return err
	}
	founder := slices.Equal(n.id.Voters, []uint64{self})
	c := &n.conf.Cluster
	switch {
	case !c.Enabled && (n.id.Member || len(n.id.Voters) > 0 && !founder):
		return fmt.Errorf("%w: %s is the data of a cluster's node: want raft-cluster, as this node ran before", ErrDataDir, n.conf.Server.DataDir)
	case n.id.Member, founder:
		return nil
	case !c.Enabled:
		return n.remember(func(id *identity) { id.Voters = []uint64{self} })
	case c.Bootstrap && len(n.id.Voters) == 0:
		return n.found(ctx, self)
	case len(c.Peers) == 0:
		return fmt.Errorf("%w: node %d has no data yet: want --peers to join a cluster, or --bootstrap to begin one", ErrMembership, self)
	default:
		return n.join(ctx)
	}
}

// adopt takes a directory of a release without clusters for what it is: a
// cluster of one.
func (n *Node) adopt(self uint64) error {
	if len(n.id.Voters) > 0 {
		return nil
	}
	_, found, err := wal.ReadManifest(n.fs, filepath.Join(n.conf.Server.DataDir, metadataDir))
	if err != nil || !found {
		return err
	}
	return n.remember(func(id *identity) { id.Voters = []uint64{self} })
}

// metadataDir is broker's.
const metadataDir = "metadata"

// found begins a cluster, unless one of the peers is in one already: then this
// node had a part in it, its flags say so still, and its disk is a new one.
// Peers that do not answer in time do not count.
func (n *Node) found(ctx context.Context, self uint64) error {
	if peers := len(n.conf.Cluster.Peers); peers > 0 {
		asking, stop := context.WithCancel(ctx)
		defer stop()
		late := n.clock.AfterFunc(time.Duration(peers)*n.conf.Raft.RPCTimeout, stop)
		defer late.Stop()
		err := n.ask(asking, func(errs []error) {
			if !slices.ContainsFunc(errs, inCluster) {
				stop()
				return
			}
			late.Stop() // there is a cluster, which cannot let anybody in at present
			n.waitingToJoin(errs)
		})
		if err == nil {
			n.log.Warn("joined the cluster that the peers are in, instead of beginning one", "cluster", n.id.ClusterID)
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return err
		}
	}
	n.log.Info("beginning a cluster", "node", self)
	return n.remember(func(id *identity) { id.Voters = []uint64{self} })
}

// inCluster reports whether an error is not that of a node without a cluster,
// nor of none.
func inCluster(err error) bool {
	var answer *transport.RemoteError
	if errors.As(err, &answer) {
		return answer.Msg != metadata.ErrNotInCluster.Error()
	}
	return !errors.Is(err, transport.ErrUnreachable)
}

// join asks the peers, until one of them lets this node in.
func (n *Node) join(ctx context.Context) error {
	n.log.Info("waiting for a peer to let this node join", "peers", len(n.conf.Cluster.Peers))
	return n.ask(ctx, n.waitingToJoin)
}

func (n *Node) waitingToJoin(errs []error) {
	n.starting(fmt.Errorf("waiting for a peer to let this node join: %w", errs[len(errs)-1]))
}

func (n *Node) ask(ctx context.Context, waiting func(errs []error)) error {
	var addrs []string
	for _, p := range n.conf.Cluster.Peers {
		addrs = append(addrs, p.Addr)
	}
	dir, err := n.id.directory()
	if err != nil {
		return err
	}
	joined, err := metadata.Join(ctx, metadata.JoinOptions{
		Self: cluster.Broker{
			ID: int32(n.conf.Cluster.NodeID), Host: n.conf.Server.AdvertisedAddr, Port: int32(n.conf.Server.AdvertisedPort),
			Rack: n.conf.Server.Rack, RaftAddr: n.raftAddr(), Dir: dir,
		},
		Addrs: addrs, Peers: n.peers, Clock: n.clock, Logger: n.log, Waiting: waiting, StaticPeers: n.staticPeers(),
	})
	if errors.Is(err, cluster.ErrBrokerIDTaken) {
		return fmt.Errorf("%w: node %d has joined before, with another data directory than %s: want that directory, or another --node-id: %w",
			ErrMembership, n.conf.Cluster.NodeID, n.conf.Server.DataDir, err)
	}
	if err != nil {
		return err
	}
	return n.remember(func(id *identity) { id.ClusterID, id.Voters = joined.ClusterID, joined.Voters })
}

// entered records the cluster that the node is in, now that it serves.
func (n *Node) entered() error {
	cluster, known := n.broker.ClusterID(), n.clusterID()
	if known != "" && known != cluster {
		return fmt.Errorf("%w: %s is of cluster %s, and its metadata of cluster %s", ErrDataDir, n.conf.Server.DataDir, known, cluster)
	}
	if known == cluster && n.id.Member == n.conf.Cluster.Enabled {
		return nil
	}
	return n.remember(func(id *identity) { id.ClusterID, id.Member = cluster, n.conf.Cluster.Enabled })
}

// handOver has other nodes lead what this one leads, before it stops serving.
func (n *Node) handOver(ctx context.Context) error {
	began := n.clock.Now()
	left, err := n.broker.Drain(ctx)
	took := n.clock.Now().Sub(began).Round(time.Millisecond)
	alone := !slices.ContainsFunc(n.peers.Peers(), func(p transport.PeerStatus) bool { return !n.peers.Gone(p.ID) })
	switch {
	case err != nil: // what is still led is elected anew
		n.log.Warn("not everything was handed over", "took", took, "partitions", left, "err", err)
	case alone && left == 0:
		n.log.Info("nothing to hand over, and no other node is alive", "took", took)
	case alone:
		n.log.Warn("partitions stay without a leader: no other node is alive", "took", took, "partitions", left)
	case left > 0:
		n.log.Warn("partitions stay without a leader: no other replica of theirs can lead", "took", took, "partitions", left)
	default:
		n.log.Info("other nodes lead what this one led", "took", took)
	}
	return nil
}

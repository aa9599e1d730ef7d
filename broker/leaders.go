package broker

import (
	"context"
	"slices"

	"chronik/broker/cluster"
	"chronik/broker/lag"
	"chronik/broker/leaders"
	"chronik/broker/replica"
)

func (b *Broker) newLeaders() (*leaders.Leaders, *lag.Lag) {
	o := leaders.Options{NodeID: b.opt.NodeID, View: b.view, Local: b.local, Tracker: b.watch, Clock: b.opt.Clock}
	o.Led = func() bool { return b.meta.Status().Leader != 0 }
	if b.opt.Peers != nil {
		o.Peers = b.opt.Peers
	}
	l := leaders.New(o)
	return l, lag.New(lag.Options{NodeID: o.NodeID, Groups: b.Host, Local: b.local, Leaders: l, Peers: o.Peers, Clock: o.Clock})
}

func (b *Broker) view(f func(*cluster.State)) { b.meta.View(f) }

func (b *Broker) newTracker() *replica.Tracker {
	return replica.New(replica.Options{
		NodeID: b.opt.NodeID, Rules: b.opt.ISR, Clock: b.opt.Clock, Logger: b.opt.Logger, Publish: b.publish,
		View: b.view, Gone: b.opt.Gone,
		Balance: func() bool { return b.conf.Load().AutoLeaderRebalance },
	})
}

// leadershipsMax is how many partitions share a command, whose bytes are bounded.
const leadershipsMax = 5000

// publish has the metadata take note of partitions that this node leads.
func (b *Broker) publish(ctx context.Context, items []cluster.Leadership) error {
	var me cluster.Broker
	b.meta.View(func(s *cluster.State) { me, _ = s.Broker(b.opt.NodeID) })
	for some := range slices.Chunk(items, leadershipsMax) {
		if _, _, err := b.propose(ctx, &cluster.SetLeadership{Node: b.opt.NodeID, BrokerEpoch: me.Epoch, Items: some}); err != nil {
			return err
		}
	}
	return nil
}

// ControllerID is the broker that leads the metadata, -1 when none is known.
// Any broker takes admin requests (M8).
func (b *Broker) ControllerID() int32 {
	if id, ok := b.meta.Leader(); ok {
		return id
	}
	return -1
}

// Nodes lists the brokers that are in contact with the cluster (M7).
func (b *Broker) Nodes() []Node {
	return slices.DeleteFunc(b.AllNodes(), func(n Node) bool { return n.Fenced })
}

// AllNodes lists the brokers, those too that have lost contact.
func (b *Broker) AllNodes() (nodes []Node) {
	b.meta.View(func(s *cluster.State) {
		for _, n := range s.Brokers() {
			nodes = append(nodes, Node{ID: n.ID, Host: n.Host, Port: n.Port, Rack: n.Rack, Fenced: n.Fenced})
		}
	})
	return nodes
}

// PartitionLeader is who leads a partition; false when there is no such
// partition.
func (b *Broker) PartitionLeader(tp TopicPartition) (LeaderEpoch, bool) {
	l, ok := b.leaders.Find(named(tp))
	return LeaderEpoch{ID: l.Node, Epoch: l.Epoch}, ok
}

// describePartition is one partition's part of a topic's description.
func (b *Broker) describePartition(s *cluster.State, t *cluster.Topic, index int32) PartitionInfo {
	l, isr := b.leaders.Of(s, t, index)
	info := PartitionInfo{
		Partition: index, Leader: LeaderEpoch{ID: l.Node, Epoch: l.Epoch}, Replicas: t.Partitions[index].Replicas, ISR: isr,
		Offline: b.leaders.Offline(s, t, index),
	}
	if l.Node < 0 {
		info.Err = ErrLeaderNotAvailable
	}
	return info
}

// awaitLeaders is Leaders.Await, until the broker closes.
func (b *Broker) awaitLeaders(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	err := b.leaders.Await(ctx, names...)
	if err != nil && b.ctx.Err() != nil {
		return ErrShuttingDown
	}
	return fromBelow(err)
}

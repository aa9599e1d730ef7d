package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/local"
	"chronik/broker/partition"
	"chronik/internal/clock"
)

func (b *Broker) newLocal() *local.Set {
	o := &b.opt
	return local.New(local.Options{
		NodeID: o.NodeID, Dir: filepath.Join(o.DataDir, topicsDir), FS: o.FS, Syncer: o.Syncer, Maps: o.Maps, Raft: o.Raft,
		Clock: o.Clock, Logger: o.Logger, Metrics: o.Metrics, NewRand: b.newRand,
		Resolve: b.resolveTopic, Role: b.roleChanged, Deleted: b.TopicDeleted, // O15
		Verify: b.verifyTransaction,
	})
}

const topicsDir = "topics"

// roleChanged passes on who leads a partition.
func (b *Broker) roleChanged(t *local.Topic, index int32, at cluster.Partition, p *partition.Partition, leading bool, epoch int32) {
	b.watch.RoleChanged(at, p, leading, epoch)
	switch t.Name {
	case offsetsTopic:
		b.Host.RoleChanged(index, p, leading, epoch)
	case transactionTopic:
		b.Coordinator.RoleChanged(index, p, leading, epoch)
	}
}

// reconcileLoop has what is on this node follow the metadata.
func (b *Broker) reconcileLoop(full bool) {
	for {
		again := make(chan struct{})
		if full {
			b.opt.Clock.AfterFunc(roomPause, func() { close(again) })
		}
		select {
		case <-b.meta.Changed():
		case <-again:
		case <-b.ctx.Done():
			return
		}
		full = b.reconcile(full)
	}
}

// roomPause is the time between two attempts to open partitions on a full disk.
const roomPause = time.Second

// reconcile does what the metadata asks for, all of it anew or what has
// changed, and reports whether a partition could not be opened for want of room.
func (b *Broker) reconcile(anew bool) (full bool) {
	var w local.Wanted
	b.meta.View(func(s *cluster.State) {
		w.Version, w.Topology = s.Version(), s.Topology()
		if !anew && b.local.Skip(w.Version, w.Topology) {
			w.Version = 0
			return
		}
		w.Topics, w.Configs, w.Live = s.Topics(), map[string]map[string]string{}, map[int32]bool{}
		for _, t := range w.Topics {
			w.Configs[t.Name] = s.Config(cluster.Resource{Type: cluster.ResourceTopic, Name: t.Name})
		}
		for _, n := range s.Live() {
			w.Live[n.ID] = true
		}
		if err := b.refreshSettings(s); err != nil {
			b.opt.Logger.Error("broker settings in the metadata are not valid", "err", err)
		}
	})
	return w.Version > 0 && b.local.Reconcile(w)
}

// removeOrphans removes what is left of partitions that the metadata no longer knows.
func (b *Broker) removeOrphans() error {
	known, had := map[uint64]bool{}, false
	b.meta.View(func(s *cluster.State) {
		for _, t := range s.Topics() {
			for _, p := range t.Partitions {
				known[p.GroupID] = true
			}
		}
		had = s.HadTopics()
	})
	lost, err := b.local.RemoveOrphans(known, had)
	if lost {
		return fmt.Errorf("%w: %s holds partitions, but the metadata beside it has never known a topic; restore %s, or move %[2]s away",
			ErrStorage, filepath.Join(b.opt.DataDir, topicsDir), b.metadataDir())
	}
	return err
}

// catchUp waits until this node's metadata is not older than the call: a client
// may have made the change before this one at another node. Without a leader
// it goes on with what is known, and the change itself waits for one.
func (b *Broker) catchUp(ctx context.Context) {
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, catchUpMax)
	defer cancel()
	_ = b.meta.Await(ctx)
}

const catchUpMax = time.Second

// awaitVersion waits until the partitions of a metadata version are open.
func (b *Broker) awaitVersion(ctx context.Context, version uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	err := b.local.Await(ctx, version)
	switch {
	case err == nil:
		return nil
	case b.ctx.Err() != nil:
		return ErrShuttingDown
	}
	return fmt.Errorf("%w: %w", ErrRequestTimedOut, err)
}

package multiraft

import (
	"fmt"
	"slices"

	"chronik/raftstore"
	"chronik/raftstore/handover"
	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// still is a time in which a group does nothing but wait for the disk: raft
// acts already on something that must be durable before anybody learns of it.
type still struct {
	begin   func(done func(error)) // and again, after a full disk
	then    func()                 // once it is durable
	install bool                   // of a snapshot: nothing behind it may be written before
}

// standStill begins such a time.
func (g *Group) standStill(install bool, begin func(done func(error)), then func()) {
	g.still = &still{begin, then, install}
	begin(g.stillDone)
}

// stillDone takes note of what became of it.
func (g *Group) stillDone(err error) {
	g.inMu.Lock()
	g.settledStill, g.stillErr = true, err
	g.inMu.Unlock()
	g.enqueue()
}

// goOn reports whether the group may go on.
func (g *Group) goOn() bool {
	s := g.still
	if s == nil {
		return true
	}
	g.inMu.Lock()
	done, err := g.settledStill, g.stillErr
	g.settledStill = false
	g.inMu.Unlock()
	switch {
	case !done:
		return false
	case raftstore.DiskFull(err):
		g.room.still = true
		g.noRoom(err)
		return false
	case err != nil:
		g.fail(err)
		return false
	}
	g.still = nil
	s.then()
	g.membersChanged()
	return g.err == nil && g.still == nil
}

// startConf records new members. A majority of them must not decide anything
// that a restart with the old ones could contradict.
func (g *Group) startConf(index uint64, conf *pb.ConfState, responses []*pb.Message) {
	saved := false
	g.standStill(false, func(done func(error)) {
		if saved {
			g.host.opt.HardStates.Checkpoint(done) // it is among what found no room
			return
		}
		saved = true
		g.store.SaveConf(index, conf, done)
	}, func() { g.deliver(responses) })
}

func (g *Group) membersChanged() {
	g.peers.Stale()
	g.settleChange()
	if sole := g.store.Alone(g.host.opt.NodeID); sole != g.sole {
		g.sole = sole
		g.shard.SetTicking((*task)(g), !sole)
	}
}

// install makes the log what a snapshot says, beside the shard.
func (g *Group) install(m *pb.Message) {
	meta := m.GetSnapshot().GetMetadata()
	l, err := handover.Decode(m.GetSnapshot().GetData(), segment.Index(meta.GetIndex()), segment.Term(meta.GetTerm()))
	if err != nil {
		g.fail(fmt.Errorf("multiraft: group %d: snapshot: %w", g.id, err)) // it was looked at when it came
		return
	}
	members := meta.GetConfState()
	g.standStill(true, func(done func(error)) {
		g.installs.Add(1)
		g.host.wg.Go(func() {
			defer g.installs.Done()
			done(g.store.Install(l, members))
		})
	}, func() {
		applied := segment.Index(g.store.Applied())
		g.store.Installed(l, members)
		if err := g.tellInstalled(l, applied); err != nil {
			g.fail(err)
			return
		}
		g.reads.Applied(g.store.Applied()) // a question may have been confirmed meanwhile, and nothing else be applied for long
		g.host.opt.Logger.Info("snapshot installed", "group", g.id, "first", l.First, "last", l.Last())
		g.hold(-len(m.GetSnapshot().GetData()))
		m.Snapshot = nil
		g.room.appends = slices.Insert(g.room.appends, 0, m) // what came with it
		g.writeKept()
	})
}

// tellInstalled tells the state machine, which holds the entries up to applied,
// of a log that was handed over.
func (g *Group) tellInstalled(l *handover.Log, applied segment.Index) error {
	first, frames := g.log.FirstIndex(), []segment.Entry(nil)
	if first > applied+1 {
		frames = l.Frames
		if r, ok := g.sm.(Restorer); ok {
			r.Restored(first)
		}
	}
	g.sm.Appended(frames, g.log.LastIndex(), g.log.NextOffset(), true)
	g.sm.Durable(g.log.DurableOffset())
	for i := max(first, applied+1); i < l.First; { // in the log before, and committed as is now known
		entries, err := g.log.Entries(i, l.First, 1<<20, nil)
		if err != nil {
			return fmt.Errorf("multiraft: group %d: %w", g.id, err)
		}
		i = entries[len(entries)-1].Index + 1
		g.tellFrames(entries)
	}
	g.tellFrames(l.Frames[max(applied+1, l.First)-l.First:])
	return nil
}

func (g *Group) tellFrames(frames []segment.Entry) {
	frames = slices.DeleteFunc(slices.Clone(frames), func(f segment.Entry) bool { return f.Kind != segment.KindData || len(f.Payload) == 0 })
	if len(frames) > 0 {
		g.sm.Committed(frames)
	}
}

package multiraft

import (
	"chronik/raftstore/multiraft/room"
	"chronik/raftstore/multiraft/writes"

	pb "go.etcd.io/raft/v3/raftpb"
)

// roomWait is a group's dealings with a full disk. A full disk is no failure:
// nothing that was written is in doubt. What finds no room is kept and tried
// again, by and by, without holding up the shard; what was written before is
// made durable and committed meanwhile; nothing new is proposed, and the state
// machine is told.
type roomWait struct {
	room.Wait
	appends []*pb.Message // MsgStorageAppend that found none, and all that came behind it
	still   bool          // what the group stands still for found none
}

// noRoom notes that something was not written for want of room, and has it
// tried again.
func (g *Group) noRoom(err error) {
	if g.room.Err() == nil {
		g.host.settled(len(g.proposals)) // a host that stops does not wait for them
	}
	if g.room.Full(err) {
		g.host.opt.Metrics.Storage.WithoutRoom(1)
		g.sm.NoRoom(err)
	}
}

// tryAgain tries once more what found no room.
func (g *Group) tryAgain() {
	r := &g.room
	if !r.Due() {
		return
	}
	if r.still {
		r.still = false
		g.still.begin(g.stillDone)
	}
	g.writes.Again(func(w *writes.Write) {
		if w.Vote {
			g.host.opt.HardStates.Checkpoint(w.Done) // it has been saved
		}
		if w.Entries {
			g.log.Sync(w.Done)
		}
	})
	g.writeKept()
}

// writeKept writes what found no room, and what came behind it.
func (g *Group) writeKept() {
	appends := g.room.appends
	g.room.appends = nil
	for i, m := range appends {
		if g.err != nil {
			return
		}
		if g.still != nil && g.still.install { // they come behind the snapshot
			g.room.appends = append(g.room.appends, appends[i:]...)
			return
		}
		g.write(m)
	}
}

// lookForRoom ends the wait once nothing is left that found no room.
func (g *Group) lookForRoom() {
	r := &g.room
	if r.Err() == nil || len(r.appends) > 0 || g.writes.Stuck() {
		return
	}
	g.host.inflight.Add(int64(len(g.proposals)))
	r.Over()
	g.host.opt.Metrics.Storage.WithoutRoom(-1)
	g.sm.NoRoom(nil)
}

// noMoreRoom ends the wait of a group that stops.
func (g *Group) noMoreRoom() {
	r := &g.room
	if r.Err() != nil {
		g.host.opt.Metrics.Storage.WithoutRoom(-1)
	}
	r.Stop()
	r.appends, r.still = nil, false
}

// settled counts proposals that are done with.
func (g *Group) settled(n int) {
	if g.room.Err() == nil {
		g.host.settled(n)
	}
}

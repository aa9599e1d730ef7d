package multiraft

import (
	"sync/atomic"
	"time"

	"chronik/internal/clock"

	pb "go.etcd.io/raft/v3/raftpb"
)

// The pause between two attempts to write to a full disk.
const (
	roomPauseMin = 100 * time.Millisecond
	roomPauseMax = time.Second

	// roomLogPause is the time between two waits of a group that are logged.
	roomLogPause = 10 * time.Second
)

// room is a group's dealings with a full disk. A full disk is no failure:
// nothing that was written is in doubt. What finds no room is kept and tried
// again, by and by, without holding up the shard; what was written before is
// made durable and committed meanwhile; nothing new is proposed, and the state
// machine is told.
//
// It belongs to the group's lock, but for due.
type room struct {
	err     error         // why there is none; nil: there is
	appends []*pb.Message // MsgStorageAppend that found none, and all that came behind it
	conf    bool          // the ConfState found none
	pause   time.Duration
	timer   clock.Timer
	logged  time.Time   // when the last wait began that was logged
	told    bool        // this one was
	due     atomic.Bool // it is time for another attempt
}

// noRoom notes that something was not written for want of room, and has it
// tried again.
func (g *Group) noRoom(err error) {
	r, o := &g.room, &g.host.opt
	if r.err == nil {
		now := o.Clock.Now()
		if r.told = r.logged.IsZero() || now.Sub(r.logged) >= roomLogPause; r.told {
			o.Logger.Warn("no room on the disk: the group waits for it", "group", g.id, "err", err)
			r.logged = now
		}
		r.pause = roomPauseMin
		g.host.settled(len(g.proposals)) // a host that stops does not wait for them
		r.err = err
		o.Metrics.Storage.WithoutRoom(1)
		g.sm.NoRoom(err)
	} else if r.timer != nil {
		return // that attempt is for all
	} else {
		r.pause = min(2*r.pause, roomPauseMax)
	}
	r.timer = o.Clock.AfterFunc(r.pause, func() {
		r.due.Store(true)
		g.enqueue()
	})
}

// tryAgain tries once more what found no room.
func (g *Group) tryAgain() {
	r := &g.room
	if !r.due.Swap(false) {
		return
	}
	r.timer = nil
	if r.conf {
		r.conf = false
		g.host.opt.HardStates.Checkpoint(g.confSaved)
	}
	g.writes.again(g)
	appends := r.appends
	r.appends = nil
	for _, m := range appends {
		if g.err == nil {
			g.write(m)
		}
	}
}

// lookForRoom ends the wait once nothing is left that found no room.
func (g *Group) lookForRoom() {
	r := &g.room
	if r.err == nil || len(r.appends) > 0 || g.writes.stuck(g) {
		return
	}
	if r.told {
		g.host.opt.Logger.Info("there is room on the disk again", "group", g.id)
	}
	g.host.inflight.Add(int64(len(g.proposals)))
	r.err = nil
	g.host.opt.Metrics.Storage.WithoutRoom(-1)
	g.sm.NoRoom(nil)
}

// noMoreRoom ends the wait of a group that stops.
func (g *Group) noMoreRoom() {
	r := &g.room
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.err != nil {
		g.host.opt.Metrics.Storage.WithoutRoom(-1)
	}
	r.err, r.appends, r.conf, r.timer = nil, nil, false, nil
}

// settled counts proposals that are done with.
func (g *Group) settled(n int) {
	if g.room.err == nil {
		g.host.settled(n)
	}
}

package multiraft

import (
	"fmt"

	"chronik/raftstore"
	"chronik/raftstore/multiraft/hurry"
	"chronik/raftstore/multiraft/inbox"
	"chronik/raftstore/multiraft/members"
	"chronik/raftstore/multiraft/raftmsg"
	"chronik/segment"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// unsavedBytesMax is how many bytes may be applied before the commit index is
// recorded without waiting for the checkpoint: a restart reads that much again.
const unsavedBytesMax = 16 << 20

// handle does what raft asks for.
func (g *Group) handle(rd *raft.Ready) {
	g.guard.Ready(rd)
	if !raft.IsEmptyHardState(rd.HardState) {
		if rd.HardState.GetTerm() != g.term {
			g.term, g.serving = rd.HardState.GetTerm(), false
			g.leaderChanged()
		}
		g.commit = rd.HardState.GetCommit()
	}
	if rd.SoftState != nil {
		g.setRole(rd.SoftState.RaftState)
		g.lead = rd.SoftState.Lead
		if g.lead != raft.None { // at once, not at the next tick: it may hand over before that
			g.hurry = hurry.Wish{}
		}
		g.leaderChanged()
	}
	g.confirmReads(rd.ReadStates)
	g.reportRole() // before anything of another term is appended
	local := len(rd.Messages)
	for local > 0 && raft.IsLocalMsgTarget(rd.Messages[local-1].GetTo()) {
		local--
	}
	g.send(rd.Messages[:local])
	for _, m := range rd.Messages[local:] {
		if g.err != nil {
			return
		}
		switch m.GetType() {
		case pb.MsgStorageAppend:
			g.hold(inbox.Size(m))
			g.write(m)
		case pb.MsgStorageApply:
			g.apply(m)
		default:
			panic(fmt.Sprintf("BUG: local message %s", m.GetType()))
		}
	}
}

func (g *Group) send(msgs []*pb.Message) {
	if len(msgs) == 0 {
		return
	}
	if g.host.opt.Transport == nil {
		panic(fmt.Sprintf("BUG: %s to node %d and no transport", msgs[0].GetType(), msgs[0].GetTo()))
	}
	g.noteHandoffs(msgs)
	g.host.opt.Transport.Send(g.id, msgs)
}

func (g *Group) setRole(role raft.StateType) {
	was := g.role
	g.role = role
	if role == raft.StateLeader && was != raft.StateLeader {
		last, _ := g.store.LastIndex()
		g.peers.Begin(g.host.opt.Clock.Now(), last)
	}
	if role != raft.StateLeader {
		g.serving = false
	}
	stands := func(s raft.StateType) bool { return s == raft.StateCandidate || s == raft.StatePreCandidate }
	o := &g.host.opt
	switch {
	case stands(role) && !stands(was):
		g.campaigned = o.Clock.Now()
	case stands(was) && role == raft.StateLeader:
		o.Metrics.Raft.ElectionWon(o.Clock.Now().Sub(g.campaigned))
	case stands(was) && role == raft.StateFollower:
		o.Metrics.Raft.ElectionLost(o.Clock.Now().Sub(g.campaigned))
	}
}

// reportRole tells the state machine what has changed, if anything.
func (g *Group) reportRole() {
	c := RoleChange{Role: Follower, Term: segment.Term(g.term), Leader: g.lead}
	switch {
	case g.serving:
		c.Role, c.Leader = Leader, g.host.opt.NodeID
	case g.role != raft.StateFollower:
		c.Role, c.Leader = Candidate, 0
	}
	c.NextOffset = g.reported.NextOffset
	if c != g.reported {
		g.report(c)
	}
}

func (g *Group) report(c RoleChange) {
	c.NextOffset = g.log.NextOffset()
	if g.reported.Role == Leader {
		g.dropProposals()
	}
	g.reported = c
	g.sm.RoleChanged(c)
}

// write has a message of raft's written in its turn.
func (g *Group) write(m *pb.Message) {
	if entries := m.GetEntries(); len(entries) > 0 {
		if g.detached != nil {
			g.attach(entries)
		}
		g.findChange(entries)
	}
	if len(g.room.appends) > 0 {
		g.room.appends = raftmsg.Keep(g.room.appends, m)
		return
	}
	if !raft.IsEmptySnap(m.GetSnapshot()) {
		g.install(m)
		return
	}
	switch err := g.append(m); {
	case raftstore.DiskFull(err):
		g.room.appends = raftmsg.Keep(g.room.appends, m)
		g.noRoom(err)
	case err != nil:
		g.fail(err)
	}
}

// append appends entries and records term and vote. The responses go out when
// all of it, and everything written before, is durable. When the disk is full
// it is to be called again with the same message.
func (g *Group) append(m *pb.Message) error {
	entries := m.GetEntries()
	if len(entries) > 0 {
		replaced := segment.Index(entries[0].GetIndex()) <= g.log.LastIndex()
		frames, err := g.store.Append(entries)
		if err == nil || raftstore.DiskFull(err) { // some may be in the log
			g.sm.Appended(frames, g.log.LastIndex(), g.log.NextOffset(), replaced)
		}
		g.store.Release(frames)
		if err != nil {
			return err
		}
		g.host.opt.Metrics.Storage.FramesAppended(frameBytes(entries))
	}
	// Without a hard state in the message its fields are absent. A commit
	// index alone is recorded at checkpoints.
	vote := m.Term != nil && !g.store.Voted(m.GetTerm(), m.GetVote())
	if len(entries) == 0 && !vote && len(m.GetResponses()) == 0 {
		return nil
	}
	w := g.writes.Begin(m.GetResponses(), len(entries) > 0, vote)
	w.Bytes = inbox.EntriesSize(entries)
	if vote {
		g.store.SaveVote(m.GetTerm(), m.GetVote(), w.Done)
	}
	if len(entries) > 0 {
		g.log.Sync(w.Done)
	}
	return nil
}

// frameBytes is what entries take in the log.
func frameBytes(entries []*pb.Entry) (n int) {
	for _, e := range entries {
		n += segment.FrameLen(len(e.GetData()))
	}
	return n
}

// finishWrites delivers the responses of the writes that are durable, in the
// order of the writes.
func (g *Group) finishWrites() {
	durable := false
	for g.err == nil {
		w, err := g.writes.Finish()
		if raftstore.DiskFull(err) {
			g.noRoom(err)
			return
		}
		if err != nil {
			g.fail(err)
			return
		}
		if w == nil {
			break
		}
		durable = durable || w.Entries
		if durable {
			// Before the responses: one may commit the entries.
			g.sm.Durable(g.log.DurableOffset())
			durable = false
		}
		g.hold(-w.Bytes)
		g.deliver(w.Responses)
		g.writes.Recycle(w)
	}
}

func (g *Group) deliver(responses []*pb.Message) {
	for i, m := range responses {
		if m.GetTo() == g.host.opt.NodeID {
			g.step(m)
		} else {
			g.send(responses[i : i+1])
		}
	}
}

// apply hands committed entries to the state machine, and to raft itself those
// that change the members.
func (g *Group) apply(m *pb.Message) {
	frames, size, own := g.frames[:0], 0, 0
	var conf *pb.ConfState
	confIndex := g.store.ConfIndex()
	for _, e := range m.GetEntries() {
		if e.GetTerm() == g.term && g.role == raft.StateLeader {
			g.serving = true
		}
		size += len(e.GetData())
		switch {
		case e.GetType() != pb.EntryNormal && e.GetIndex() > confIndex:
			cc, err := members.Decode(e)
			if err != nil {
				g.fail(fmt.Errorf("multiraft: group %d: members of entry %d: %w", g.id, e.GetIndex(), err))
				return
			}
			g.countChange(cc)
			conf, confIndex = g.node.ApplyConfChange(cc), e.GetIndex()
		case e.GetType() == pb.EntryNormal && len(e.GetData()) > 0:
			frames = append(frames, g.store.Frame(e))
			if e.GetTerm() == g.term {
				own++
			}
		}
	}
	if len(frames) > 0 {
		g.sm.Committed(frames)
	}
	clear(frames)
	if g.frames = frames[:0]; cap(frames) > 64 {
		g.frames = nil
	}
	entries := m.GetEntries()
	g.store.AppliedTo(entries[len(entries)-1].GetIndex())
	g.host.opt.Metrics.Raft.Committed(len(entries))
	if g.role == raft.StateLeader {
		g.settle(min(own, len(g.proposals)))
	}
	g.noteApplied(size)
	if conf == nil {
		g.deliver(m.GetResponses())
	} else {
		g.startConf(confIndex, conf, m.GetResponses())
	}
	g.reportRole()
	g.reads.Applied(g.store.Applied())
	g.tellProgress()
}

// noteApplied sees to it that the commit index is recorded now and then.
func (g *Group) noteApplied(bytes int) {
	if g.unsavedSize += bytes; g.unsavedSize >= unsavedBytesMax {
		g.unsavedSize = 0
		g.store.SaveCommit()
		g.host.opt.HardStates.Checkpoint(nil)
	}
	if !g.dirty {
		g.dirty = true
		g.shard.WantCheckpoint((*task)(g))
	}
}

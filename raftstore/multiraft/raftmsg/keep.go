package raftmsg

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Keep appends a MsgStorageAppend to those that wait for room on the disk. One
// that holds nothing but a hard state and responses is taken up by the next, so
// that their number is bounded by that of those with entries: the hard state is
// superseded, and of the responses those go that are void in a later term or
// that raft repeats. The message becomes the queue's.
func Keep(kept []*pb.Message, m *pb.Message) []*pb.Message {
	n := len(kept)
	if n == 0 || len(kept[n-1].GetEntries()) > 0 || !raft.IsEmptySnap(kept[n-1].GetSnapshot()) {
		return append(kept, m)
	}
	p := kept[n-1]
	switch {
	case m.Term == nil:
		m.Term, m.Vote, m.Commit = p.Term, p.Vote, p.Commit
		fallthrough
	case p.Term == nil || m.GetTerm() == p.GetTerm():
		m.Responses = append(slices.DeleteFunc(p.Responses, repeated), m.Responses...)
	}
	kept[n-1] = m
	return kept
}

func repeated(r *pb.Message) bool {
	switch r.GetType() {
	case pb.MsgAppResp, pb.MsgPreVoteResp, pb.MsgStorageAppendResp:
		return true
	}
	return false
}

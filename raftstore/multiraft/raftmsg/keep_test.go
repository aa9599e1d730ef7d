package raftmsg

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestKeep: what waits for room is bounded by the messages with entries; the newest hard state counts, and no vote is forgotten.
func TestKeep(t *testing.T) {
	resp := func(typ pb.MessageType, term uint64) *pb.Message {
		return &pb.Message{Type: typ.Enum(), Term: new(term)}
	}
	message := func(term, vote, entries uint64, responses ...*pb.Message) *pb.Message {
		m := &pb.Message{Responses: responses}
		if term > 0 {
			m.Term, m.Vote, m.Commit = new(term), new(vote), new(uint64(7))
		}
		for range entries {
			m.Entries = append(m.Entries, &pb.Entry{})
		}
		return m
	}
	kept := Keep(nil, message(0, 0, 2, resp(pb.MsgAppResp, 2)))
	for range 100 {
		kept = Keep(kept, message(0, 0, 0, resp(pb.MsgAppResp, 2), resp(pb.MsgStorageAppendResp, 2)))
	}
	if len(kept) != 2 || len(kept[0].Responses) != 1 || len(kept[1].Responses) != 2 {
		t.Fatalf("%v", kept)
	}
	kept = Keep(kept, message(3, 1, 0, resp(pb.MsgVoteResp, 3)))
	kept = Keep(kept, message(0, 0, 0, resp(pb.MsgAppResp, 3)))
	kept = Keep(kept, message(0, 0, 0, resp(pb.MsgPreVoteResp, 4)))
	if m := kept[1]; len(kept) != 2 || m.GetTerm() != 3 || m.GetVote() != 1 || m.GetCommit() != 7 || len(m.Responses) != 2 || m.Responses[0].GetType() != pb.MsgVoteResp {
		t.Fatalf("%v", kept)
	}
	kept = Keep(kept, message(4, 0, 1, resp(pb.MsgAppResp, 4)))
	if m := kept[1]; len(kept) != 2 || m.GetTerm() != 4 || len(m.Entries) != 1 || len(m.Responses) != 1 {
		t.Fatalf("%v", kept)
	}
	if kept = Keep(kept, message(0, 0, 0)); len(kept) != 3 {
		t.Fatalf("%v", kept)
	}
	kept = Keep(kept[:2], &pb.Message{Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(9))}}})
	if kept = Keep(kept, message(0, 0, 0)); len(kept) != 4 {
		t.Fatalf("%v", kept)
	}
}

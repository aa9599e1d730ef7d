package multiraft

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// checkMessage refuses what no correct peer sends. Raft takes messages at
// their word and panics on some that contradict its state: that stops the
// group (Group.rescue), so only what can be seen to be wrong is refused here.
func checkMessage(m *pb.Message, self uint64) error {
	if m == nil {
		return fmt.Errorf("%w: empty", ErrBadMessage)
	}
	switch m.GetType() {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp,
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
	default:
		// Local types, proposals (which a leader makes itself) and
		// snapshots (segment hand-off is not built).
		return fmt.Errorf("%w: type %s", ErrBadMessage, m.GetType())
	}
	if m.GetTo() != self || m.GetFrom() == self || m.GetFrom() == 0 || m.GetTerm() == 0 {
		return fmt.Errorf("%w: %s from %d to %d at term %d", ErrBadMessage, m.GetType(), m.GetFrom(), m.GetTo(), m.GetTerm())
	}
	if m.GetType() != pb.MsgApp && len(m.GetEntries()) > 0 {
		return fmt.Errorf("%w: %s with entries", ErrBadMessage, m.GetType())
	}
	index, term := m.GetIndex(), m.GetLogTerm()
	for _, e := range m.GetEntries() {
		index++
		if e.GetIndex() != index || e.GetTerm() < max(term, 1) || e.GetTerm() > m.GetTerm() || e.GetType() > pb.EntryConfChangeV2 || e.GetType() < 0 {
			return fmt.Errorf("%w: entry %d of term %d behind entry %d of term %d", ErrBadMessage, e.GetIndex(), e.GetTerm(), index-1, term)
		}
		term = e.GetTerm()
	}
	return nil
}

package members

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Membership is what a node is to a group.
type Membership uint8

// The memberships.
const (
	Gone Membership = iota
	Learner
	Voter
)

// Change makes a node something to a group.
type Change struct {
	Node uint64
	As   Membership
}

// Encode is the changes as one. More than one go through a joint
// configuration, which raft leaves by itself.
func Encode(changes []Change) (*pb.ConfChangeV2, error) {
	kinds := [...]pb.ConfChangeType{Gone: pb.ConfChangeRemoveNode, Learner: pb.ConfChangeAddLearnerNode, Voter: pb.ConfChangeAddNode}
	cc := &pb.ConfChangeV2{}
	for _, c := range changes {
		if c.Node == 0 || int(c.As) >= len(kinds) {
			return nil, fmt.Errorf("node %d as %d", c.Node, c.As)
		}
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: kinds[c.As].Enum(), NodeId: new(c.Node)})
	}
	return cc, nil
}

// Decode is the change that an entry of the log makes.
func Decode(e *pb.Entry) (pb.ConfChangeI, error) {
	if e.GetType() == pb.EntryConfChange {
		cc := &pb.ConfChange{}
		return cc, proto.Unmarshal(e.GetData(), cc)
	}
	cc := &pb.ConfChangeV2{}
	return cc, proto.Unmarshal(e.GetData(), cc)
}

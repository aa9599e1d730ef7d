package group_test

import (
	"fmt"
	"time"

	"chronik/broker/group"
)

// A consumer joins, gets its assignment and commits an offset. The caller is the log: it reports every append as
// committed.
func Example() {
	cfg := group.DefaultConfig(func() string { return "1" })
	cfg.InitialRebalanceDelay = 0
	s, fx, now := group.NewShard(cfg), &group.Effects{}, time.UnixMilli(0)
	step := func() {
		for i := 0; i < len(fx.Appends); i++ {
			fmt.Println("append", fx.Appends[i].ID, "of", len(fx.Appends[i].Records), "record")
			s.Appended(now, fx.Appends[i].ID, nil, fx)
		}
		for _, r := range fx.Replies {
			fmt.Printf("answer %d: %+v\n", r.Token, r.Response)
		}
		fx.Reset()
	}
	s.Loaded(now, fx) // an empty partition

	s.Join(now, group.JoinRequest{
		Group: "g", ClientID: "c", SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute, ProtocolType: "consumer",
		Protocols: []group.Protocol{{Name: "range", Metadata: []byte{}}},
	}, 1, fx)
	step()
	s.Sync(now, group.SyncRequest{
		Group: "g", Generation: 1, MemberID: "c-1", Assignments: []group.Assignment{{MemberID: "c-1", Bytes: []byte{7}}},
	}, 2, fx)
	step()
	s.CommitOffsets(now, group.CommitOffsetsRequest{
		Group: "g", Generation: 1, MemberID: "c-1", Retention: -1,
		Topics: []group.TopicToCommit{{Name: "t", Partitions: []group.OffsetToCommit{{Offset: 42, LeaderEpoch: -1}}}},
	}, 3, fx)
	step()
	at, _ := s.Deadline()
	fmt.Println("look again after", at.Sub(now))
	// Output:
	// answer 1: {Err:NONE Generation:1 ProtocolType:consumer Protocol:range Leader:c-1 SkipAssignment:false MemberID:c-1 Members:[{MemberID:c-1 InstanceID: Metadata:[]}]}
	// append 1 of 1 record
	// answer 2: {Err:NONE ProtocolType:consumer Protocol:range Assignment:[7]}
	// append 2 of 1 record
	// answer 3: {Err:NONE Topics:[{Name:t ID:[0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0] Partitions:[{Partition:0 Err:NONE}]}]}
	// look again after 10s
}

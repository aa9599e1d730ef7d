package handler

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"chronik/broker"
	"chronik/broker/group"
	"chronik/kafka/batch"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

func produceRequest(v, acks int16) *msg.ProduceRequest {
	q := requests[msg.KeyProduce](v).(*msg.ProduceRequest)
	q.Acks = acks
	return q
}

func TestProduceAsksTheBroker(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.ProduceResponse
	q := produceRequest(9, 1)
	q.TransactionalId = wire.Str("tx")
	r.ask(q, 9, &resp)
	got := r.broker.asked[0].(broker.ProduceRequest)
	if got.Version != 9 || got.Acks != 1 || got.Timeout != time.Second || got.ClientID != "client" || got.TransactionalID != "tx" || len(got.Partitions) != 2 {
		t.Errorf("the broker was asked %+v", got)
	}
	p := resp.Responses[0].PartitionResponses
	if resp.Responses[0].Name != "t" || len(p) != 2 || p[1].Index != 1 || p[0].BaseOffset != 42 || p[0].LogAppendTimeMs != -1 || p[0].LogStartOffset != 3 {
		t.Errorf("response %+v", resp)
	}
}

// P10: acks=0 has no response; a failure closes the connection.
func TestP10NoAcks(t *testing.T) {
	r := newRig(t, richBroker())
	b, err := r.serve(r.frame(produceRequest(9, 0), 9))
	if err != nil || len(b) != 0 {
		t.Errorf("response % x, error %v", b, err)
	}
	r.produced = func(p *broker.ProduceRequest) { p.Partitions[1].Err = broker.ErrNotLeader }
	if b, err := r.serve(r.frame(produceRequest(9, 0), 9)); err == nil || len(b) != 0 {
		t.Errorf("failed produce: response % x, error %v", b, err)
	}
}

// P7, P12, P13.
func TestProduceErrors(t *testing.T) {
	r := newRig(t, richBroker())
	r.produced = func(p *broker.ProduceRequest) {
		p.Partitions[0] = broker.ProducePartition{Err: broker.ErrNotLeader, BaseOffset: -1, LogAppendTime: -1, LogStart: -1}
		p.Partitions[1].Err = &batch.Error{Kind: batch.InvalidTimestamp, Msg: "late"}
		p.Partitions[1].RecordErrors = []batch.RecordError{{Index: 3, Msg: "bad"}}
		p.Partitions[1].BaseOffset = -1
	}
	for _, v := range []int16{7, 8, 9, 10, 13} {
		var resp msg.ProduceResponse
		r.ask(produceRequest(v, -1), v, &resp)
		p := resp.Responses[0].PartitionResponses
		r.wantCode("not leader", p[0].ErrorCode, kerr.NotLeaderOrFollower)
		r.wantCode("timestamp", p[1].ErrorCode, kerr.InvalidTimestamp)
		if p[0].BaseOffset != -1 || p[0].LogStartOffset != -1 || p[1].LogStartOffset != 3 {
			t.Errorf("version %d: %+v", v, p)
		}
		if got := len(p[1].RecordErrors) == 1 && p[1].RecordErrors[0].BatchIndex == 3 && p[1].ErrorMessage.Valid; got != (v >= 8) {
			t.Errorf("version %d: record errors %+v", v, p[1])
		}
		leader := msg.ProduceResponseLeaderIdAndEpoch{LeaderId: 2, LeaderEpoch: 7}
		if (p[0].CurrentLeader == leader) != (v >= 10) || (len(resp.NodeEndpoints) == 1) != (v >= 10) {
			t.Errorf("version %d: leader %+v, nodes %+v", v, p[0].CurrentLeader, resp.NodeEndpoints)
		}
	}
}

// A client that goes away does not end the wait: its request's memory is given
// back when its batches no longer take any.
func TestProduceOutlivesTheConnection(t *testing.T) {
	r := newRig(t, richBroker())
	ctx, cancel := context.WithCancel(context.Background())
	r.conn.ctx = ctx
	slow := &doneProduce{done: make(chan struct{})}
	r.handler.produce = func(context.Context, *broker.ProduceRequest) produceUnderWay { return slow }
	cancel()
	served := make(chan error, 1)
	go func() {
		_, err := r.serve(r.frame(produceRequest(9, -1), 9))
		served <- err
	}()
	for range 1000 {
		select {
		case err := <-served:
			t.Fatalf("ended before its produce: %v", err)
		default:
			runtime.Gosched()
		}
	}
	close(slow.done)
	select {
	case <-served:
	case <-time.After(time.Minute):
		t.Fatal("did not end with its produce")
	}
}

func fetchRequest(v int16, session, epoch int32, topic string, partitions ...int32) *msg.FetchRequest {
	q := new(msg.FetchRequest)
	q.Default()
	q.ReplicaId, q.MaxWaitMs, q.MinBytes, q.MaxBytes = -1, 500, 1, 1000
	if v >= 7 {
		q.SessionId, q.SessionEpoch = session, epoch
	}
	if len(partitions) > 0 {
		ft := msg.FetchTopic{Topic: topic}
		if v >= 13 {
			ft.Topic, ft.TopicId = "", topicID
		}
		for _, p := range partitions {
			fp := msg.FetchPartition{Partition: p, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1, FetchOffset: 5, PartitionMaxBytes: 100, HighWatermark: 1<<63 - 1}
			ft.Partitions = append(ft.Partitions, fp)
		}
		q.Topics = append(q.Topics, ft)
	}
	return q
}

func TestFetch(t *testing.T) {
	r := newRig(t, richBroker())
	for _, v := range []int16{4, 12, 13, 18} {
		for _, isolation := range []int8{0, 1} {
			r.broker.asked = nil
			q := fetchRequest(v, 0, -1, "t", 0, 1)
			q.IsolationLevel = isolation
			var resp msg.FetchResponse
			r.ask(q, v, &resp)
			asked := r.broker.asked[0].(broker.FetchRequest)
			if asked.MaxWait != 500*time.Millisecond || asked.MinBytes != 1 || asked.MaxBytes != 1000 || asked.Committed != (isolation == 1) || asked.ReplicaID != -1 {
				t.Errorf("version %d: asked %+v", v, asked)
			}
			p := resp.Responses[0].Partitions
			if len(p) != 2 || p[1].PartitionIndex != 1 || string(slices.Concat(p[0].Records...)) != "batches" {
				t.Fatalf("version %d: %+v", v, resp)
			}
			if p[0].HighWatermark != 10 || p[0].LastStableOffset != 9 || v >= 5 && p[0].LogStartOffset != 1 { // F8
				t.Errorf("version %d: %+v", v, p[0])
			}
			if (p[0].AbortedTransactions == nil) != (isolation == 0) { // F9
				t.Errorf("isolation %d: aborted %v", isolation, p[0].AbortedTransactions)
			}
		}
	}
}

// F11: who leads now, from version 16.
func TestF11CurrentLeader(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.fetch = func(q *broker.FetchRequest) { q.Partitions[0].Err = broker.ErrFencedLeaderEpoch }
	for _, v := range []int16{12, 15, 16, 18} {
		var resp msg.FetchResponse
		r.ask(fetchRequest(v, 0, -1, "t", 0), v, &resp)
		p := resp.Responses[0].Partitions[0]
		r.wantCode("fenced", p.ErrorCode, kerr.FencedLeaderEpoch)
		leader := msg.FetchResponseLeaderIdAndEpoch{LeaderId: 2, LeaderEpoch: 7}
		if (p.CurrentLeader == leader) != (v >= 16) || (len(resp.NodeEndpoints) == 1) != (v >= 16) {
			t.Errorf("version %d: leader %+v, nodes %+v", v, p.CurrentLeader, resp.NodeEndpoints)
		}
	}
}

// F12: divergence.
func TestF12Diverging(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.fetch = func(q *broker.FetchRequest) {
		q.Partitions[0].Diverging = &broker.EpochEnd{Epoch: 3, EndOffset: 40}
	}
	var resp msg.FetchResponse
	r.ask(fetchRequest(12, 0, -1, "t", 0), 12, &resp)
	if got := resp.Responses[0].Partitions[0]; got.DivergingEpoch.Epoch != 3 || got.DivergingEpoch.EndOffset != 40 || got.ErrorCode != 0 {
		t.Errorf("%+v", got)
	}
}

// F30, F33, F36 through the handler.
func TestFetchSession(t *testing.T) {
	for _, v := range []int16{7, 13} {
		r := newRig(t, richBroker())
		r.broker.fetch = func(q *broker.FetchRequest) {
			for i := range q.Partitions {
				q.Partitions[i].HighWatermark, q.Partitions[i].PreferredReplica = 10, -1
			}
		}
		var full, next, bad msg.FetchResponse
		r.ask(fetchRequest(v, 0, 0, "t", 0, 1), v, &full)
		if full.SessionId == 0 || len(full.Responses) != 1 || len(full.Responses[0].Partitions) != 2 {
			t.Fatalf("version %d: %+v", v, full)
		}
		r.ask(fetchRequest(v, full.SessionId, 1, ""), v, &next)
		if next.SessionId != full.SessionId || len(next.Responses) != 0 || next.ErrorCode != 0 {
			t.Errorf("version %d: %+v", v, next)
		}
		if asked := r.broker.asked[1].(broker.FetchRequest); len(asked.Partitions) != 2 {
			t.Errorf("the session has %d partitions", len(asked.Partitions))
		}
		r.ask(fetchRequest(v, full.SessionId, 1, ""), v, &bad)
		r.wantCode("old epoch", bad.ErrorCode, kerr.InvalidFetchSessionEpoch)
		if bad.SessionId != 0 || len(bad.Responses) != 0 {
			t.Errorf("version %d: %+v", v, bad)
		}
		r.ask(fetchRequest(v, full.SessionId+1, 1, ""), v, &bad)
		r.wantCode("no session", bad.ErrorCode, kerr.FetchSessionIDNotFound)
	}
}

// L6, L7: what a version does not know, and duplicates.
func TestListOffsetsRefusals(t *testing.T) {
	r := newRig(t, richBroker())
	since := map[int64]int16{-1: 1, -2: 1, -3: 7, -4: 8, -5: 9, -6: 11, -7: 99, 0: 1, 1234: 1}
	for v := int16(1); v <= 11; v++ {
		for ts, from := range since {
			q := &msg.ListOffsetsRequest{ReplicaId: -1, Topics: []msg.ListOffsetsTopic{{Name: "t", Partitions: []msg.ListOffsetsPartition{{Timestamp: ts, CurrentLeaderEpoch: -1}}}}}
			var resp msg.ListOffsetsResponse
			r.ask(q, v, &resp)
			p := resp.Topics[0].Partitions[0]
			if v >= from && (p.ErrorCode != 0 || p.Offset != 5) || v < from && kerr.Code(p.ErrorCode) != kerr.UnsupportedVersion {
				t.Errorf("version %d timestamp %d: %+v", v, ts, p)
			}
		}
	}
	q := &msg.ListOffsetsRequest{Topics: []msg.ListOffsetsTopic{{Name: "t", Partitions: []msg.ListOffsetsPartition{
		{PartitionIndex: 0, Timestamp: -1}, {PartitionIndex: 1, Timestamp: -1}, {PartitionIndex: 0, Timestamp: -2}}}}}
	var resp msg.ListOffsetsResponse
	r.ask(q, 7, &resp)
	p := resp.Topics[0].Partitions
	r.wantCode("first", p[0].ErrorCode, kerr.InvalidRequest)
	r.wantCode("other", p[1].ErrorCode, kerr.None)
	r.wantCode("second", p[2].ErrorCode, kerr.InvalidRequest)
}

// M1: which topics are asked for.
func TestM1WhichTopics(t *testing.T) {
	for _, c := range []struct {
		version int16
		topics  []msg.MetadataRequestTopic
		all     bool
	}{
		{0, []msg.MetadataRequestTopic{}, true}, {1, []msg.MetadataRequestTopic{}, false}, {1, nil, true}, {13, nil, true},
		{9, []msg.MetadataRequestTopic{{Name: wire.Str("t")}}, false},
	} {
		r := newRig(t, richBroker())
		var resp msg.MetadataResponse
		r.ask(&msg.MetadataRequest{Topics: c.topics, AllowAutoTopicCreation: true}, c.version, &resp)
		asked := r.broker.asked[0].(broker.MetadataRequest)
		if asked.All != c.all || len(asked.Topics) != len(c.topics) || !asked.AutoCreate {
			t.Errorf("version %d, topics %v: asked %+v", c.version, c.topics, asked)
		}
	}
}

// M5: topics by id.
func TestM5TopicIDs(t *testing.T) {
	r := newRig(t, richBroker())
	for _, v := range []int16{10, 11} {
		for _, topic := range []msg.MetadataRequestTopic{{TopicId: topicID, Name: wire.Str("t")}, {}} {
			var resp msg.MetadataResponse
			r.ask(&msg.MetadataRequest{Topics: []msg.MetadataRequestTopic{topic}, AllowAutoTopicCreation: true}, v, &resp)
			r.wantCode("id or null name", resp.Topics[0].ErrorCode, kerr.InvalidRequest)
		}
	}
	var resp msg.MetadataResponse
	r.ask(&msg.MetadataRequest{Topics: []msg.MetadataRequestTopic{{TopicId: topicID}, {TopicId: wire.UUID{9}}, {Name: wire.Str("t")}}, AllowAutoTopicCreation: true}, 12, &resp)
	if len(resp.Topics) != 2 || resp.Topics[0].Name.String != "t" || resp.Topics[0].TopicId != topicID {
		t.Fatalf("%+v", resp.Topics)
	}
	r.wantCode("unknown id", resp.Topics[1].ErrorCode, kerr.UnknownTopicID)
	if resp.Topics[1].Name.Valid {
		t.Errorf("unknown id has the name %q", resp.Topics[1].Name.String)
	}
}

// M6, M7, M9, M10, M11.
func TestMetadataFields(t *testing.T) {
	r := newRig(t, richBroker())
	for _, v := range []int16{8, 10, 13} {
		var resp msg.MetadataResponse
		r.ask(requests[msg.KeyMetadata](v), v, &resp)
		if len(resp.Brokers) != 2 || resp.Brokers[0].Rack != wire.Str("r1") || resp.Brokers[1].Rack.Valid || resp.ClusterId.String != r.broker.ClusterID() || resp.ControllerId != 1 {
			t.Errorf("version %d: %+v", v, resp)
		}
		found, gone := resp.Topics[0], resp.Topics[1]
		if v >= 10 && (found.TopicId != topicID || gone.TopicId != wire.UUID{}) {
			t.Errorf("version %d: ids %v %v", v, found.TopicId, gone.TopicId)
		}
		r.wantCode("no leader", found.Partitions[1].ErrorCode, kerr.LeaderNotAvailable)
		r.wantCode("unknown", gone.ErrorCode, kerr.UnknownTopicOrPartition)
		if found.Partitions[0].LeaderEpoch != 3 || found.Partitions[1].LeaderId != -1 || !slices.Equal(found.Partitions[0].OfflineReplicas, []int32{2}) {
			t.Errorf("version %d: %+v", v, found.Partitions)
		}
		if found.TopicAuthorizedOperations != topicOperations || gone.TopicAuthorizedOperations != -1<<31 {
			t.Errorf("version %d: operations %x %x", v, found.TopicAuthorizedOperations, gone.TopicAuthorizedOperations)
		}
		if want := int32(clusterOperations); v <= 10 && resp.ClusterAuthorizedOperations != want {
			t.Errorf("version %d: cluster operations %x", v, resp.ClusterAuthorizedOperations)
		}
	}
}

// M14: paging.
func TestM14Paging(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.topics = nil
	for _, name := range []string{"c", "a", "b"} {
		topic := broker.TopicInfo{Name: name, ID: [16]byte{name[0]}}
		for p := range int32(3) {
			topic.Partitions = append(topic.Partitions, broker.PartitionInfo{Partition: p})
		}
		r.broker.topics = append(r.broker.topics, topic)
	}
	var got []string
	q := &msg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 2}
	for pages := 0; pages < 10; pages++ {
		var resp msg.DescribeTopicPartitionsResponse
		r.ask(q, 0, &resp)
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				got = append(got, topic.Name.String+string(rune('0'+p.PartitionIndex)))
			}
		}
		got = append(got, "|")
		if resp.NextCursor == nil {
			break
		}
		q.Cursor = &msg.DescribeTopicPartitionsRequestCursor{TopicName: resp.NextCursor.TopicName, PartitionIndex: resp.NextCursor.PartitionIndex}
	}
	if want := []string{"a0", "a1", "|", "a2", "b0", "|", "b1", "b2", "|", "c0", "c1", "|", "c2", "|"}; !slices.Equal(got, want) {
		t.Errorf("pages %q, want %q", got, want)
	}
	var resp msg.DescribeTopicPartitionsResponse
	r.ask(&msg.DescribeTopicPartitionsRequest{Topics: []msg.DescribeTopicPartitionsRequestTopicRequest{{Name: "b"}, {Name: "no"}, {Name: "b"}}, ResponsePartitionLimit: 100}, 0, &resp)
	if len(resp.Topics) != 2 || resp.Topics[0].Name.String != "b" || len(resp.Topics[0].Partitions) != 3 || resp.NextCursor != nil {
		t.Errorf("%+v", resp)
	}
	r.wantCode("unknown topic", resp.Topics[1].ErrorCode, kerr.UnknownTopicOrPartition)
	q = &msg.DescribeTopicPartitionsRequest{Topics: []msg.DescribeTopicPartitionsRequestTopicRequest{{Name: "b"}}, Cursor: &msg.DescribeTopicPartitionsRequestCursor{TopicName: "a", PartitionIndex: -1}}
	r.ask(q, 0, &resp)
	r.wantCode("negative cursor", resp.Topics[0].ErrorCode, kerr.InvalidRequest)
}

// C1, C3.
func TestFindCoordinator(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.coordinator = func(keyType int8, key string) (broker.Node, error) {
		if key == "lost" {
			return broker.Node{}, broker.ErrCoordinatorNotAvailable
		}
		return broker.Node{ID: 1, Host: "h1", Port: 9092}, nil
	}
	var resp msg.FindCoordinatorResponse
	r.ask(&msg.FindCoordinatorRequest{Key: "lost"}, 3, &resp)
	r.wantCode("lost", resp.ErrorCode, kerr.CoordinatorNotAvailable)
	if resp.NodeId != -1 || resp.Host != "" || resp.Port != -1 || !resp.ErrorMessage.Valid {
		t.Errorf("%+v", resp)
	}
	r.ask(&msg.FindCoordinatorRequest{CoordinatorKeys: []string{"g", "lost"}}, 4, &resp)
	if c := resp.Coordinators; len(c) != 2 || c[0].Key != "g" || c[0].NodeId != 1 || c[0].Port != 9092 || c[1].NodeId != -1 {
		t.Errorf("%+v", resp.Coordinators)
	}
	r.ask(&msg.FindCoordinatorRequest{KeyType: 2, CoordinatorKeys: []string{"s"}}, 5, &resp)
	r.wantCode("share before 6", resp.Coordinators[0].ErrorCode, kerr.InvalidRequest)
}

// J14, J15, J18, J20: what the group is told of the client.
func TestJoinGroup(t *testing.T) {
	for v := int16(0); v <= 9; v++ {
		r := newRig(t, richBroker())
		q := requests[msg.KeyJoinGroup](v).(*msg.JoinGroupRequest)
		if v >= 1 {
			q.RebalanceTimeoutMs = 60000
		}
		if v >= 5 {
			q.GroupInstanceId = wire.Str("i1")
		}
		var resp msg.JoinGroupResponse
		r.ask(q, v, &resp)
		asked := r.broker.asked[0].(group.JoinRequest)
		want := time.Minute
		if v == 0 {
			want = 10 * time.Second
		}
		if asked.RebalanceTimeout != want || asked.SessionTimeout != 10*time.Second || asked.RequireKnownMemberID != (v >= 4) || asked.SkipAssignment != (v >= 9) ||
			asked.ClientHost != "/1.2.3.4" || asked.ClientID != "client" || (asked.InstanceID == "i1") != (v >= 5) || len(asked.Protocols) != 1 {
			t.Errorf("version %d: asked %+v", v, asked)
		}
		if resp.GenerationId != 4 || resp.ProtocolName != wire.Str("range") || resp.Leader != "m1" || len(resp.Members) != 1 || string(resp.Members[0].Metadata) != "meta" {
			t.Errorf("version %d: %+v", v, resp)
		}
		r.broker.join = group.JoinResponse{Err: group.MemberIDRequired, Generation: -1, MemberID: "c-1"}
		r.ask(q, v, &resp)
		r.wantCode("member id required", resp.ErrorCode, kerr.MemberIDRequired)
		if resp.GenerationId != -1 || resp.MemberId != "c-1" || len(resp.Members) != 0 || resp.ProtocolName.Valid != (v < 7) {
			t.Errorf("version %d: %+v", v, resp)
		}
	}
}

// J50: the member's error is at the top before version 3.
func TestJ50LeaveGroup(t *testing.T) {
	r := newRig(t, richBroker())
	for v := int16(0); v <= 5; v++ {
		var resp msg.LeaveGroupResponse
		r.ask(requests[msg.KeyLeaveGroup](v), v, &resp)
		if v < 3 {
			r.wantCode("top", resp.ErrorCode, kerr.UnknownMemberID)
		} else {
			r.wantCode("top", resp.ErrorCode, kerr.None)
			r.wantCode("member", resp.Members[0].ErrorCode, kerr.UnknownMemberID)
		}
	}
}

// J60.
func TestJ60DescribeGroups(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.DescribeGroupsResponse
	q := &msg.DescribeGroupsRequest{Groups: []string{"g"}, IncludeAuthorizedOperations: true}
	r.ask(q, 6, &resp)
	if g := resp.Groups[0]; g.GroupState != "Stable" || g.ProtocolData != "range" || len(g.Members) != 1 || g.Members[0].ClientHost != "/1.2.3.4" || g.AuthorizedOperations != groupOperations {
		t.Errorf("%+v", g)
	}
	r.broker.description = group.Description{Err: group.GroupIDNotFound, State: group.Dead}
	for v, want := range map[int16]kerr.Code{5: kerr.None, 6: kerr.GroupIDNotFound} {
		r.ask(q, v, &resp)
		r.wantCode("missing group", resp.Groups[0].ErrorCode, want)
		if g := resp.Groups[0]; g.GroupState != "Dead" || g.ErrorMessage.Valid != (v >= 6) || g.GroupId != "g" {
			t.Errorf("version %d: %+v", v, g)
		}
	}
}

// A group that is named a thousand times is told once: what it holds may be large, and its name short.
func TestGroupsAreToldOnce(t *testing.T) {
	r := newRig(t, richBroker())
	var groups msg.DescribeGroupsResponse
	r.ask(&msg.DescribeGroupsRequest{Groups: []string{"g", "h", "g", "g"}}, 6, &groups)
	var offsets msg.OffsetFetchResponse
	asked := len(r.broker.asked)
	g := msg.OffsetFetchRequestGroup{GroupId: "g"}
	r.ask(&msg.OffsetFetchRequest{Groups: []msg.OffsetFetchRequestGroup{g, {GroupId: "h"}, g, g}}, 9, &offsets)
	if n := len(r.broker.asked) - asked; n != 2 || len(groups.Groups) != 4 || len(offsets.Groups) != 4 {
		t.Fatalf("%d fetches, %d and %d answers", n, len(groups.Groups), len(offsets.Groups))
	}
	for i, want := range []kerr.Code{kerr.None, kerr.None, kerr.InvalidRequest, kerr.InvalidRequest} {
		r.wantCode("describe", groups.Groups[i].ErrorCode, want)
		r.wantCode("fetch", offsets.Groups[i].ErrorCode, want)
		if again := want != kerr.None; again && (len(groups.Groups[i].Members) > 0 || len(offsets.Groups[i].Topics) > 0) {
			t.Errorf("again: %+v, %+v", groups.Groups[i], offsets.Groups[i])
		}
	}
}

// J61.
func TestJ61ListGroups(t *testing.T) {
	r := newRig(t, richBroker())
	for _, c := range []struct {
		states, types []string
		want          int
	}{
		{nil, nil, 2}, {[]string{"stable"}, nil, 1}, {[]string{"EMPTY", "Dead"}, nil, 1}, {nil, []string{"Classic"}, 2}, {nil, []string{"consumer"}, 0},
	} {
		var resp msg.ListGroupsResponse
		r.ask(&msg.ListGroupsRequest{StatesFilter: c.states, TypesFilter: c.types}, 5, &resp)
		if len(resp.Groups) != c.want {
			t.Errorf("states %v types %v: %+v", c.states, c.types, resp.Groups)
		}
		for _, g := range resp.Groups {
			if g.GroupType != "classic" {
				t.Errorf("%+v", g)
			}
		}
	}
}

// O1, O3, O7: existing partitions are committed, the others answered.
func TestOffsetCommit(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.groupErr = group.RebalanceInProgress
	for _, v := range []int16{2, 9, 10} {
		r.broker.asked = nil
		var resp msg.OffsetCommitResponse
		q := requests[msg.KeyOffsetCommit](v).(*msg.OffsetCommitRequest)
		q.Topics = append([]msg.OffsetCommitRequestTopic{{Partitions: []msg.OffsetCommitRequestPartition{{PartitionIndex: 4, CommittedLeaderEpoch: -1}}}}, q.Topics...)
		unknown := kerr.UnknownTopicOrPartition
		if v >= 10 {
			q.Topics[0].TopicId, unknown = wire.UUID{9}, kerr.UnknownTopicID
		} else {
			q.Topics[0].Name = "gone"
		}
		if v == 2 {
			q.RetentionTimeMs = 5000
		}
		r.ask(q, v, &resp)
		r.wantCode("unknown topic", resp.Topics[0].Partitions[0].ErrorCode, unknown)
		r.wantCode("committed", resp.Topics[1].Partitions[0].ErrorCode, kerr.RebalanceInProgress)
		r.wantCode("unknown partition", resp.Topics[1].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
		asked := r.broker.asked[0].(group.CommitOffsetsRequest)
		if len(asked.Topics) != 1 || asked.Topics[0].Name != "t" || asked.Topics[0].ID != topicID || len(asked.Topics[0].Partitions) != 1 {
			t.Errorf("version %d: asked %+v", v, asked)
		}
		if want := time.Duration(-1); v > 4 && asked.Retention != want || v == 2 && asked.Retention != 5*time.Second {
			t.Errorf("version %d: retention %v", v, asked.Retention)
		}
	}
}

// The error of a whole commit is in every partition.
func TestOffsetCommitRefused(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.commitErr = group.CoordinatorNotAvailable
	var resp msg.OffsetCommitResponse
	r.ask(requests[msg.KeyOffsetCommit](9), 9, &resp)
	r.wantCode("existing", resp.Topics[0].Partitions[0].ErrorCode, kerr.CoordinatorNotAvailable)
	r.wantCode("unknown", resp.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
}

// O10, O11.
func TestOffsetFetch(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.OffsetFetchResponse
	for v := int16(1); v <= 7; v++ {
		r.ask(requests[msg.KeyOffsetFetch](v), v, &resp)
		if p := resp.Topics[0].Partitions[0]; p.CommittedOffset != 8 || p.Metadata != wire.Str("m") || v >= 5 && p.CommittedLeaderEpoch != 2 {
			t.Errorf("version %d: %+v", v, p)
		}
	}
	r.broker.asked = nil
	r.ask(&msg.OffsetFetchRequest{GroupId: "g"}, 7, &resp)
	if asked := r.broker.asked[0].(group.FetchOffsetsRequest); !asked.All {
		t.Errorf("null topics: asked %+v", asked)
	}
	q := &msg.OffsetFetchRequest{Groups: []msg.OffsetFetchRequestGroup{
		{GroupId: "g", MemberEpoch: -1, Topics: []msg.OffsetFetchRequestTopics{{TopicId: wire.UUID{9}, PartitionIndexes: []int32{4}}, {TopicId: topicID, PartitionIndexes: []int32{0}}}},
		{GroupId: "h", MemberEpoch: -1},
	}}
	r.ask(q, 10, &resp)
	if len(resp.Groups) != 2 || len(resp.Groups[0].Topics) != 2 || resp.Groups[1].GroupId != "h" {
		t.Fatalf("%+v", resp.Groups)
	}
	r.wantCode("unknown id", resp.Groups[0].Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
	if p := resp.Groups[0].Topics[1]; p.TopicId != topicID || p.Partitions[0].CommittedOffset != 8 {
		t.Errorf("%+v", p)
	}
	r.broker.fetched = group.FetchOffsetsResponse{Err: group.NotCoordinator}
	r.ask(requests[msg.KeyOffsetFetch](1), 1, &resp)
	r.wantCode("in the partition", resp.Topics[0].Partitions[0].ErrorCode, kerr.NotCoordinator)
	r.ask(requests[msg.KeyOffsetFetch](2), 2, &resp)
	r.wantCode("at the top", resp.ErrorCode, kerr.NotCoordinator)
	r.ask(requests[msg.KeyOffsetFetch](8), 8, &resp)
	r.wantCode("of the group", resp.Groups[0].ErrorCode, kerr.NotCoordinator)
}

// A6, A20.
func TestTopicAdmin(t *testing.T) {
	r := newRig(t, richBroker())
	var created msg.CreateTopicsResponse
	r.ask(requests[msg.KeyCreateTopics](7), 7, &created)
	if c := created.Topics[0]; c.TopicId != topicID || c.NumPartitions != 3 || len(c.Configs) != 1 || c.Configs[0].Value != wire.Str("5") || c.Configs[0].ConfigSource != 1 {
		t.Errorf("%+v", c)
	}
	r.broker.created = []broker.CreatedTopic{{Name: "new", Err: broker.ErrTopicExists}}
	r.ask(requests[msg.KeyCreateTopics](7), 7, &created)
	r.wantCode("exists", created.Topics[0].ErrorCode, kerr.TopicAlreadyExists)
	if c := created.Topics[0]; c.NumPartitions != -1 || c.ReplicationFactor != -1 || !c.ErrorMessage.Valid || len(c.Configs) != 0 {
		t.Errorf("%+v", c)
	}
	r.broker.asked = nil
	q := &msg.DeleteTopicsRequest{Topics: []msg.DeleteTopicState{{}, {Name: wire.Str("t"), TopicId: topicID}, {TopicId: topicID}, {Name: wire.Str("t")}}}
	var deleted msg.DeleteTopicsResponse
	r.ask(q, 6, &deleted)
	r.wantCode("neither", deleted.Responses[0].ErrorCode, kerr.InvalidRequest)
	r.wantCode("both", deleted.Responses[1].ErrorCode, kerr.InvalidRequest)
	if asked := r.broker.asked[0].([]broker.TopicRef); len(asked) != 2 || !asked[0].ByID || asked[1].Name != "t" {
		t.Errorf("asked %+v", asked)
	}
}

// CF3.
func TestCF3DescribeConfigs(t *testing.T) {
	r := newRig(t, richBroker())
	for v := int16(0); v <= 4; v++ {
		var resp msg.DescribeConfigsResponse
		r.ask(requests[msg.KeyDescribeConfigs](v), v, &resp)
		e := resp.Results[0].Configs[0]
		if e.Name != "retention.ms" || e.Value != wire.Str("5") || v >= 1 && (e.ConfigSource != 1 || len(e.Synonyms) != 1 || e.Synonyms[0].Source != 4) ||
			v >= 3 && (e.ConfigType != 5 || e.Documentation != wire.Str("doc")) || e.IsDefault {
			t.Errorf("version %d: %+v", v, e)
		}
		r.wantCode("gone", resp.Results[1].ErrorCode, kerr.UnknownTopicOrPartition)
	}
}

// D1.
func TestD1EndpointTypes(t *testing.T) {
	r := newRig(t, richBroker())
	for v, want := range map[int8]kerr.Code{1: kerr.None, 2: kerr.MismatchedEndpointType, 3: kerr.UnsupportedEndpointType} {
		var resp msg.DescribeClusterResponse
		r.ask(&msg.DescribeClusterRequest{EndpointType: v}, 1, &resp)
		r.wantCode("endpoint type", resp.ErrorCode, want)
		if (len(resp.Brokers) == 2) != (v == 1) {
			t.Errorf("endpoint type %d: %+v", v, resp)
		}
	}
}

// T1: a producer gets an id.
func TestInitProducerID(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.InitProducerIdResponse
	r.ask(requests[msg.KeyInitProducerId](4), 4, &resp)
	if resp.ErrorCode != 0 || resp.ProducerId != 4000 || resp.ProducerEpoch != 0 {
		t.Errorf("%+v", resp)
	}
	r.broker.initErr = group.ProducerFenced
	r.ask(requests[msg.KeyInitProducerId](4), 4, &resp)
	r.wantCode("fenced", resp.ErrorCode, kerr.ProducerFenced)
	r.ask(requests[msg.KeyInitProducerId](3), 3, &resp)
	r.wantCode("T7: fenced, before version 4", resp.ErrorCode, kerr.InvalidProducerEpoch)
	if resp.ProducerId != -1 || resp.ProducerEpoch != -1 {
		t.Errorf("%+v", resp)
	}
}

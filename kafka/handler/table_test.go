package handler

import (
	"bytes"
	"testing"

	"chronik/broker"
	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// requests are one of each API, with enough in it that every part of the
// response appears. adapt makes it fit a version.
var requests = map[int16]func(v int16) msg.Request{
	msg.KeyProduce: func(v int16) msg.Request {
		p := msg.TopicProduceData{PartitionData: []msg.PartitionProduceData{{Index: 0, Records: []byte("r")}, {Index: 1}}}
		if v >= 13 {
			p.TopicId = topicID
		} else {
			p.Name = "t"
		}
		return &msg.ProduceRequest{Acks: -1, TimeoutMs: 1000, TopicData: []msg.TopicProduceData{p}}
	},
	msg.KeyFetch: func(v int16) msg.Request { return fetchRequest(v, 0, -1, "t", 0, 1) },
	msg.KeyListOffsets: func(int16) msg.Request {
		return &msg.ListOffsetsRequest{ReplicaId: -1, Topics: []msg.ListOffsetsTopic{{Name: "t", Partitions: []msg.ListOffsetsPartition{{Timestamp: -1, CurrentLeaderEpoch: -1}}}}}
	},
	msg.KeyMetadata: func(v int16) msg.Request {
		q := &msg.MetadataRequest{Topics: []msg.MetadataRequestTopic{{Name: wire.Str("t")}, {Name: wire.Str("gone")}}, AllowAutoTopicCreation: true}
		q.IncludeTopicAuthorizedOperations = v >= 8
		q.IncludeClusterAuthorizedOperations = v >= 8 && v <= 10
		return q
	},
	msg.KeyOffsetCommit: func(v int16) msg.Request {
		t := msg.OffsetCommitRequestTopic{Partitions: []msg.OffsetCommitRequestPartition{{PartitionIndex: 0, CommittedOffset: 1, CommittedLeaderEpoch: -1}, {PartitionIndex: 9, CommittedLeaderEpoch: -1}}}
		if v >= 10 {
			t.TopicId = topicID
		} else {
			t.Name = "t"
		}
		return &msg.OffsetCommitRequest{GroupId: "g", GenerationIdOrMemberEpoch: -1, RetentionTimeMs: -1, Topics: []msg.OffsetCommitRequestTopic{t}}
	},
	msg.KeyOffsetFetch: func(v int16) msg.Request {
		if v < 8 {
			return &msg.OffsetFetchRequest{GroupId: "g", Topics: []msg.OffsetFetchRequestTopic{{Name: "t", PartitionIndexes: []int32{0}}}}
		}
		return &msg.OffsetFetchRequest{Groups: []msg.OffsetFetchRequestGroup{{GroupId: "g", MemberEpoch: -1}}}
	},
	msg.KeyFindCoordinator: func(v int16) msg.Request {
		if v < 4 {
			return &msg.FindCoordinatorRequest{Key: "g"}
		}
		return &msg.FindCoordinatorRequest{CoordinatorKeys: []string{"g", "h"}}
	},
	msg.KeyJoinGroup: func(int16) msg.Request {
		return &msg.JoinGroupRequest{GroupId: "g", SessionTimeoutMs: 10000, RebalanceTimeoutMs: -1, ProtocolType: "consumer",
			Protocols: []msg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}}
	},
	msg.KeyHeartbeat: func(int16) msg.Request { return &msg.HeartbeatRequest{GroupId: "g"} },
	msg.KeyLeaveGroup: func(v int16) msg.Request {
		if v < 3 {
			return &msg.LeaveGroupRequest{GroupId: "g", MemberId: "m1"}
		}
		return &msg.LeaveGroupRequest{GroupId: "g", Members: []msg.MemberIdentity{{MemberId: "m1"}}}
	},
	msg.KeySyncGroup: func(int16) msg.Request {
		return &msg.SyncGroupRequest{GroupId: "g", Assignments: []msg.SyncGroupRequestAssignment{{MemberId: "m1", Assignment: []byte("a")}}}
	},
	msg.KeyDescribeGroups: func(int16) msg.Request { return &msg.DescribeGroupsRequest{Groups: []string{"g"}} },
	msg.KeyListGroups:     func(int16) msg.Request { return &msg.ListGroupsRequest{} },
	msg.KeyApiVersions: func(v int16) msg.Request {
		q := &msg.ApiVersionsRequest{}
		if v >= 3 {
			q.ClientSoftwareName, q.ClientSoftwareVersion = "test-client", "1.0"
		}
		return q
	},
	msg.KeyCreateTopics: func(int16) msg.Request {
		return &msg.CreateTopicsRequest{Topics: []msg.CreatableTopic{{Name: "new", NumPartitions: 3, ReplicationFactor: 1}}}
	},
	msg.KeyDeleteTopics: func(v int16) msg.Request {
		if v >= 6 {
			return &msg.DeleteTopicsRequest{Topics: []msg.DeleteTopicState{{Name: wire.Str("t")}}}
		}
		return &msg.DeleteTopicsRequest{TopicNames: []string{"t"}}
	},
	msg.KeyDeleteRecords: func(int16) msg.Request {
		return &msg.DeleteRecordsRequest{Topics: []msg.DeleteRecordsTopic{{Name: "t", Partitions: []msg.DeleteRecordsPartition{{Offset: 4}}}}}
	},
	msg.KeyInitProducerId: func(int16) msg.Request { return &msg.InitProducerIdRequest{ProducerId: -1, ProducerEpoch: -1} },
	msg.KeyOffsetForLeaderEpoch: func(int16) msg.Request {
		return &msg.OffsetForLeaderEpochRequest{ReplicaId: -2, Topics: []msg.OffsetForLeaderTopic{{Topic: "t", Partitions: []msg.OffsetForLeaderPartition{{LeaderEpoch: 2}}}}}
	},
	msg.KeyWriteTxnMarkers: func(int16) msg.Request {
		return &msg.WriteTxnMarkersRequest{Markers: []msg.WritableTxnMarker{{ProducerId: 7, ProducerEpoch: 2, TransactionResult: true, CoordinatorEpoch: 3,
			Topics: []msg.WritableTxnMarkerTopic{{Name: "t", PartitionIndexes: []int32{0, 1}}, {Name: "u", PartitionIndexes: []int32{5}}}}}}
	},
	msg.KeyDescribeConfigs: func(v int16) msg.Request {
		return &msg.DescribeConfigsRequest{Resources: []msg.DescribeConfigsResource{{ResourceType: 2, ResourceName: "t"}},
			IncludeSynonyms: v >= 1, IncludeDocumentation: v >= 3}
	},
	msg.KeyAlterConfigs: func(int16) msg.Request {
		return &msg.AlterConfigsRequest{Resources: []msg.AlterConfigsResource{{ResourceType: 2, ResourceName: "t", Configs: []msg.AlterConfigsRequestAlterableConfig{{Name: "a"}}}}}
	},
	msg.KeyDescribeLogDirs: func(int16) msg.Request { return &msg.DescribeLogDirsRequest{} },
	msg.KeyCreatePartitions: func(int16) msg.Request {
		return &msg.CreatePartitionsRequest{Topics: []msg.CreatePartitionsTopic{{Name: "t", Count: 5, Assignments: []msg.CreatePartitionsAssignment{{BrokerIds: []int32{1}}}}}}
	},
	msg.KeyDeleteGroups: func(int16) msg.Request { return &msg.DeleteGroupsRequest{GroupsNames: []string{"g"}} },
	msg.KeyElectLeaders: func(int16) msg.Request {
		return &msg.ElectLeadersRequest{TimeoutMs: 1000, TopicPartitions: []msg.ElectLeadersRequestTopicPartitions{{Topic: "t", Partitions: []int32{0, 1}}}}
	},
	msg.KeyIncrementalAlterConfigs: func(int16) msg.Request {
		return &msg.IncrementalAlterConfigsRequest{Resources: []msg.IncrementalAlterConfigsRequestAlterConfigsResource{{ResourceType: 2, ResourceName: "t",
			Configs: []msg.IncrementalAlterConfigsRequestAlterableConfig{{Name: "a", ConfigOperation: 1}}}}}
	},
	msg.KeyOffsetDelete: func(int16) msg.Request {
		return &msg.OffsetDeleteRequest{GroupId: "g", Topics: []msg.OffsetDeleteRequestTopic{{Name: "t", Partitions: []msg.OffsetDeleteRequestPartition{{}}}}}
	},
	msg.KeyDescribeCluster: func(int16) msg.Request {
		return &msg.DescribeClusterRequest{EndpointType: 1, IncludeClusterAuthorizedOperations: true}
	},
	msg.KeyDescribeProducers: func(int16) msg.Request {
		return &msg.DescribeProducersRequest{Topics: []msg.DescribeProducersRequestTopicRequest{{Name: "t", PartitionIndexes: []int32{0}}}}
	},
	msg.KeyAddPartitionsToTxn: func(int16) msg.Request {
		return &msg.AddPartitionsToTxnRequest{V3AndBelowTransactionalId: "x", V3AndBelowProducerId: 40, V3AndBelowProducerEpoch: 2,
			V3AndBelowTopics: []msg.AddPartitionsToTxnTopic{{Name: "t", Partitions: []int32{0, 1}}}}
	},
	msg.KeyAddOffsetsToTxn: func(int16) msg.Request {
		return &msg.AddOffsetsToTxnRequest{TransactionalId: "x", ProducerId: 40, ProducerEpoch: 2, GroupId: "g"}
	},
	msg.KeyEndTxn: func(int16) msg.Request {
		return &msg.EndTxnRequest{TransactionalId: "x", ProducerId: 40, ProducerEpoch: 2, Committed: true}
	},
	msg.KeyTxnOffsetCommit: func(v int16) msg.Request {
		q := &msg.TxnOffsetCommitRequest{TransactionalId: "x", GroupId: "g", ProducerId: 40, ProducerEpoch: 2, GenerationIdOrMemberEpoch: -1,
			Topics: []msg.TxnOffsetCommitRequestTopic{
				{Name: "gone", Partitions: []msg.TxnOffsetCommitRequestPartition{{PartitionIndex: 0, CommittedOffset: 1, CommittedLeaderEpoch: -1}}},
				{Name: "t", Partitions: []msg.TxnOffsetCommitRequestPartition{
					{PartitionIndex: 0, CommittedOffset: 5, CommittedLeaderEpoch: -1, CommittedMetadata: wire.Str("m")},
					{PartitionIndex: 99, CommittedOffset: 5, CommittedLeaderEpoch: -1},
				}},
			}}
		if v >= 3 {
			q.GenerationIdOrMemberEpoch, q.MemberId, q.GroupInstanceId = 3, "m-1", wire.Str("i")
		}
		return q
	},
	msg.KeyDescribeTransactions: func(int16) msg.Request {
		return &msg.DescribeTransactionsRequest{TransactionalIds: []string{"x", "y", "x"}}
	},
	msg.KeyListTransactions: func(int16) msg.Request { return &msg.ListTransactionsRequest{DurationFilter: -1} },
	msg.KeyDescribeTopicPartitions: func(int16) msg.Request {
		return &msg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 1}
	},
}

// Every version that is served is answered with a response that decodes, the
// rich and the failing.
func TestEveryVersionIsAnswered(t *testing.T) {
	for _, api := range table() {
		for v := api.min; v <= api.max; v++ {
			for _, failing := range []bool{false, true} {
				b := richBroker()
				r := newRig(t, b)
				if failing {
					makeFail(b, r)
				}
				r.ask(requests[api.key](v), v, msg.Lookup(api.key).NewResponse())
			}
		}
	}
}

// makeFail makes every call fail.
func makeFail(b *fakeBroker, r *rig) {
	r.produced = func(p *broker.ProduceRequest) {
		for i := range p.Partitions {
			p.Partitions[i].Err = broker.ErrNotLeader
		}
	}
	b.fetch = func(q *broker.FetchRequest) {
		for i := range q.Partitions {
			q.Partitions[i].Err = broker.ErrFencedLeaderEpoch
		}
	}
	b.listOffset = func(broker.ListOffset) (broker.OffsetAt, error) {
		return broker.OffsetAt{}, broker.ErrOffsetNotAvailable
	}
	b.epochEnd = func(int32) (broker.EpochEnd, error) { return broker.EpochEnd{}, broker.ErrStorage }
	b.created = []broker.CreatedTopic{{Name: "new", Err: broker.ErrTopicExists}}
	b.errs = []error{errAnything}
	b.deleteRec, b.initErr = broker.ErrPolicyViolation, group.ConcurrentTransactions
	b.coordinator = func(int8, string) (broker.Node, error) { return broker.Node{}, broker.ErrCoordinatorNotAvailable }
	b.groupErr = group.NotCoordinator
	b.join = group.JoinResponse{Err: group.MemberIDRequired, Generation: -1, MemberID: "c-1"}
	b.sync = group.SyncResponse{Err: group.RebalanceInProgress}
	b.leave = group.LeaveResponse{Err: group.CoordinatorNotAvailable}
	b.description = group.Description{Group: "g", Err: group.GroupIDNotFound, State: group.Dead}
	b.fetched = group.FetchOffsetsResponse{Err: group.NotCoordinator}
	b.deletedOff = group.DeleteOffsetsResponse{Err: group.NonEmptyGroup}
	b.dirs[0].Err = broker.ErrStorage
	b.marker = broker.ErrTransactionCoordinatorFenced
	b.producers = func(broker.TopicPartition) ([]partition.Producer, error) { return nil, broker.ErrNotLeader }
	b.elections, b.electErr = nil, broker.ErrShuttingDown
}

// The table is sorted, within what the codec has, and tested above.
func TestTable(t *testing.T) {
	last := int16(-1)
	for _, a := range table() {
		codec := msg.Lookup(a.key)
		switch {
		case a.key <= last:
			t.Errorf("key %d comes after %d", a.key, last)
		case codec == nil || !codec.Has(a.min) || !codec.Has(a.max):
			t.Errorf("key %d: the codec has not versions %d to %d", a.key, a.min, a.max)
		case requests[a.key] == nil:
			t.Errorf("no test request for %s", codec.Name)
		case a.needsAuth == (a.key == msg.KeyApiVersions):
			t.Errorf("%s: needsAuth is %v", codec.Name, a.needsAuth)
		}
		last = a.key
	}
}

// G2: bytes that are not a request we serve are refused.
func TestG2Refused(t *testing.T) {
	r := newRig(t, richBroker())
	whole := r.frame(requests[msg.KeyListOffsets](4), 4)
	for name, frame := range map[string][]byte{
		"nothing":                {},
		"half a header":          {0, 3, 0},
		"unknown key":            {0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"negative key":           {0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"key not served":         {0, 29, 0, 1, 0, 0, 0, 1, 0xff, 0xff},
		"version too high":       {0, 12, 0, 5, 0, 0, 0, 1, 0xff, 0xff, 0},
		"negative version":       {0, 18, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff},
		"produce 2":              {0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff},
		"client id out of frame": {0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff},
		"body cut":               whole[:len(whole)-3],
	} {
		if _, err := r.serve(frame); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if len(r.broker.asked) != 0 {
		t.Errorf("the broker was asked %v", r.broker.asked)
	}
}

// G2: bytes behind a well-parsed body are ignored.
func TestG2TrailingBytes(t *testing.T) {
	r := newRig(t, richBroker())
	for _, a := range table() {
		frame := append(r.frame(requests[a.key](a.max), a.max), 1, 2, 3)
		if _, err := r.serve(frame); err != nil {
			t.Errorf("%s: %v", msg.Lookup(a.key).Name, err)
		}
	}
}

// Every cut of every request is refused or answered, without a panic.
func TestG2EveryCut(t *testing.T) {
	r := newRig(t, richBroker())
	for _, a := range table() {
		for v := a.min; v <= a.max; v++ {
			frame := r.frame(requests[a.key](v), v)
			for n := range frame {
				r.serve(frame[:n:n])
			}
		}
	}
}

// G9: client ids may be null and empty.
func TestG9ClientID(t *testing.T) {
	r := newRig(t, richBroker())
	for _, id := range [][]byte{{0xff, 0xff}, {0, 0}} {
		frame := append(append([]byte{0, 12, 0, 0, 0, 0, 0, 9}, id...), 0, 1, 'g', 0, 0, 0, 1, 0, 1, 'm')
		if b, err := r.serve(frame); err != nil || !bytes.Equal(b, []byte{0, 0, 0, 9, 0, 0}) {
			t.Errorf("client id % x: response % x, error %v", id, b, err)
		}
	}
}

func TestOnlyProduceOverlaps(t *testing.T) {
	r := newRig(t, richBroker())
	for _, a := range table() {
		if got := r.session.Overlaps(r.frame(requests[a.key](a.max), a.max)); got != (a.key == msg.KeyProduce) {
			t.Errorf("%s overlaps: %v", msg.Lookup(a.key).Name, got)
		}
	}
	if r.session.Overlaps(nil) || r.session.Overlaps([]byte{0}) {
		t.Error("less than a key overlaps")
	}
}

// The code of an error is that of the request's version, and is counted.
func TestCodeOfAVersion(t *testing.T) {
	r := newRig(t, richBroker())
	for version, want := range map[int16]kerr.Code{3: kerr.NotLeaderOrFollower, 4: kerr.KafkaStorageError} {
		c := &call{h: r.handler, s: r.session, api: r.handler.lookup(msg.KeyProduce), version: version}
		r.wantCode("a storage error", c.code(broker.ErrStorage), want)
	}
}

// ApiVersions rules.
func TestApiVersions(t *testing.T) {
	r := newRig(t, richBroker())
	for v := int16(0); v <= 4; v++ {
		var resp msg.ApiVersionsResponse
		r.ask(requests[msg.KeyApiVersions](v), v, &resp)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) != len(table()) {
			t.Fatalf("version %d: code %d and %d APIs", v, resp.ErrorCode, len(resp.ApiKeys))
		}
		for i, a := range table() {
			if got, want := resp.ApiKeys[i], (msg.ApiVersion{ApiKey: a.key, MinVersion: a.advertisedMin, MaxVersion: a.max}); got != want {
				t.Errorf("version %d: %+v, want %+v", v, got, want)
			}
		}
		if resp.ApiKeys[0] != (msg.ApiVersion{ApiKey: 0, MinVersion: 0, MaxVersion: 13}) {
			t.Errorf("Produce is advertised as %+v", resp.ApiKeys[0])
		}
		if len(resp.FinalizedFeatures)+len(resp.SupportedFeatures) != 0 || resp.FinalizedFeaturesEpoch != -1 {
			t.Errorf("features are advertised: %+v", resp)
		}
	}
	for i, a := range APIs() {
		if v := r.handler.versions[i]; v != (msg.ApiVersion{ApiKey: a.Key, MinVersion: a.AdvertisedMin, MaxVersion: a.Max}) {
			t.Errorf("ApiVersions says %+v, the documents %+v", v, a)
		}
	}
	if r.session.softwareName != "test-client" || r.session.softwareVersion != "1.0" {
		t.Errorf("software %q %q", r.session.softwareName, r.session.softwareVersion)
	}
	// Rule 2: a version to come gets the body of version 0 and may ask again.
	for _, frame := range [][]byte{
		{0, 18, 0, 5, 0, 0, 0, 77, 0, 1, 'c', 0, 9, 9, 9},
		{0, 18, 0x7f, 0xff, 0, 0, 0, 77, 0xff, 0xff},
	} {
		b, err := r.serve(frame)
		if want := []byte{0, 0, 0, 77, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4}; err != nil || !bytes.Equal(b, want) {
			t.Errorf("response % x (%v), want % x", b, err, want)
		}
	}
	// Rule 4: names.
	for name, ok := range map[string]bool{"a": true, "apache-kafka-java": true, "a.b-c": true, "": false, "-a": false, "a-": false, "a b": false, "a\n": false} {
		var resp msg.ApiVersionsResponse
		r.ask(&msg.ApiVersionsRequest{ClientSoftwareName: name, ClientSoftwareVersion: "1"}, 3, &resp)
		if ok != (resp.ErrorCode == 0) || !ok && kerr.Code(resp.ErrorCode) != kerr.InvalidRequest {
			t.Errorf("software name %q: code %d", name, resp.ErrorCode)
		}
	}
}

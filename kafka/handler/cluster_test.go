package handler

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"chronik/broker"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// F13: from version 11 a consumer may be answered by a replica that does not lead, or sent to one.
func TestF13ReplicaReads(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.fetch = func(q *broker.FetchRequest) {
		q.Partitions[0].PreferredReplica = 2
		q.Partitions[0].HighWatermark = 10
	}
	for _, v := range []int16{4, 10, 11, 12, 13, 18} {
		for _, replica := range []int32{-1, -2, 5} {
			r.broker.asked = nil
			q := fetchRequest(v, 0, -1, "t", 0)
			if q.ReplicaId = replica; v >= 15 {
				q.ReplicaId = -1
				q.ReplicaState.ReplicaId, q.ReplicaState.ReplicaEpoch = replica, -1
			}
			if v >= 11 {
				q.RackId = "r2"
			}
			var resp msg.FetchResponse
			resp.Default()
			r.ask(q, v, &resp)
			asked := r.broker.asked[0].(broker.FetchRequest)
			may := v >= 11 && replica == -1
			if asked.ReplicaRead != may || v >= 11 && asked.ClientRack != "r2" {
				t.Errorf("version %d, replica id %d: asked %+v", v, replica, asked)
			}
			want := int32(-1)
			if may {
				want = 2
			}
			if got := resp.Responses[0].Partitions[0]; v >= 11 && got.PreferredReadReplica != want || got.ErrorCode != 0 || len(got.Records) != 0 {
				t.Errorf("version %d, replica id %d: %+v", v, replica, got)
			}
		}
	}
}

// F13, F30: the news of a preferred replica is told in a session that has nothing else to tell.
func TestF13PreferredReplicaInASession(t *testing.T) {
	r := newRig(t, richBroker())
	to := int32(-1)
	r.broker.fetch = func(q *broker.FetchRequest) {
		q.Partitions[0].HighWatermark, q.Partitions[0].PreferredReplica = 10, to
	}
	var full, next msg.FetchResponse
	r.ask(fetchRequest(12, 0, 0, "t", 0), 12, &full)
	for epoch, want := range []string{"[]", "[2]", "[2]", "[]"} {
		if to = -1; want == "[2]" {
			to = 2
		}
		r.ask(fetchRequest(12, full.SessionId, int32(epoch+1), ""), 12, &next)
		told := []int32{}
		for _, topic := range next.Responses {
			for _, p := range topic.Partitions {
				told = append(told, p.PreferredReadReplica)
			}
		}
		if got := fmt.Sprint(told); got != want {
			t.Errorf("epoch %d: told %s, want %s", epoch+1, got, want)
		}
	}
}

// What several replicas answer, in Kafka's codes; the retriable ones with the leader where the version has a place.
func TestErrorsOfReplicas(t *testing.T) {
	r := newRig(t, richBroker())
	leader := msg.FetchResponseLeaderIdAndEpoch{LeaderId: 2, LeaderEpoch: 7}
	for _, c := range []struct {
		err    error
		code   kerr.Code
		leader bool
	}{
		{broker.ErrNotLeader, kerr.NotLeaderOrFollower, true},
		{broker.ErrFencedLeaderEpoch, kerr.FencedLeaderEpoch, true},
		{broker.ErrUnknownLeaderEpoch, kerr.UnknownLeaderEpoch, false},
		{broker.ErrOffsetNotAvailable, kerr.OffsetNotAvailable, false},
		{broker.ErrOffsetOutOfRange, kerr.OffsetOutOfRange, false},
	} {
		r.broker.fetch = func(q *broker.FetchRequest) {
			q.Partitions[0].PreferredReplica = -1
			q.Partitions[0].Err = fmt.Errorf("%w: of a test", c.err)
		}
		for _, v := range []int16{11, 15, 16, 18} {
			var resp msg.FetchResponse
			r.ask(fetchRequest(v, 0, -1, "t", 0), v, &resp)
			p := resp.Responses[0].Partitions[0]
			r.wantCode(c.err.Error(), p.ErrorCode, c.code)
			if want := c.leader && v >= 16; (p.CurrentLeader == leader) != want || (len(resp.NodeEndpoints) == 1) != want {
				t.Errorf("%v, version %d: leader %+v, nodes %+v", c.err, v, p.CurrentLeader, resp.NodeEndpoints)
			}
		}
	}
	for _, c := range []struct {
		err    error
		code   kerr.Code
		leader bool
	}{
		{broker.ErrNotLeader, kerr.NotLeaderOrFollower, true},
		{broker.ErrNotEnoughReplicas, kerr.NotEnoughReplicas, false},
		{broker.ErrNotEnoughReplicasAfterAppend, kerr.NotEnoughReplicasAfterAppend, false},
		{broker.ErrRequestTimedOut, kerr.RequestTimedOut, false},
	} {
		r.produced = func(p *broker.ProduceRequest) { p.Partitions[0].Err, p.Partitions[0].BaseOffset = c.err, -1 }
		for _, v := range []int16{3, 9, 10, 13} {
			var resp msg.ProduceResponse
			r.ask(requests[msg.KeyProduce](v), v, &resp)
			p := resp.Responses[0].PartitionResponses[0]
			r.wantCode(c.err.Error(), p.ErrorCode, c.code)
			if want := c.leader && v >= 10; (p.CurrentLeader.LeaderId == 2) != want || (len(resp.NodeEndpoints) == 1) != want || p.BaseOffset != -1 {
				t.Errorf("%v, version %d: %+v, nodes %+v", c.err, v, p, resp.NodeEndpoints)
			}
		}
	}
}

// R3.
func TestR3ElectLeaders(t *testing.T) {
	r := newRig(t, richBroker())
	tp := func(topic string, p int32) broker.TopicPartition {
		return broker.TopicPartition{Topic: topic, Partition: p}
	}
	r.broker.elections = []broker.ElectResult{
		{TopicPartition: tp("t", 0)}, {TopicPartition: tp("t", 1), Err: broker.ErrElectionNotNeeded},
		{TopicPartition: tp("u", 0), Err: broker.ErrPreferredLeaderNotAvailable}, {TopicPartition: tp("v", 9), Err: broker.ErrUnknownTopicOrPartition},
	}
	want := "t 0 0, t 1 84, u 0 80, v 9 3"
	for v := range int16(3) {
		for _, all := range []bool{false, true} {
			r.broker.asked = nil
			q := &msg.ElectLeadersRequest{TimeoutMs: 1500}
			if !all {
				q.TopicPartitions = []msg.ElectLeadersRequestTopicPartitions{{Topic: "t", Partitions: []int32{0, 1}}, {Topic: "u", Partitions: []int32{0}}, {Topic: "v", Partitions: []int32{9}}}
			}
			var resp msg.ElectLeadersResponse
			r.ask(q, v, &resp)
			asked := r.broker.asked[0].(elected)
			if asked.all != all || asked.timeout != 1500*time.Millisecond || asked.electionType != 0 || (len(asked.parts) == 4) == all {
				t.Errorf("version %d: asked %+v", v, asked)
			}
			got := ""
			for _, topic := range resp.ReplicaElectionResults {
				for _, p := range topic.PartitionResult {
					got += fmt.Sprintf(", %s %d %d", topic.Topic, p.PartitionId, p.ErrorCode)
					if p.ErrorMessage.Valid != (p.ErrorCode != 0) {
						t.Errorf("version %d: %s-%d: message %+v", v, topic.Topic, p.PartitionId, p.ErrorMessage)
					}
				}
			}
			if got = got[2:]; got != want || resp.ErrorCode != 0 {
				t.Errorf("version %d: %q, want %q; code %d", v, got, want, resp.ErrorCode)
			}
		}
	}
}

// R3: an error of the whole is at the top, where the version has that.
func TestR3ElectLeadersRefused(t *testing.T) {
	r := newRig(t, richBroker())
	r.broker.elections, r.broker.electErr = nil, fmt.Errorf("%w: unclean", broker.ErrInvalidRequest)
	for v := range int16(3) {
		var resp msg.ElectLeadersResponse
		q := requests[msg.KeyElectLeaders](v).(*msg.ElectLeadersRequest)
		if v >= 1 {
			q.ElectionType = 1
		}
		r.ask(q, v, &resp)
		if v >= 1 {
			r.wantCode("at the top", resp.ErrorCode, kerr.InvalidRequest)
			if len(resp.ReplicaElectionResults) != 0 || r.broker.asked[v].(elected).electionType != 1 {
				t.Errorf("version %d: %+v", v, resp)
			}
			continue
		}
		for i, p := range resp.ReplicaElectionResults[0].PartitionResult {
			if r.wantCode("of a partition", p.ErrorCode, kerr.InvalidRequest); p.PartitionId != int32(i) {
				t.Errorf("partition %d is %d", i, p.PartitionId)
			}
		}
	}
	r.broker.asked, r.broker.electErr = nil, errors.New("not asked")
	var resp msg.ElectLeadersResponse
	r.ask(&msg.ElectLeadersRequest{TopicPartitions: []msg.ElectLeadersRequestTopicPartitions{}}, 2, &resp)
	if len(r.broker.asked) != 0 || resp.ErrorCode != 0 {
		t.Errorf("an empty list: asked %v, %+v", r.broker.asked, resp)
	}
}

// KIP-1073: brokers that have lost contact are listed for those who ask.
func TestDescribeClusterFenced(t *testing.T) {
	r := newRig(t, richBroker())
	for v, want := range map[int16]string{0: "1 2", 1: "1 2", 2: "1 2 3 fenced"} {
		q := &msg.DescribeClusterRequest{EndpointType: 1, IncludeFencedBrokers: v >= 2}
		var resp msg.DescribeClusterResponse
		r.ask(q, v, &resp)
		got := ""
		for _, b := range resp.Brokers {
			got += fmt.Sprintf(" %d", b.BrokerId)
			if b.IsFenced {
				got += " fenced"
			}
		}
		if got[1:] != want {
			t.Errorf("version %d: brokers%s, want %s", v, got, want)
		}
	}
}

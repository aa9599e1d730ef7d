package proto

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// metadataRequest asks for topics by name; nil names mean a null array, an empty slice an empty one.
func metadataRequest(version int16, create bool, names []string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = version, create
	if names != nil {
		req.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, n := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &n
		req.Topics = append(req.Topics, rt)
	}
	return req
}

func has(r *kmsg.MetadataResponse, name string) bool {
	return slices.ContainsFunc(r.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic != nil && *t.Topic == name })
}

// TestMetadata is M1 to M13.
func TestMetadata(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 3)
	cn := dial(t, b)
	for version := int16(0); version <= 13; version++ {
		t.Run(fmt.Sprintf("M1 M7 M10 v%d", version), func(t *testing.T) {
			all := metadataRequest(version, false, nil)
			if version == 0 {
				all = metadataRequest(version, false, []string{}) // empty means all, there is no null
			}
			r := ask[*kmsg.MetadataResponse](cn, all)
			if !has(r, tp.name) {
				t.Fatalf("all topics lack %s", tp.name)
			}
			equal(t, "M7 brokers", len(r.Brokers), 1)
			equal(t, "M7 address", fmt.Sprintf("%s:%d", r.Brokers[0].Host, r.Brokers[0].Port), b.Addr)
			if version >= 1 {
				equal(t, "M8 controller", r.ControllerID, r.Brokers[0].NodeID)
				none := ask[*kmsg.MetadataResponse](cn, metadataRequest(version, false, []string{}))
				equal(t, "M1 topics of an empty array", len(none.Topics), 0)
			}
			if version >= 2 && (r.ClusterID == nil || len(*r.ClusterID) != 22) {
				t.Errorf("M9 cluster id %v, want 22 characters", r.ClusterID)
			}
			one := ask[*kmsg.MetadataResponse](cn, metadataRequest(version, false, []string{tp.name}))
			equal(t, "topics", len(one.Topics), 1)
			mt := one.Topics[0]
			code(t, "topic", mt.ErrorCode, nil)
			equal(t, "partitions", len(mt.Partitions), 3)
			equal(t, "G11 internal", mt.IsInternal, false)
			if version >= 10 {
				equal(t, "M6 topic id", mt.TopicID, tp.id)
			}
			for _, p := range mt.Partitions {
				equal(t, "leader", p.Leader, r.Brokers[0].NodeID)
				equal(t, "replicas and ISR", fmt.Sprint(p.Replicas, p.ISR), fmt.Sprintf("[%d] [%d]", p.Leader, p.Leader))
				equal(t, "offline replicas", len(p.OfflineReplicas), 0)
				if version >= 7 {
					equal(t, "leader epoch", p.LeaderEpoch, 0)
				}
			}
			const notAsked = -2147483648
			if version >= 8 {
				equal(t, "M11 operations that nobody asked for", mt.AuthorizedOperations, notAsked)
			}
			if version >= 8 && version <= 10 {
				equal(t, "M11 cluster operations that nobody asked for", one.AuthorizedOperations, notAsked)
			}
		})
	}
	t.Run("M2 unknown, no creation", func(t *testing.T) {
		r := ask[*kmsg.MetadataResponse](cn, metadataRequest(9, false, []string{"nobody-made-this", "bad name"}))
		got := map[string]int16{}
		for _, mt := range r.Topics {
			got[*mt.Topic] = mt.ErrorCode
			equal(t, "partitions", len(mt.Partitions), 0)
		}
		code(t, "unknown", got["nobody-made-this"], kerr.UnknownTopicOrPartition)
		code(t, "bad name", got["bad name"], kerr.InvalidTopicException)
		if has(ask[*kmsg.MetadataResponse](cn, metadataRequest(9, false, nil)), "nobody-made-this") {
			t.Error("Metadata created a topic though it was told not to")
		}
	})
	t.Run("M5 by id", func(t *testing.T) {
		req := metadataRequest(12, false, []string{})
		for _, id := range [][16]byte{tp.id, {7, 7, 7}} {
			rt := kmsg.NewMetadataRequestTopic()
			rt.TopicID = id
			req.Topics = append(req.Topics, rt)
		}
		r := ask[*kmsg.MetadataResponse](cn, req)
		equal(t, "topics", len(r.Topics), 2)
		for _, mt := range r.Topics {
			if mt.TopicID == tp.id && mt.Topic != nil {
				code(t, "known id", mt.ErrorCode, nil)
				equal(t, "its name", *mt.Topic, tp.name)
				continue
			}
			code(t, "unknown id", mt.ErrorCode, kerr.UnknownTopicID)
			if mt.Topic != nil {
				t.Errorf("name %q of an unknown id, want null", *mt.Topic)
			}
		}
	})
	t.Run("M11 asked", func(t *testing.T) {
		req := metadataRequest(9, false, []string{tp.name})
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
		r := ask[*kmsg.MetadataResponse](cn, req)
		for name, op := range map[string]int{"read": 3, "write": 4, "delete": 6, "alter": 7, "describe": 8} {
			if r.Topics[0].AuthorizedOperations&(1<<op) == 0 {
				t.Errorf("topic operations %b lack %s", r.Topics[0].AuthorizedOperations, name)
			}
		}
		if r.AuthorizedOperations&(1<<5) == 0 {
			t.Errorf("cluster operations %b lack create", r.AuthorizedOperations)
		}
	})
}

// TestM3 creates topics on Metadata: with permission, never without, never with a bad name.
func TestM3(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: map[string]string{"num.partitions": "3"}})
	for version := int16(0); version <= 13; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			cn := dial(t, b)
			name := fmt.Sprintf("auto-%d", version)
			harness.Eventually(t, answerMax, "creation of "+name, func() error {
				r := ask[*kmsg.MetadataResponse](cn, metadataRequest(version, true, []string{name}))
				if c := r.Topics[0].ErrorCode; c != 0 {
					if c != kerr.UnknownTopicOrPartition.Code && c != kerr.LeaderNotAvailable.Code {
						t.Fatalf("Metadata: %s", codeName(c))
					}
					return fmt.Errorf("%s", codeName(c))
				}
				equal(t, "M4 partitions", len(r.Topics[0].Partitions), 3)
				return nil
			})
			if version >= 4 {
				no := name + "-not"
				r := ask[*kmsg.MetadataResponse](cn, metadataRequest(version, false, []string{no}))
				code(t, "without permission", r.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
				r = ask[*kmsg.MetadataResponse](cn, metadataRequest(version, false, []string{no}))
				code(t, "again", r.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
			}
		})
	}
	t.Run("bad name", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it takes any name")
		r := ask[*kmsg.MetadataResponse](dial(t, b), metadataRequest(9, true, []string{"bad name"}))
		code(t, "Metadata", r.Topics[0].ErrorCode, kerr.InvalidTopicException)
	})
	t.Run("switched off", func(t *testing.T) {
		b := harness.Start(t, harness.Config{Set: map[string]string{"auto.create.topics.enable": "false"}})
		cn := dial(t, b)
		for range 2 {
			r := ask[*kmsg.MetadataResponse](cn, metadataRequest(9, true, []string{"auto"}))
			code(t, "Metadata", r.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
		}
	})
}

// TestM14 pages through DescribeTopicPartitions.
func TestM14(t *testing.T) {
	b := broker(t)
	x := namedTopic(t, b, "m14-b", 3)
	y := namedTopic(t, b, "m14-a", 2)
	cn := dial(t, b)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	for _, name := range []string{x.name, y.name} {
		rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
		rt.Topic = name
		req.Topics = append(req.Topics, rt)
	}
	var got []string
	for page := range 10 {
		r := ask[*kmsg.DescribeTopicPartitionsResponse](cn, req)
		n := 0
		for _, mt := range r.Topics {
			code(t, *mt.Topic, mt.ErrorCode, nil)
			for _, p := range mt.Partitions {
				got = append(got, fmt.Sprintf("%s/%d", *mt.Topic, p.Partition))
				n++
				// Java's client dies on null here.
				if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
					t.Errorf("%s/%d: null eligible leader replicas, want an empty list", *mt.Topic, p.Partition)
				}
			}
		}
		if n > 2 {
			t.Fatalf("page %d has %d partitions, the limit is 2", page, n)
		}
		if r.NextCursor == nil {
			break
		}
		req.Cursor = new(kmsg.DescribeTopicPartitionsRequestCursor)
		req.Cursor.Topic, req.Cursor.Partition = r.NextCursor.Topic, r.NextCursor.Partition
	}
	equal(t, "all pages", strings.Join(got, " "), "m14-a/0 m14-a/1 m14-b/0 m14-b/1 m14-b/2")
	req = kmsg.NewPtrDescribeTopicPartitionsRequest()
	rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
	rt.Topic = "nobody-made-this"
	req.Topics, req.ResponsePartitionLimit = append(req.Topics, rt), 100
	r := ask[*kmsg.DescribeTopicPartitionsResponse](cn, req)
	code(t, "unknown topic", r.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
}

// TestCreateTopics is A1 to A7, one refusal a case.
func TestCreateTopics(t *testing.T) {
	b := broker(t)
	namedTopic(t, b, "a1.exists_here", 1)
	type edit func(*kmsg.CreateTopicsRequestTopic)
	assign := func(parts ...[]int32) edit {
		return func(rt *kmsg.CreateTopicsRequestTopic) {
			rt.NumPartitions, rt.ReplicationFactor = -1, -1
			for i, brokers := range parts {
				ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
				ra.Partition, ra.Replicas = int32(i), brokers
				rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
			}
		}
	}
	cfg := func(name string, value *string) edit {
		return func(rt *kmsg.CreateTopicsRequestTopic) {
			rc := kmsg.NewCreateTopicsRequestTopicConfig()
			rc.Name, rc.Value = name, value
			rt.Configs = append(rt.Configs, rc)
		}
	}
	self := ask[*kmsg.MetadataResponse](dial(t, b), metadataRequest(9, false, []string{})).Brokers[0].NodeID
	cases := []struct {
		rule  string
		name  string
		edit  edit
		want  *kerr.Error
		parts int32
	}{
		{"A1 exists", "a1.exists_here", nil, kerr.TopicAlreadyExists, 0},
		{"A1 same under folding", "a1_exists.here", nil, kerr.InvalidTopicException, 0},
		{"A1 cluster metadata", "__cluster_metadata", nil, kerr.InvalidRequest, 0},
		{"A1 null config value", "a1-null", cfg("retention.ms", nil), kerr.InvalidConfig, 0},
		{"A1 bad config value", "a1-bad", cfg("retention.ms", ptr("soon")), kerr.InvalidConfig, 0},
		{"A1 config out of range", "a1-range", cfg("segment.bytes", ptr("1000")), kerr.InvalidConfig, 0},
		{"A1 unknown config", "a1-unknown", cfg("no.such.config", ptr("1")), kerr.InvalidConfig, 0},
		{"A1 config removed in 4.0", "a1-removed", cfg("message.format.version", ptr("2.8")), kerr.InvalidConfig, 0},
		{"A2 assignment and partitions", "a2-both", func(rt *kmsg.CreateTopicsRequestTopic) {
			assign([]int32{self})(rt)
			rt.NumPartitions = 1
		}, kerr.InvalidRequest, 0},
		{"A2 empty replica list", "a2-empty", assign([]int32{}), kerr.InvalidReplicaAssignment, 0},
		{"A2 duplicate broker", "a2-dup", assign([]int32{self, self}), kerr.InvalidReplicaAssignment, 0},
		{"A2 unknown broker", "a2-unknown", assign([]int32{self + 77}), kerr.InvalidReplicaAssignment, 0},
		{"A2 gap", "a2-gap", func(rt *kmsg.CreateTopicsRequestTopic) {
			assign([]int32{self}, []int32{self})(rt)
			rt.ReplicaAssignment[1].Partition = 5
		}, kerr.InvalidReplicaAssignment, 0},
		{"A2 good", "a2-good", assign([]int32{self}, []int32{self}), nil, 2},
		{"A3 replication factor 0", "a3-0", func(rt *kmsg.CreateTopicsRequestTopic) { rt.ReplicationFactor = 0 }, kerr.InvalidReplicationFactor, 0},
		{"A3 replication factor -2", "a3-2", func(rt *kmsg.CreateTopicsRequestTopic) { rt.ReplicationFactor = -2 }, kerr.InvalidReplicationFactor, 0},
		{"A3 more replicas than brokers", "a3-3", func(rt *kmsg.CreateTopicsRequestTopic) { rt.ReplicationFactor = 3 }, kerr.InvalidReplicationFactor, 0},
		{"A3 before partitions", "a3-b", func(rt *kmsg.CreateTopicsRequestTopic) { rt.ReplicationFactor, rt.NumPartitions = 0, 0 }, kerr.InvalidReplicationFactor, 0},
		{"A3 0 partitions", "a3-p0", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions = 0 }, kerr.InvalidPartitions, 0},
		{"A3 -2 partitions", "a3-p2", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions = -2 }, kerr.InvalidPartitions, 0},
		{"A3 defaults", "a3-default", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions, rt.ReplicationFactor = -1, -1 }, nil, 1},
		{"A4 too many partitions", "a4", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions = 10_001 }, kerr.PolicyViolation, 0},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			cn := dial(t, b)
			req := createTopicRequest(c.name, 1)
			if c.edit != nil {
				c.edit(&req.Topics[0])
			}
			r := ask[*kmsg.CreateTopicsResponse](cn, req).Topics[0]
			code(t, "CreateTopics", r.ErrorCode, c.want)
			if c.want != nil {
				if r.ErrorMessage == nil || *r.ErrorMessage == "" {
					t.Error("no error message")
				}
				return
			}
			equal(t, "A6 partitions", r.NumPartitions, c.parts)
			equal(t, "A6 replication factor", r.ReplicationFactor, 1)
			equal(t, "partitions", len(metadata(cn, c.name).Partitions), int(c.parts))
		})
	}
	t.Run("A1 twice in one request", func(t *testing.T) {
		cn := dial(t, b)
		req := createTopicRequest("a1-twice", 1)
		req.Topics = append(req.Topics, req.Topics[0], createTopicRequest("a1-other", 1).Topics[0])
		r := ask[*kmsg.CreateTopicsResponse](cn, req)
		got := map[string]int16{}
		for _, rt := range r.Topics {
			got[rt.Topic] = rt.ErrorCode
		}
		code(t, "twice", got["a1-twice"], kerr.InvalidRequest)
		code(t, "once", got["a1-other"], nil)
		code(t, "metadata", metadata(cn, "a1-twice").ErrorCode, kerr.UnknownTopicOrPartition)
	})
	t.Run("A5 validate only", func(t *testing.T) {
		cn := dial(t, b)
		req := createTopicRequest("a5", 1)
		req.ValidateOnly = true
		code(t, "CreateTopics", ask[*kmsg.CreateTopicsResponse](cn, req).Topics[0].ErrorCode, nil)
		code(t, "metadata", metadata(cn, "a5").ErrorCode, kerr.UnknownTopicOrPartition)
	})
	t.Run("A6 configs", func(t *testing.T) {
		r := createTopic(dial(t, b), "a6", 1, "retention.ms", "12345")
		var names []string
		for _, c := range r.Configs {
			names = append(names, c.Name)
			if c.Name == "retention.ms" {
				equal(t, "value", *c.Value, "12345")
				equal(t, "source", c.Source, 1)
			}
		}
		if !slices.IsSorted(names) || !slices.Contains(names, "retention.ms") || !slices.Contains(names, "cleanup.policy") {
			t.Errorf("configs %v", names)
		}
	})
	for version := int16(2); version <= 7; version++ {
		t.Run(fmt.Sprintf("A7 usable at once v%d", version), func(t *testing.T) {
			cn := dial(t, b)
			for i := range 5 {
				name := fmt.Sprintf("a7-v%d-%d", version, i)
				req := createTopicRequest(name, 8)
				req.Version = version
				code(t, "CreateTopics", ask[*kmsg.CreateTopicsResponse](cn, req).Topics[0].ErrorCode, nil)
				m := metadata(cn, name)
				code(t, "metadata", m.ErrorCode, nil)
				for _, p := range m.Partitions {
					if p.ErrorCode != 0 || p.Leader < 0 {
						t.Fatalf("%s/%d right after its creation: %s, leader %d", name, p.Partition, codeName(p.ErrorCode), p.Leader)
					}
				}
				cn.appended(topic{name: name}, 7, batch{records: texts("first")}, 0)
			}
		})
	}
}

// createPartitions raises a topic's partition count.
func createPartitions(c *conn, name string, count int32, assignments ...[]int32) int16 {
	c.t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, 10_000
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = name, count
	for _, a := range assignments {
		ra := kmsg.NewCreatePartitionsRequestTopicAssignment()
		ra.Replicas = a
		rt.Assignment = append(rt.Assignment, ra)
	}
	req.Topics = append(req.Topics, rt)
	return ask[*kmsg.CreatePartitionsResponse](c, req).Topics[0].ErrorCode
}

// TestA10 grows topics.
func TestA10(t *testing.T) {
	b := broker(t)
	tp := filled(t, b, 2, 3, 10)
	cn := dial(t, b)
	code(t, "unknown", createPartitions(cn, "nobody-made-this", 3), kerr.UnknownTopicOrPartition)
	code(t, "same count", createPartitions(cn, tp.name, 2), kerr.InvalidPartitions)
	code(t, "fewer", createPartitions(cn, tp.name, 1), kerr.InvalidPartitions)
	code(t, "assignments of the wrong number", createPartitions(cn, tp.name, 4, []int32{1}), kerr.InvalidReplicaAssignment)
	code(t, "assignment to an unknown broker", createPartitions(cn, tp.name, 3, []int32{78}), kerr.InvalidReplicaAssignment)
	code(t, "grow", createPartitions(cn, tp.name, 5), nil)
	m := metadata(cn, tp.name)
	equal(t, "partitions", len(m.Partitions), 5)
	for _, p := range m.Partitions {
		if p.ErrorCode != 0 || p.Leader < 0 {
			t.Errorf("A7 partition %d right after its creation: %s, leader %d", p.Partition, codeName(p.ErrorCode), p.Leader)
		}
	}
	cn.appended(tp, 4, batch{records: texts("new")}, 0)
	equal(t, "old records", cn.end(tp, 0), 3)
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.ValidateOnly = 3, true
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = tp.name, 9
	req.Topics = append(req.Topics, rt)
	code(t, "validate only", ask[*kmsg.CreatePartitionsResponse](cn, req).Topics[0].ErrorCode, nil)
	equal(t, "partitions after validate only", len(metadata(cn, tp.name).Partitions), 5)
}

// TestDeleteTopics is A20 and A21: a topic made again under its name is another topic.
func TestDeleteTopics(t *testing.T) {
	b := broker(t)
	cn := dial(t, b)
	for version := int16(1); version <= 6; version++ {
		t.Run(fmt.Sprintf("A20 unknown v%d", version), func(t *testing.T) {
			r := deleteTopics(dial(t, b), version, kmsg.DeleteTopicsRequestTopic{Topic: ptr("nobody-made-this")})
			code(t, "DeleteTopics", r[0].ErrorCode, kerr.UnknownTopicOrPartition)
		})
	}
	t.Run("A20 by id", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		r := deleteTopics(cn, 6, kmsg.DeleteTopicsRequestTopic{TopicID: [16]byte{5, 5}})
		code(t, "unknown id", r[0].ErrorCode, kerr.UnknownTopicID)
		r = deleteTopics(cn, 6, kmsg.DeleteTopicsRequestTopic{TopicID: tp.id})
		code(t, "known id", r[0].ErrorCode, nil)
		equal(t, "id", r[0].TopicID, tp.id)
		code(t, "metadata", metadata(cn, tp.name).ErrorCode, kerr.UnknownTopicOrPartition)
	})
	t.Run("A20 name and id", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		r := deleteTopics(cn, 6, kmsg.DeleteTopicsRequestTopic{Topic: &tp.name, TopicID: tp.id})
		code(t, "both", r[0].ErrorCode, kerr.InvalidRequest)
		r = deleteTopics(cn, 6, kmsg.DeleteTopicsRequestTopic{})
		code(t, "neither", r[0].ErrorCode, kerr.InvalidRequest)
		code(t, "metadata", metadata(cn, tp.name).ErrorCode, nil)
	})
	t.Run("A21 made again", func(t *testing.T) {
		old := filled(t, b, 1, 3, 10)
		commitOffset(cn, "a21", old, 0, 2)
		deleteTopic(cn, old.name)
		code(t, "metadata", metadata(cn, old.name).ErrorCode, kerr.UnknownTopicOrPartition)
		code(t, "produce", cn.produce(old, 0, batch{records: texts("x")}).ErrorCode, kerr.UnknownTopicOrPartition)
		code(t, "produce by id", cn.produceRaw(13, -1, old, 0, batch{records: texts("x")}.bytes()).ErrorCode, kerr.UnknownTopicID)
		fresh := namedTopic(t, b, old.name, 1)
		if fresh.id == old.id {
			t.Error("the new topic has the old id")
		}
		equal(t, "end offset", cn.end(fresh, 0), 0)
		equal(t, "leader epoch", metadata(cn, fresh.name).Partitions[0].LeaderEpoch, 0)
		r := ask[*kmsg.FetchResponse](cn, fetchRequest(13, old, part{}))
		code(t, "fetch by the old id", r.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
		equal(t, "O15 committed offset", fetchOffset(cn, "a21", fresh, 0).Offset, -1)
		cn.appended(fresh, 0, batch{records: texts("first")}, 0)
	})
	t.Run("A20 deletion disabled", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it does not know the setting")
		b := harness.Start(t, harness.Config{Set: map[string]string{"delete.topic.enable": "false"}})
		tp := newTopic(t, b, 1)
		r := deleteTopics(dial(t, b), 6, kmsg.DeleteTopicsRequestTopic{Topic: &tp.name})
		code(t, "v6", r[0].ErrorCode, kerr.TopicDeletionDisabled)
		r = deleteTopics(dial(t, b), 1, kmsg.DeleteTopicsRequestTopic{Topic: &tp.name})
		code(t, "v1", r[0].ErrorCode, kerr.InvalidRequest)
	})
}

// TestTopicsSurvive holds topics, configs, partitions and deletions across SIGKILL.
func TestTopicsSurvive(t *testing.T) {
	b := harness.Start(t, harness.Config{})
	b.Owned(t)
	kept := newTopic(t, b, 2, "retention.ms", "777000")
	gone := filled(t, b, 1, 2, 10)
	cn := dial(t, b)
	code(t, "grow", createPartitions(cn, kept.name, 4), nil)
	alterConfig(cn, 2, kept.name, 0, "max.message.bytes", "5000")
	deleteTopic(cn, gone.name)
	cluster := *ask[*kmsg.MetadataResponse](cn, metadataRequest(9, false, []string{})).ClusterID
	b.Kill()
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	cn = dial(t, b)
	m := metadata(cn, kept.name)
	code(t, "kept", m.ErrorCode, nil)
	equal(t, "its id", m.TopicID, kept.id)
	equal(t, "its partitions", len(m.Partitions), 4)
	cfg := topicConfigs(cn, kept.name)
	equal(t, "retention.ms", cfg["retention.ms"].value, "777000")
	equal(t, "max.message.bytes", cfg["max.message.bytes"].value, "5000")
	code(t, "the limit holds", cn.produce(kept, 0, batch{records: []rec{{value: make([]byte, 6000)}}}).ErrorCode, kerr.MessageTooLarge)
	code(t, "gone", metadata(cn, gone.name).ErrorCode, kerr.UnknownTopicOrPartition)
	equal(t, "M9 cluster id", *ask[*kmsg.MetadataResponse](cn, metadataRequest(9, false, []string{})).ClusterID, cluster)
}

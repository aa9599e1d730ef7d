package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"chronik/internal/config"
	"chronik/kafka/batch"
	"chronik/kafka/msg"
	"chronik/node"
)

// startNode runs a node on free ports until the test ends.
func startNode(t *testing.T) (addr string) {
	t.Helper()
	dir := t.TempDir()
	// The port is free now; should somebody take it before the node does, the
	// test fails with that error.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Input{Hostname: os.Hostname, Flags: map[string]string{"data-dir": dir,
		"bind-addr": "127.0.0.1", "advertised-addr": "127.0.0.1", "kafka-port": port, "metrics-port": "0"},
		Sets: []string{"offsets.topic.num.partitions=2", "group.initial.rebalance.delay.ms=0"}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), c, node.Build{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return "127.0.0.1:" + port
}

// ask runs a command against the node and reads its answer, which must be JSON.
func ask(t *testing.T, addr, args string, answer any) {
	t.Helper()
	var out, errs bytes.Buffer
	words := append(strings.Fields(args), "--bootstrap-server", addr, "-o", "json")
	if status := run(words, nil, &out, &errs); status != 0 {
		t.Fatalf("%s: status %d, %s", args, status, errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), answer); err != nil {
		t.Fatalf("%s: %v in %s", args, err, out.String())
	}
}

// refused runs a command that must fail with that status and words.
func refused(t *testing.T, addr, args string, status int, words string) {
	t.Helper()
	var out, errs bytes.Buffer
	got := run(append(strings.Fields(args), "--bootstrap-server", addr), nil, &out, &errs)
	if got != status || !strings.Contains(errs.String(), words) || strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("%s: status %d, %q; want %d, %q", args, got, errs.String(), status, words)
	}
}

// produce appends n records to a partition.
func produce(t *testing.T, addr, topic string, partition int32, n int) {
	t.Helper()
	a := app{server: addr, timeout: waitMax}
	c, err := a.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var b batch.Builder
	for range n {
		b.Add(1, nil, []byte("v"))
	}
	records, err := b.Build(nil, batch.Plain(batch.None))
	if err != nil {
		t.Fatal(err)
	}
	var answer msg.ProduceResponse
	err = c.Call(&msg.ProduceRequest{Acks: -1, TimeoutMs: 30000, TopicData: []msg.TopicProduceData{{Name: topic,
		PartitionData: []msg.PartitionProduceData{{Index: partition, Records: records}}}}}, &answer, 9)
	if err != nil {
		t.Fatal(err)
	}
	if code := answer.Responses[0].PartitionResponses[0].ErrorCode; code != 0 {
		t.Fatalf("produce: code %d", code)
	}
}

func TestTopicsAreMadeDescribedChangedAndDeleted(t *testing.T) {
	addr := startNode(t)
	var made []done
	ask(t, addr, "topic create b a --partitions 3 --topic-config retention.ms=60000", &made)
	if len(made) != 2 || made[0].Result != "created" {
		t.Errorf("created %v", made)
	}
	refused(t, addr, "topic create a", 1, "topic a: TOPIC_ALREADY_EXISTS: ")
	ask(t, addr, "topic create c --dry-run", &made)

	var listed []listedTopic
	ask(t, addr, "topic list", &listed)
	if len(listed) != 2 || listed[0] != (listedTopic{"a", 3, 1, false}) || listed[1].Name != "b" {
		t.Errorf("listed %v", listed)
	}
	produce(t, addr, "a", 2, 5)
	ask(t, addr, "topic alter a --partitions 4 --topic-config max.message.bytes=1000 --delete-topic-config retention.ms", &made)
	var described []describedTopic
	ask(t, addr, "topic describe a", &described)
	a := described[0]
	if len(a.Partitions) != 4 || a.Partitions[2].HighWatermark != 5 || a.Partitions[1].HighWatermark != 0 || a.Partitions[2].Leader != 1 {
		t.Errorf("described %+v", a.Partitions)
	}
	if a.Configs["max.message.bytes"] != "1000" || a.Configs["retention.ms"] != "" || len(a.ID) != 32 {
		t.Errorf("settings %v, id %s", a.Configs, a.ID)
	}
	ask(t, addr, "topic delete b", &made)
	ask(t, addr, "topic list", &listed)
	if len(listed) != 1 {
		t.Errorf("left after the deletion: %v", listed)
	}
	refused(t, addr, "topic describe b", 1, "topic b: UNKNOWN_TOPIC_OR_PARTITION: ")
	refused(t, addr, "topic alter a", 2, "nothing to change")
	refused(t, addr, "topic create d --topic-config x", 2, "want name=value")
	refused(t, addr, "topic create", 2, "want the names of the topics to create")
}

func TestGroupsAreDescribedAndReset(t *testing.T) {
	addr := startNode(t)
	var made []done
	ask(t, addr, "topic create a --partitions 2", &made)
	produce(t, addr, "a", 0, 10)
	produce(t, addr, "a", 1, 4)

	var plan []resetOffset
	ask(t, addr, "group reset-offsets g --topic a --to-latest --dry-run", &plan)
	if len(plan) != 2 || plan[0] != (resetOffset{"a", 0, -1, 10}) || plan[1] != (resetOffset{"a", 1, -1, 4}) {
		t.Errorf("plan %v", plan)
	}
	ask(t, addr, "group reset-offsets g --topic a --to-offset 7", &plan)
	ask(t, addr, "group reset-offsets g --topic a:0 --to-earliest --dry-run", &plan)
	if len(plan) != 1 || plan[0] != (resetOffset{"a", 0, 7, 0}) {
		t.Errorf("plan %v", plan)
	}
	var listed []listedGroup
	ask(t, addr, "group list", &listed)
	if len(listed) != 1 || listed[0].Group != "g" || listed[0].State != "Empty" || listed[0].Coordinator != 1 {
		t.Errorf("listed %v", listed)
	}
	var described []describedGroup
	ask(t, addr, "group describe g", &described)
	g := described[0]
	if len(g.Offsets) != 2 || g.Offsets[0].Offset != 7 || g.Offsets[0].Lag != 3 || g.Offsets[1].Offset != 4 || g.Offsets[1].Lag != 0 {
		t.Errorf("offsets %+v", g.Offsets)
	}
	refused(t, addr, "group reset-offsets g --topic a", 2, "want --topic, and one of")
	refused(t, addr, "group reset-offsets g --topic a --to-latest --to-earliest", 2, "want --topic, and one of")
	refused(t, addr, "group reset-offsets g --topic a:7 --to-latest", 1, "a:7: there is no such partition")
}

// TestOffsetsOfALiveGroupStay: what is in the way is said.
func TestOffsetsOfALiveGroupStay(t *testing.T) {
	addr := startNode(t)
	var made []done
	ask(t, addr, "topic create a", &made)
	ask(t, addr, "group reset-offsets g --topic a --to-latest", &[]resetOffset{})
	a := app{server: addr, timeout: waitMax}
	c, err := a.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var joined msg.JoinGroupResponse
	join := &msg.JoinGroupRequest{GroupId: "g", SessionTimeoutMs: 60000, RebalanceTimeoutMs: 60000, ProtocolType: "consumer",
		Protocols: []msg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0}}}}
	if err := c.Call(join, &joined, 3); err != nil || joined.ErrorCode != 0 {
		t.Fatalf("join: code %d, %v", joined.ErrorCode, err)
	}
	refused(t, addr, "group reset-offsets g --topic a --to-earliest", 1, "group g has 1 members (CompletingRebalance); stop them first: ")
	refused(t, addr, "group reset-offsets g --topic a --to-earliest --dry-run", 1, "group g has 1 members")
}

func TestTheClusterTellsHowItIs(t *testing.T) {
	addr := startNode(t)
	var made []done
	ask(t, addr, "topic create a --partitions 2", &made)
	var status clusterStatus
	ask(t, addr, "cluster status", &status)
	if status.ClusterID == "" || status.Controller != 1 || status.Nodes != 1 || status.Fenced != 0 || status.Topics != 1 || status.counts != (counts{Partitions: 2}) {
		t.Errorf("status %+v", status)
	}
	var nodes []clusterNode
	ask(t, addr, "cluster list-nodes", &nodes)
	if len(nodes) != 1 || nodes[0].Addr != addr || nodes[0].State != "live" || nodes[0].Leaders != 2 || nodes[0].Replicas != 2 || !nodes[0].Controller {
		t.Errorf("nodes %+v, want the one at %s", nodes, addr)
	}
	var partitions []clusterPartition
	ask(t, addr, "cluster list-partitions", &partitions)
	if len(partitions) != 2 || partitions[1].Partition != 1 || partitions[1].Leader != 1 || len(partitions[1].ISR) != 1 {
		t.Errorf("partitions %+v", partitions)
	}
	ask(t, addr, "cluster isr-status", &partitions)
	if len(partitions) != 0 {
		t.Errorf("behind: %+v", partitions)
	}
	var one describedPartition
	ask(t, addr, "cluster partition-info a 1", &one)
	if one.Partition != 1 || one.Leader != 1 {
		t.Errorf("partition %+v", one)
	}
	var health clusterHealth
	ask(t, addr, "cluster health", &health)
	if !health.Healthy || health.Partitions != 2 {
		t.Errorf("health %+v", health)
	}
	refused(t, addr, "cluster partition-info a 9", 1, "topic a has no partition 9")
	refused(t, addr, "cluster partition-info a x", 2, "want a number")
	refused(t, addr, "cluster rebalance --dry-run", 2, "cluster rebalance is not built yet")
}

func TestWithoutABrokerTheErrorSaysSo(t *testing.T) {
	refused(t, "127.0.0.1:1", "topic list", 1, "no broker answers at 127.0.0.1:1: ")
	refused(t, "nohost", "topic list", 2, "--bootstrap-server nohost: want host:port")
}

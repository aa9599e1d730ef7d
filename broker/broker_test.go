package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/broker/producerid"
	"chronik/broker/transaction"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// rig runs a broker over an in-memory file system with all that is real
// underneath, on a clock that tests move.
type rig struct {
	*Broker
	t      *testing.T
	fs     vfs.FS
	static map[string]string
	clock  *clock.Manual
	stop   func()
}

func newRig(t *testing.T, settings ...string) *rig {
	t.Helper()
	r := &rig{t: t, fs: vfs.NewMem(), clock: clock.NewManual(time.UnixMilli(1_700_000_000_000)), static: map[string]string{
		"offsets.topic.num.partitions": "4",
		"log.segment.bytes":            "33554432", "offsets.topic.segment.bytes": "16777216", // a file in memory takes its whole length
	}}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		r.static[name] = value
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) open() error {
	log := slog.New(slog.DiscardHandler)
	syncer := wal.NewSyncer(wal.SyncerOptions{})
	states, _, err := raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: r.fs, Dir: "data/hardstate"})
	if err != nil {
		return err
	}
	host := multiraft.NewHost(multiraft.Options{NodeID: 1, HardStates: states, Logger: log, Shards: 2})
	host.Start()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r.Broker, err = Open(ctx, Options{
		NodeID: 1, Host: "localhost", Port: 9092, DataDir: "data", FS: r.fs, Syncer: syncer, Raft: host, Clock: r.clock,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), 1)), Logger: log, Metrics: metrics.Discard(), Static: r.static,
	})
	b := r.Broker
	r.stop = func() {
		r.stop = func() {}
		var errs []error
		if b != nil {
			errs = append(errs, b.Close())
		}
		if err := errors.Join(append(errs, host.Stop(context.Background()), states.Close())...); err != nil {
			r.t.Error(err)
		}
		syncer.Close()
	}
	if err != nil {
		b = nil
		r.stop()
	}
	return err
}

func (r *rig) reopen() {
	r.t.Helper()
	r.stop()
	if err := r.open(); err != nil {
		r.t.Fatal(err)
	}
}

var background = context.Background()

func (r *rig) create(name string, partitions int32, configs ...ConfigValue) CreatedTopic {
	r.t.Helper()
	got := r.CreateTopics(background, []NewTopic{{Name: name, Partitions: partitions, ReplicationFactor: 1, Configs: configs}}, time.Minute, false)[0]
	if got.Err != nil {
		r.t.Fatalf("create %s: %v", name, got.Err)
	}
	return got
}

func recordsOf(t *testing.T, o batch.BuildOptions, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	for _, v := range values {
		b.Add(1_700_000_000_000, []byte("k"), []byte(v))
	}
	raw, err := b.Build(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (r *rig) produce(topic string, partition int32, acks int16, records []byte) *ProducePartition {
	r.t.Helper()
	p := r.Produce(background, &ProduceRequest{Version: 9, Acks: acks, Timeout: time.Minute, ClientID: "test", Partitions: []ProducePartition{
		{TopicPartition: TopicPartition{Topic: topic, Partition: partition}, Records: records},
	}})
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		r.t.Fatal("no acknowledgement in a minute")
	}
	return &p.Partitions[0]
}

func (r *rig) fetch(wait time.Duration, minBytes int32, parts ...FetchPartition) (*FetchRequest, *FetchResult) {
	q := &FetchRequest{ReplicaID: -1, MaxWait: wait, MinBytes: minBytes, MaxBytes: 1 << 20, Partitions: parts}
	return q, r.Fetch(background, q)
}

func at(topic string, partition int32, offset int64) FetchPartition {
	return FetchPartition{
		TopicPartition: TopicPartition{Topic: topic, Partition: partition}, CurrentLeaderEpoch: -1, FetchOffset: offset, LastFetchedEpoch: -1, MaxBytes: 1 << 20,
	}
}

func TestTopicsOverRestart(t *testing.T) {
	r := newRig(t)
	id := r.ClusterID()
	if len(id) != 22 {
		t.Errorf("M9: cluster id %q", id)
	}
	a := r.create("a", 3, ConfigValue{Name: "retention.ms", Value: "5000"})
	r.create("b", 1)
	if got := r.produce("a", 2, -1, recordsOf(t, batch.Plain(batch.None), "x", "y")); got.Err != nil || got.BaseOffset != 0 || got.LogStart != 0 || got.LogAppendTime != -1 {
		t.Fatalf("P12: %+v", got)
	}
	r.reopen()
	if r.ClusterID() != id {
		t.Errorf("M9: cluster id %q became %q", id, r.ClusterID())
	}
	info := r.Metadata(background, MetadataRequest{All: true})
	if len(info) != 2 || info[0].Name != "a" || info[0].ID != a.ID || len(info[0].Partitions) != 3 || info[0].Partitions[2].Leader != (LeaderEpoch{ID: 1, Epoch: 1}) {
		t.Errorf("metadata after a restart: %+v", info)
	}
	if got := r.produce("a", 2, -1, recordsOf(t, batch.Plain(batch.None), "z")); got.BaseOffset != 2 {
		t.Errorf("produce after a restart: %+v", got)
	}
	d := r.DescribeConfigs([]ConfigResource{{Type: 2, Name: "a"}}, [][]string{{"retention.ms"}})
	if len(d[0].Entries) != 1 || d[0].Entries[0].Value.Value != "5000" {
		t.Errorf("config after a restart: %+v", d)
	}
}

func TestDeletedTopic(t *testing.T) {
	r := newRig(t)
	old := r.create("a", 2)
	r.produce("a", 0, -1, recordsOf(t, batch.Plain(batch.None), "x"))
	if got := r.DeleteTopics(background, []TopicRef{{ID: old.ID, ByID: true}}, time.Minute)[0]; got.Err != nil || got.Name != "a" {
		t.Fatalf("A20: %+v", got)
	}
	if got := r.produce("a", 0, -1, recordsOf(t, batch.Plain(batch.None), "x")); !errors.Is(got.Err, ErrUnknownTopicOrPartition) {
		t.Errorf("A21 produce: %v", got.Err)
	}
	if names, _ := r.fs.ReadDir("data/topics"); len(names) != 0 {
		t.Errorf("files are left: %v", names)
	}
	again := r.create("a", 1)
	if again.ID == old.ID {
		t.Error("A21: the recreated topic has the old id")
	}
	if got := r.produce("a", 0, -1, recordsOf(t, batch.Plain(batch.None), "x")); got.BaseOffset != 0 {
		t.Errorf("A21: the recreated topic starts at %d", got.BaseOffset)
	}
	for ref, want := range map[TopicRef]error{{ID: old.ID, ByID: true}: ErrUnknownTopicID, {Name: "no"}: ErrUnknownTopicOrPartition} {
		if got := r.DeleteTopics(background, []TopicRef{ref}, time.Minute)[0]; !errors.Is(got.Err, want) {
			t.Errorf("A20 %+v: %v", ref, got.Err)
		}
	}
}

func TestOrphansAndLostMetadata(t *testing.T) {
	r := newRig(t)
	r.create("a", 1)
	r.stop()
	if err := r.fs.MkdirAll("data/topics/gone-0@99"); err != nil {
		t.Fatal(err)
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	if names, _ := r.fs.ReadDir("data/topics"); len(names) != 1 || strings.HasPrefix(names[0], "gone") {
		t.Errorf("a partition that the metadata does not know is still there: %v", names)
	}
	r.stop()
	if err := errors.Join(wal.Remove(r.fs, "data/metadata"), removeAll(r.fs, "data/hardstate")); err != nil {
		t.Fatal(err)
	}
	if err := r.open(); !errors.Is(err, ErrStorage) || !strings.Contains(fmt.Sprint(err), "never known a topic") {
		t.Errorf("opened data without its metadata: %v", err)
	}
	if names, _ := r.fs.ReadDir("data/topics"); len(names) != 1 {
		t.Errorf("data without its metadata was removed: %v", names)
	}
}

func removeAll(fs vfs.FS, dir string) error {
	names, err := fs.ReadDir(dir)
	for _, n := range names {
		err = errors.Join(err, fs.Remove(dir+"/"+n))
	}
	return err
}

func TestCreateTopicRules(t *testing.T) {
	r := newRig(t, "num.partitions=3")
	r.create("a.b", 1)
	for _, c := range []struct {
		rule string
		t    NewTopic
		want error
	}{
		{"A1 exists", NewTopic{Name: "a.b", Partitions: 1, ReplicationFactor: 1}, ErrTopicExists},
		{"A1 folding", NewTopic{Name: "a_b", Partitions: 1, ReplicationFactor: 1}, ErrInvalidTopic},
		{"A1 reserved", NewTopic{Name: metadataTopic, Partitions: 1, ReplicationFactor: 1}, ErrInvalidRequest},
		{"G10 dot", NewTopic{Name: ".", Partitions: 1, ReplicationFactor: 1}, ErrInvalidTopic},
		{"G10 length", NewTopic{Name: strings.Repeat("x", 250), Partitions: 1, ReplicationFactor: 1}, ErrInvalidTopic},
		{"G10 character", NewTopic{Name: "a/b", Partitions: 1, ReplicationFactor: 1}, ErrInvalidTopic},
		{"A1 null config", NewTopic{Name: "c", Partitions: 1, ReplicationFactor: 1, Configs: []ConfigValue{{Name: "retention.ms", Null: true}}}, ErrInvalidConfig},
		{"A3 replication factor 0", NewTopic{Name: "c", Partitions: 0, ReplicationFactor: 0}, ErrInvalidReplicationFactor},
		{"A3 too many replicas", NewTopic{Name: "c", Partitions: 1, ReplicationFactor: 2}, ErrInvalidReplicationFactor},
		{"A3 partitions 0", NewTopic{Name: "c", Partitions: 0, ReplicationFactor: 1}, ErrInvalidPartitions},
		{"A4", NewTopic{Name: "c", Partitions: 10001, ReplicationFactor: 1}, ErrPolicyViolation},
		{"A4 absurd", NewTopic{Name: "c", Partitions: 1<<31 - 1, ReplicationFactor: 1}, ErrPolicyViolation},
		{"A4 assigned", NewTopic{Name: "c", Partitions: -1, ReplicationFactor: -1, Assignments: make([]Assignment, 10001)}, ErrPolicyViolation},
		{"A3 negative", NewTopic{Name: "c", Partitions: -1 << 31, ReplicationFactor: 1}, ErrInvalidPartitions},
		{"A2 both", NewTopic{Name: "c", Partitions: 1, ReplicationFactor: 1, Assignments: []Assignment{{Partition: 0, Brokers: []int32{1}}}}, ErrInvalidRequest},
		{"A2 gap", NewTopic{Name: "c", Partitions: -1, ReplicationFactor: -1, Assignments: []Assignment{{Partition: 1, Brokers: []int32{1}}}}, ErrInvalidReplicaAssignment},
		{"A2 unknown broker", NewTopic{Name: "c", Partitions: -1, ReplicationFactor: -1, Assignments: []Assignment{{Partition: 0, Brokers: []int32{2}}}}, ErrInvalidReplicaAssignment},
		{"A2 empty", NewTopic{Name: "c", Partitions: -1, ReplicationFactor: -1, Assignments: []Assignment{{Partition: 0, Brokers: nil}}}, ErrInvalidReplicaAssignment},
	} {
		if got := r.CreateTopics(background, []NewTopic{c.t}, time.Minute, false)[0]; !errors.Is(got.Err, c.want) {
			t.Errorf("%s: %v, want %v", c.rule, got.Err, c.want)
		}
	}
	dry := r.CreateTopics(background, []NewTopic{{Name: "dry", Partitions: -1, ReplicationFactor: -1}}, time.Minute, true)[0]
	if dry.Err != nil || dry.Partitions != 3 || dry.ReplicationFactor != 1 || len(dry.Configs) == 0 {
		t.Errorf("A5, A6: %+v", dry)
	}
	if _, ok := r.TopicID("dry"); ok {
		t.Error("A5: validateOnly created the topic")
	}
	twice := NewTopic{Name: "twice", Partitions: 1, ReplicationFactor: 1}
	for _, got := range r.CreateTopics(background, []NewTopic{twice, twice}, time.Minute, false) {
		if !errors.Is(got.Err, ErrInvalidRequest) {
			t.Errorf("A1 duplicate: %v", got.Err)
		}
	}
}

func TestCreatePartitions(t *testing.T) {
	r := newRig(t)
	r.create("a", 1)
	ask := func(count int32, assignments [][]int32) error {
		return r.CreatePartitions(background, []NewPartitions{{Topic: "a", Count: count, Assignments: assignments}}, time.Minute, false)[0]
	}
	for _, c := range []struct {
		count       int32
		assignments [][]int32
		want        error
	}{
		{1, nil, ErrInvalidPartitions}, {3, [][]int32{{1}}, ErrInvalidReplicaAssignment}, {2, [][]int32{{7}}, ErrInvalidReplicaAssignment}, {3, nil, nil},
		{1<<31 - 1, nil, ErrPolicyViolation}, {10004, nil, ErrPolicyViolation}, {-1 << 31, nil, ErrInvalidPartitions}, // A4
	} {
		if err := ask(c.count, c.assignments); !errors.Is(err, c.want) {
			t.Errorf("A10 %d %v: %v", c.count, c.assignments, err)
		}
	}
	if got := r.produce("a", 2, -1, recordsOf(t, batch.Plain(batch.None), "x")); got.Err != nil {
		t.Errorf("produce to a new partition: %v", got.Err)
	}
}

// TestPartitionsOfARequest: A4 is about all topics of a request together, made by whatever request.
func TestPartitionsOfARequest(t *testing.T) {
	r := newRig(t, "num.partitions=5000")
	for i := range 3 {
		r.create(fmt.Sprint("old", i), 1)
	}
	var topics []NewTopic
	var more []NewPartitions
	ask := MetadataRequest{AutoCreate: true}
	for i := range 3 {
		topics = append(topics, NewTopic{Name: fmt.Sprint("new", i), Partitions: 5000, ReplicationFactor: 1})
		more = append(more, NewPartitions{Topic: fmt.Sprint("old", i), Count: 5001})
		ask.Topics = append(ask.Topics, TopicRef{Name: fmt.Sprint("x", i)})
	}
	created := r.CreateTopics(background, topics, time.Minute, true)
	grown := r.CreatePartitions(background, more, time.Minute, true)
	for i := range 3 {
		var want error
		if i == 2 {
			want = ErrPolicyViolation
		}
		if !errors.Is(created[i].Err, want) || !errors.Is(grown[i], want) {
			t.Errorf("topic %d: created %v, grown %v, want %v", i, created[i].Err, grown[i], want)
		}
	}
	r = newRig(t, "num.partitions=10001")
	if got := r.Metadata(background, ask); !errors.Is(got[0].Err, ErrUnknownTopicOrPartition) {
		t.Errorf("M3 more than A4 allows, on demand: %v", got[0].Err)
	}
}

// TestConfigsAreDescribedOnce: all settings of a resource are told once, however often they are asked for.
func TestConfigsAreDescribedOnce(t *testing.T) {
	r := newRig(t)
	a, b := ConfigResource{Type: 4, Name: "1"}, ConfigResource{Type: 4, Name: ""}
	one := []string{"num.partitions"}
	got := r.DescribeConfigs([]ConfigResource{a, a, b, a, a}, [][]string{nil, {}, nil, one, one})
	if len(got) != 4 || got[0].Resource != a || got[1].Resource != b || len(got[0].Entries) < 50 || len(got[2].Entries) != 1 || len(got[3].Entries) != 1 {
		t.Errorf("%d results: %+v", len(got), got)
	}
}

func TestMetadataDescribesATopicOnce(t *testing.T) {
	r := newRig(t)
	a := r.create("a", 1)
	got := r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: "a"}, {Name: "no"}, {Name: "a"}, {ID: a.ID, ByID: true}, {Name: "no"}}})
	if len(got) != 3 || got[0].Name != "a" || got[1].Name != "no" || got[2].ID != a.ID {
		t.Errorf("%+v", got)
	}
}

func TestAutoCreate(t *testing.T) {
	r := newRig(t)
	ask := func(name string, allowed bool) TopicInfo {
		return r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: name}}, AutoCreate: allowed})[0]
	}
	if got := ask("a", false); !errors.Is(got.Err, ErrUnknownTopicOrPartition) {
		t.Errorf("M2: %+v", got)
	}
	if got := ask("a/b", true); !errors.Is(got.Err, ErrInvalidTopic) {
		t.Errorf("M2 bad name: %+v", got)
	}
	if got := ask("a", true); got.Err != nil || len(got.Partitions) != 1 || got.Partitions[0].Leader.ID != 1 {
		t.Errorf("M3: %+v", got)
	}
	if err := r.AlterConfigs(background, []ConfigChange{{Resource: ConfigResource{Type: 4, Name: "1"}, Replace: true, Values: []ConfigValue{{Name: "auto.create.topics.enable", Value: "false"}}}}, false)[0]; err == nil {
		t.Error("CF8: a setting that is fixed at start was changed")
	}
	fixed := newRig(t, "auto.create.topics.enable=false")
	got := fixed.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: "a"}}, AutoCreate: true})[0]
	if !errors.Is(got.Err, ErrUnknownTopicOrPartition) {
		t.Errorf("M3 switched off: %+v", got)
	}
}

// Whoever asks for a topic while another request creates it is told its
// leaders too.
func TestMetadataWaitsForCreation(t *testing.T) {
	r := newRig(t)
	const askers = 8
	for i := range 10 {
		name := fmt.Sprintf("t%d", i)
		got := make(chan TopicInfo, askers)
		for range askers {
			go func() {
				got <- r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: name}}, AutoCreate: true})[0]
			}()
		}
		for range askers {
			if info := <-got; info.Err != nil || len(info.Partitions) != 1 || info.Partitions[0].Leader.ID != 1 {
				t.Fatalf("M3: %+v", info)
			}
		}
	}
}

func TestProducerIDsAreUniqueOverRestarts(t *testing.T) {
	r := newRig(t)
	seen := map[int64]bool{}
	for range 3 {
		for range producerid.Block + 5 {
			id, epoch, err := r.InitProducerID(background, transaction.InitProducerIDRequest{ProducerID: -1, Epoch: -1}, false)
			if err != nil || epoch != 0 || seen[id] {
				t.Fatalf("T1: id %d epoch %d, seen %v: %v", id, epoch, seen[id], err)
			}
			seen[id] = true
		}
		r.reopen()
	}
	if _, _, err := r.InitProducerID(background, transaction.InitProducerIDRequest{ProducerID: 5, Epoch: -1}, false); !errors.Is(err, group.InvalidRequest) {
		t.Errorf("T3: %v", err)
	}
}

func TestAlterConfigs(t *testing.T) {
	r := newRig(t)
	r.create("a", 1)
	topic := ConfigResource{Type: 2, Name: "a"}
	value := func(name string) string {
		return r.DescribeConfigs([]ConfigResource{topic}, [][]string{{name}})[0].Entries[0].Value.Value
	}
	set := func(values ...ConfigValue) error {
		return r.AlterConfigs(background, []ConfigChange{{Resource: topic, Replace: true, Values: values}}, false)[0]
	}
	if err := set(ConfigValue{Name: "max.message.bytes", Value: "300"}); err != nil || value("max.message.bytes") != "300" {
		t.Fatalf("CF6: %v, %s", err, value("max.message.bytes"))
	}
	var be *batch.Error
	if got := r.produce("a", 0, -1, recordsOf(t, batch.Plain(batch.None), strings.Repeat("x", 400))); !errors.As(got.Err, &be) || be.Kind != batch.MessageTooLarge {
		t.Errorf("a changed config is not in force: %v", got.Err)
	}
	if err := set(ConfigValue{Name: "retention.ms", Value: "1"}); err != nil || value("max.message.bytes") != "1048588" {
		t.Errorf("CF6: what is left out keeps its override: %v, %s", err, value("max.message.bytes"))
	}
	if err := set(ConfigValue{Name: "no.such", Value: "1"}); err == nil || value("retention.ms") != "1" {
		t.Errorf("CF5: %v, %s", err, value("retention.ms"))
	}
	twice := r.AlterConfigs(background, []ConfigChange{{Resource: topic}, {Resource: topic}}, false)
	if !errors.Is(twice[0], ErrInvalidRequest) || !errors.Is(twice[1], ErrInvalidRequest) {
		t.Errorf("CF5 twice: %v", twice)
	}
	if err := r.AlterConfigs(background, []ConfigChange{{Resource: ConfigResource{Type: 4, Name: ""}, Replace: true, Values: []ConfigValue{{Name: "message.max.bytes", Value: "500"}}}}, false)[0]; err != nil || value("max.message.bytes") != "500" {
		t.Errorf("CF4: a cluster default does not reach the topic: %v, %s", err, value("max.message.bytes"))
	}
	if got := r.DescribeConfigs([]ConfigResource{{Type: 2, Name: "no"}, {Type: 4, Name: "7"}}, [][]string{nil, nil}); !errors.Is(got[0].Err, ErrUnknownTopicOrPartition) || !errors.Is(got[1].Err, ErrInvalidRequest) {
		t.Errorf("CF1: %+v", got)
	}
}

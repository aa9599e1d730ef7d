package compat

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// subject is one client under test: what it can express, what its admin API has, and how to start it.
type subject struct {
	name    string
	writes  traits
	reads   traits
	noIdem  bool     // has no idempotent producer
	noRead  string   // codec whose batches above a mebibyte it cannot read
	oldOnly bool     // kept for its old protocol versions; its admin API is not tested
	noAdmin []string // calls its admin API does not have; any other call must work
	open    func(t *testing.T, addr string) (client, error)
}

var subjects = []subject{
	{
		name: "franz-go", writes: full, reads: full,
		open: func(_ *testing.T, addr string) (client, error) { return franz{addr: addr}, nil },
	},
	{
		name: "sarama", writes: full, reads: full,
		open: func(_ *testing.T, addr string) (client, error) { return saramaClient{addr, sarama.MaxVersion}, nil },
	},
	{
		// Its Reader shows empty as nil.
		name: "kafka-go", writes: full, noIdem: true, noAdmin: []string{deleteRecords, describeLogDirs},
		reads: less(func(tr *traits) { tr.nullKeys, tr.nullValues, tr.nullHeaders = false, false, false }),
		open:  func(_ *testing.T, addr string) (client, error) { return newKafkaGo(addr), nil },
	},
	{
		// Lines on stdin: a timestamp cannot be given, an empty message is dropped or (-Z) null, only text passes
		// through delimiters, and headers cost a process a record.
		name: "kcat", writes: traits{nullKeys: true, dupHeaders: true},
		reads: less(func(tr *traits) { tr.binHeaders = false }), // it prints header values as C strings
		noAdmin: []string{createTopic, createPartitions, alterConfigs, describeConfigs, describeBroker, listOffsets, deleteRecords,
			describeLogDirs, listGroups, describeGroup, groupOffsets, alterOffsets, deleteGroup, deleteTopic},
		open: func(t *testing.T, addr string) (client, error) {
			path, err := installKcat()
			return &kcat{path, addr, harness.TempDir(t)}, err
		},
	},
	{
		name: "java", writes: full, reads: full,
		open: func(t *testing.T, addr string) (client, error) {
			cp, err := installJava()
			if err != nil {
				return nil, err
			}
			return startDriver(t, "java", "java", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
				"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", cp, "Driver", addr)
		},
	},
	{
		// It refuses null header values, and records with neither key nor value.
		name: "kafka-python", writes: less(func(tr *traits) { tr.nullHeaders, tr.nullBoth = false, false }), reads: full,
		open: func(t *testing.T, addr string) (client, error) {
			return openPython(t, "python", "kafkapython.py", addr)
		},
	},
	{
		// Debian 12's: fixed versions, found by probing; no idempotence. It gives zstd an output of 1 MiB at most where
		// the frame does not name its size.
		name: "kafka-python-2.0", oldOnly: true, noIdem: true, noRead: "zstd",
		writes: less(func(tr *traits) { tr.nullHeaders, tr.nullBoth = false, false }), reads: full,
		open: func(t *testing.T, addr string) (client, error) {
			return openPython(t, "python-2.0", "kafkapython.py", addr)
		},
	},
	{
		name: "confluent-kafka", writes: full, reads: full, noAdmin: []string{describeLogDirs},
		open: func(t *testing.T, addr string) (client, error) { return openPython(t, "python", "confluent.py", addr) },
	},
	{
		// Headers are an object: a name twice becomes an array, so the order between names is lost, and it has no null.
		name:    "kafkajs",
		writes:  less(func(tr *traits) { tr.nullHeaders, tr.dupHeaders = false, false }),
		reads:   less(func(tr *traits) { tr.nullHeaders, tr.dupHeaders = false, false }),
		noAdmin: []string{describeLogDirs},
		open: func(t *testing.T, addr string) (client, error) {
			script, err := installNode()
			if err != nil {
				return nil, err
			}
			return startDriver(t, "kafkajs", "node", script, addr)
		},
	},
}

func openPython(t *testing.T, env, script, addr string) (client, error) {
	python, err := installPython(env)
	if err != nil {
		return nil, err
	}
	return startDriver(t, env+"-"+script, python, source("python", script), addr)
}

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// selected is subjects without those that CHRONIK_COMPAT_CLIENTS (comma-separated) leaves out; a debugging aid.
func selected() []subject {
	only := os.Getenv("CHRONIK_COMPAT_CLIENTS")
	if only == "" {
		return subjects
	}
	for _, name := range strings.Split(only, ",") {
		if !slices.ContainsFunc(subjects, func(s subject) bool { return s.name == name }) {
			panic("CHRONIK_COMPAT_CLIENTS: there is no client " + name)
		}
	}
	return slices.DeleteFunc(slices.Clone(subjects), func(s subject) bool { return !containsWord(only, s.name) })
}

// settings make the broker answer group joins at once; the join delay has its own test in proto.
var settings = map[string]string{"group.initial.rebalance.delay.ms": "100", "auto.create.topics.enable": "false"}

var (
	shared     *harness.Broker
	sharedOnce sync.Once
)

// sharedBroker is the one broker of this package, or with CHRONIK_TEST_NODES the first node of its cluster; it lives until
// TestMain ends it.
func sharedBroker(t *testing.T) *harness.Broker {
	t.Helper()
	sharedOnce.Do(func() {
		if addr := os.Getenv("CHRONIK_TEST_BOOTSTRAP"); addr != "" {
			shared = &harness.Broker{Addr: addr}
			return
		}
		if _, err := harness.Binary(); err != nil {
			t.Fatal(err)
		}
		shared = harness.Start(process, harness.Config{Set: settings})
	})
	if shared == nil {
		t.Fatal("the broker did not start: see the first failure")
	}
	t.Cleanup(func() {
		if !t.Failed() || shared.Log == "" {
			return
		}
		nodes := []*harness.Broker{shared}
		if c := shared.Cluster(); c != nil {
			nodes = c.Nodes
		}
		for _, b := range nodes {
			t.Logf("log of broker %d:\n%s", b.ID, harness.Tail(b.Log, 30))
		}
	})
	return shared
}

// newTopic creates a topic with franz-go, whose admin API is checked against the others' by TestAdmin.
func newTopic(t *testing.T, b *harness.Broker, name string, parts int32, configs map[string]string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(harness.Seeds(b.Bootstrap())...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	if _, err := kadm.NewClient(c).CreateTopic(ctx, parts, replicas(t), pointers(configs), name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
	settle(t, b, name)
}

// replicas is how many each topic has.
func replicas(t testing.TB) int16 { return int16(min(3, harness.Nodes(t))) }

// settle waits until every node of a cluster knows the topic, its leaders, and that all replicas are in sync: what one
// node has done the others learn a little later, as in any Kafka cluster, and some clients give up at once.
func settle(t *testing.T, b *harness.Broker, topic string) {
	t.Helper()
	if c := b.Cluster(); c != nil {
		c.For(t).Leaders(time.Minute, topic)
		c.For(t).AwaitISR(time.Minute, harness.IDs(c.Nodes), topic)
	}
}

// produced is one topic that a client has filled.
type produced struct {
	topic   string
	codec   string
	by      subject
	records []record // with their topic
}

// TestClients lets every client produce with each codec, idempotent and not, checks each topic with franz-go's raw
// consumer (fields, order, stored codec), then lets every client consume what all of them produced.
func TestClients(t *testing.T) {
	b := sharedBroker(t)
	var mu sync.Mutex
	var all []produced
	open := map[string]client{}
	for _, s := range selected() {
		c, err := s.open(t, b.Bootstrap())
		if err != nil {
			t.Errorf("%s: cannot be installed or started: %v", s.name, err)
			continue
		}
		t.Cleanup(c.close)
		open[s.name] = c
	}
	t.Run("produce", func(t *testing.T) {
		for _, s := range selected() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				c := open[s.name]
				if c == nil {
					t.Fatal("did not start")
				}
				for _, codec := range codecs {
					for _, mode := range []string{"plain", "idempotent"} {
						if mode == "idempotent" && s.noIdem {
							continue
						}
						t.Run(codec+"/"+mode, func(t *testing.T) {
							p := produceTopic(t, b, s, c, codec, mode)
							mu.Lock()
							defer mu.Unlock()
							all = append(all, p)
						})
					}
				}
			})
		}
	})
	t.Run("consume", func(t *testing.T) {
		for _, s := range selected() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				if open[s.name] == nil {
					t.Fatal("did not start")
				}
				consumeAll(t, s, open[s.name], all)
			})
		}
	})
}

// produceTopic fills one new topic and compares it with what franz-go reads back.
func produceTopic(t *testing.T, b *harness.Broker, s subject, c client, codec, mode string) produced {
	topic := fmt.Sprintf("%s.%s.%s", s.name, codec, mode)
	newTopic(t, b, topic, partitions, map[string]string{"max.message.bytes": strconv.Itoa(4 * mib)})
	h := fnv.New64()
	h.Write([]byte(topic))
	p := produced{topic: topic, codec: codec, by: s, records: dataset(h.Sum64(), s.writes)}
	for i := range p.records {
		p.records[i].Topic = topic
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	acks := -1
	if mode == "plain" && codec == "gzip" {
		acks = 1 // one pass with the leader's word alone; idempotence needs all
	}
	offsets, err := c.produce(ctx, produceJob{Topic: topic, Codec: codec, Idempotent: mode == "idempotent", Acks: acks, Records: p.records})
	if err != nil {
		t.Fatalf("produce: %v", err)
	}
	if s.writes.offsets {
		checkOffsets(t, p.records, offsets)
	}
	raw, err := franz{addr: b.Bootstrap()}.consumeRaw(ctx, []string{topic}, len(p.records))
	if err != nil {
		t.Errorf("read back: %v", err)
	}
	got := make([]record, len(raw))
	stored := map[uint8]int{}
	for i, r := range raw {
		got[i] = fromKgo(r)
		stored[r.Attrs.CompressionType()]++
	}
	if err := diff(p.records, got, s.writes, full); err != nil {
		t.Fatal(err)
	}
	if harness.Peer() == "kfake" && s.name == "kcat" {
		return p // kfake does not advertise Produce 0, so librdkafka 2.0.2 silently sends most codecs uncompressed
	}
	if codec != "none" && stored[uint8(slices.Index(codecs, codec))] == 0 {
		t.Errorf("no batch is stored with %s: records by codec id %v", codec, stored)
	}
	t.Logf("%s: %d records, sha-256 %s", topic, len(got), digest(got))
	return p
}

func checkOffsets(t *testing.T, records []record, offsets []int64) {
	t.Helper()
	if len(offsets) != len(records) {
		t.Fatalf("%d offsets for %d records", len(offsets), len(records))
	}
	next := map[int32]int64{}
	for i, r := range records {
		if offsets[i] != next[r.Partition] {
			t.Fatalf("record %d: acknowledged with offset %d in partition %d, want %d", i, offsets[i], r.Partition, next[r.Partition])
		}
		next[r.Partition]++
	}
}

// consumeAll reads every topic with one client and compares each with what its producer sent.
func consumeAll(t *testing.T, s subject, c client, all []produced) {
	var topics []string
	count := 0
	all = slices.DeleteFunc(slices.Clone(all), func(p produced) bool { return p.codec == s.noRead })
	for _, p := range all {
		topics = append(topics, p.topic)
		count += len(p.records)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	got, err := c.consume(ctx, topics, count)
	if err != nil {
		t.Fatalf("consume %d topics: %v", len(topics), err)
	}
	by := map[string][]record{}
	for _, r := range got {
		by[r.Topic] = append(by[r.Topic], r)
	}
	for _, p := range all {
		if err := diff(p.records, by[p.topic], p.by.writes, s.reads); err != nil {
			t.Errorf("produced by %s: %v", p.by.name, err)
		}
	}
	t.Logf("%d records of %d topics, sha-256 %s", len(got), len(all), digest(got))
}

// TestGroups lets two members of each client share a topic while records arrive, checks that every record came to
// them and that the commits stand at the ends; then one member resumes and must get only what came later.
func TestGroups(t *testing.T) {
	b := sharedBroker(t)
	for _, s := range selected() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c, err := s.open(t, b.Bootstrap())
			if err != nil {
				t.Fatalf("cannot be installed or started: %v", err)
			}
			t.Cleanup(c.close)
			topic, group := "group."+s.name, "group-"+s.name
			newTopic(t, b, topic, 4, nil)
			share(t, b, c, topic, group, 2, 0, 400)
			share(t, b, c, topic, group, 1, 100, 40)
		})
	}
}

// share runs one round of a group: count records, numbered from the given offset in each of four partitions, are
// produced once every member has partitions.
func share(t *testing.T, b *harness.Broker, c client, topic, group string, members int, from int64, count int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	sent := make([]record, count)
	for i := range sent {
		sent[i] = record{
			Topic: topic, Partition: int32(i % 4), Offset: from + int64(i/4), Timestamp: baseTime,
			Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, "from %d, record %d", from, i),
		}
	}
	fail := make(chan error, 1)
	got, err := c.group(ctx, groupJob{Topic: topic, Group: group, Members: members, Count: count}, func(held [][]int32) {
		if n := len(slices.Concat(held...)); n != 4 {
			fail <- fmt.Errorf("members hold %v, want the four partitions once each", held)
		}
		if _, err := (franz{addr: b.Bootstrap()}).produce(ctx, produceJob{Topic: topic, Codec: "lz4", Idempotent: true, Acks: -1, Records: sent}); err != nil {
			fail <- err
		}
	})
	select {
	case ferr := <-fail:
		err = errors.Join(ferr, err)
	default:
	}
	if err != nil {
		t.Fatal(err)
	}
	for m, rs := range got {
		if len(rs) == 0 {
			t.Errorf("member %d of %d got no record", m, members)
		}
	}
	compareGroup(t, sent, slices.Concat(got...))
	checkCommits(t, b, group, topic, from+int64(count/4))
}

// compareGroup wants each record exactly once: nobody joined or left while they came.
func compareGroup(t *testing.T, sent, got []record) {
	t.Helper()
	want := byPartition(sent)
	have := byPartition(got)
	for name, w := range want {
		g := have[name]
		if len(g) != len(w) {
			t.Fatalf("%s: %d records produced, %d came to the group", name, len(w), len(g))
		}
		for i := range w {
			if g[i].Offset != w[i].Offset {
				t.Fatalf("%s: record %d has offset %d, want %d", name, i, g[i].Offset, w[i].Offset)
			}
			if err := same(w[i], g[i], full, full); err != nil {
				t.Fatalf("%s offset %d: %v", name, w[i].Offset, err)
			}
		}
	}
}

// checkCommits polls: a client may commit its last offsets while it leaves.
func checkCommits(t *testing.T, b *harness.Broker, group, topic string, want int64) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(harness.Seeds(b.Bootstrap())...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	harness.Eventually(t, time.Minute, "commits of "+group, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		os, err := kadm.NewClient(c).FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		for p := range int32(4) {
			if o, ok := os.Lookup(topic, p); !ok || o.At != want {
				return fmt.Errorf("partition %d: committed %d (there: %v), want %d", p, o.At, ok, want)
			}
		}
		return nil
	})
}

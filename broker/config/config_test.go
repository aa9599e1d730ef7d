package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/kafka/batch"
)

func broker(t *testing.T, l Layers) *BrokerConfig {
	t.Helper()
	b, err := ResolveBroker(l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The rows agree with the tables of Kafka's own documentation: name, type and
// default (testdata/kafka-settings.tsv).
func TestTablesAgainstKafka(t *testing.T) {
	b, err := os.ReadFile("testdata/kafka-settings.tsv")
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]*table{"topic": topicTable, "broker": brokerTable}
	counts := map[string]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		s := tables[f[0]].byName[f[1]]
		if s == nil {
			t.Errorf("%s has no %s", f[0], f[1])
			continue
		}
		def := s.Default
		if s.NoDefault {
			def = "null"
		}
		if s.Type.String() != f[2] || def != f[3] {
			t.Errorf("%s %s: %s %q, want %s %q", f[0], f[1], s.Type, def, f[2], f[3])
		}
		counts[f[0]]++
	}
	if counts["topic"] != len(topicTable.rows) || counts["topic"] != 33 || counts["broker"] < 45 {
		t.Errorf("compared %v, of %d topic settings", counts, len(topicTable.rows))
	}
}

// Every row is whole: a documented setting with a valid default, synonyms that
// exist, and for topics a default that the synonyms agree with.
func TestRows(t *testing.T) {
	for _, tb := range []*table{topicTable, brokerTable} {
		for i := range tb.rows {
			s := &tb.rows[i]
			if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") {
				t.Errorf("%s: doc %q", s.Name, s.Doc)
			}
			if !s.NoDefault {
				if err := s.Check(s.Default); err != nil {
					t.Errorf("default: %v", err)
				}
			}
			for _, y := range s.Synonyms {
				other := brokerTable.byName[y.Name]
				if other == nil {
					t.Fatalf("%s: synonym %s is no broker setting", s.Name, y.Name)
				}
				if y.Scale != 1 && other.Type != Int {
					t.Errorf("%s: synonym %s is a %s", s.Name, y.Name, other.Type)
				}
			}
		}
	}
	for i := range topicTable.rows {
		s := &topicTable.rows[i]
		value, all := new(Layers).topic(s, nil)
		if value != s.Default || len(all) == 0 || all[0].Source != FromDefault {
			t.Errorf("%s: %q through its synonyms, the table says %q", s.Name, value, s.Default)
		}
		for _, y := range s.Synonyms {
			if y := brokerTable.byName[y.Name]; y.Acts != s.Acts || !y.Dynamic {
				t.Errorf("%s and its synonym %s: acts %v and %v, dynamic %v", s.Name, y.Name, s.Acts, y.Acts, y.Dynamic)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		good  []string
		bad   []string
		valid string
	}{
		{"cleanup.policy", []string{"delete", "compact", "compact,delete", " delete , compact ", ""}, []string{"purge", "delete,", "delete,delete", ","}, "a list of compact, delete"},
		{"compression.gzip.level", []string{"-1", "1", "9"}, []string{"0", "10", "-2", "", "x"}, "1 to 9 or -1"},
		{"compression.lz4.level", []string{"1", "17"}, []string{"0", "18"}, "1 to 17"},
		{"compression.zstd.level", []string{"-131072", "0", "22"}, []string{"-131073", "23"}, "-131072 to 22"},
		{"compression.type", []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}, []string{"none", "", "GZIP"}, "one of uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"retention.ms", []string{"-1", "0", "9223372036854775807"}, []string{"-2", "9223372036854775808", "1.5"}, "at least -1"},
		{"retention.bytes", []string{"-1", "-5", "1"}, []string{"", "a"}, "any long"},
		{"max.message.bytes", []string{"0", "2147483647"}, []string{"2147483648", "-1"}, "at least 0"},
		{"segment.bytes", []string{"1048576", "2147483647"}, []string{"1048575", "14"}, "at least 1048576"},
		{"min.cleanable.dirty.ratio", []string{"0", "0.5", "1"}, []string{"1.1", "-0.1", "x", "NaN"}, "0 to 1"},
		{"preallocate", []string{"true", "false", "TRUE"}, []string{"1", "yes", ""}, "true or false"},
		{"leader.replication.throttled.replicas", []string{"", "*", "0:1,5:2"}, []string{"0", "a:1", "0:-1", "*,0:1"}, "any list"},
		{"remote.storage.enable", []string{"false"}, []string{"true"}, "true or false"},
		{"message.timestamp.type", []string{"CreateTime", "LogAppendTime"}, []string{"createtime"}, "one of CreateTime, LogAppendTime"},
	} {
		s := topicTable.byName[c.name]
		for _, v := range c.good {
			if err := s.Check(v); err != nil {
				t.Errorf("%s = %q: %v", c.name, v, err)
			}
		}
		for _, v := range c.bad {
			if k := kindOf(s.Check(v)); k != InvalidConfig {
				t.Errorf("%s = %q: %v, want it refused", c.name, v, k)
			}
		}
		if s.Valid() != c.valid {
			t.Errorf("%s: valid is %q, want %q", c.name, s.Valid(), c.valid)
		}
	}
}

func kindOf(err error) ErrorKind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// CF4: the first layer that has the setting, or a synonym of it, in its unit.
func TestTopicLayers(t *testing.T) {
	type m = map[string]string
	for _, c := range []struct {
		setting string
		topic   m
		layers  Layers
		want    string // value, then "name=value@source" in the order of precedence
	}{
		{"retention.ms", nil, Layers{}, "604800000 log.retention.hours=168@5"},
		{"retention.ms", nil, Layers{Static: m{"log.retention.hours": "2"}}, "7200000 log.retention.hours=2@4 log.retention.hours=168@5"},
		{"retention.ms", nil, Layers{Static: m{"log.retention.hours": "2", "log.retention.minutes": "3"}}, "180000 log.retention.minutes=3@4 log.retention.hours=2@4 log.retention.hours=168@5"},
		{"retention.ms", nil, Layers{Static: m{"log.retention.minutes": "3", "log.retention.ms": "7"}}, "7 log.retention.ms=7@4 log.retention.minutes=3@4 log.retention.hours=168@5"},
		{"retention.ms", nil, Layers{Static: m{"log.retention.hours": "-1"}}, "-1 log.retention.hours=-1@4 log.retention.hours=168@5"},
		{"retention.ms", nil, Layers{ClusterDefault: m{"log.retention.ms": "8"}, Static: m{"log.retention.ms": "7"}}, "8 log.retention.ms=8@3 log.retention.ms=7@4 log.retention.hours=168@5"},
		{"retention.ms", nil, Layers{Broker: m{"log.retention.ms": "9"}, ClusterDefault: m{"log.retention.ms": "8"}}, "9 log.retention.ms=9@2 log.retention.ms=8@3 log.retention.hours=168@5"},
		{"retention.ms", m{"retention.ms": "1"}, Layers{Broker: m{"log.retention.ms": "9"}}, "1 retention.ms=1@1 log.retention.ms=9@2 log.retention.hours=168@5"},
		{"segment.ms", nil, Layers{Static: m{"log.roll.hours": "1"}}, "3600000 log.roll.hours=1@4 log.roll.hours=168@5"},
		{"segment.ms", nil, Layers{Static: m{"log.roll.hours": "2147483647"}}, "7730941129200000 log.roll.hours=2147483647@4 log.roll.hours=168@5"},
		{"flush.ms", nil, Layers{Static: m{"log.flush.scheduler.interval.ms": "5"}}, "5 log.flush.scheduler.interval.ms=5@4 log.flush.scheduler.interval.ms=9223372036854775807@5"},
		{"flush.ms", nil, Layers{Static: m{"log.flush.scheduler.interval.ms": "5", "log.flush.interval.ms": "4"}}, "4 log.flush.interval.ms=4@4 log.flush.scheduler.interval.ms=5@4 log.flush.scheduler.interval.ms=9223372036854775807@5"},
		{"max.message.bytes", nil, Layers{Broker: m{"message.max.bytes": "2000"}}, "2000 message.max.bytes=2000@2 message.max.bytes=1048588@5"},
		{"preallocate", m{"preallocate": "true"}, Layers{}, "true preallocate=true@1 log.preallocate=false@5"},
		{"remote.log.copy.disable", nil, Layers{}, "false remote.log.copy.disable=false@5"},
	} {
		got := ""
		for _, e := range DescribeTopic(c.topic, broker(t, c.layers)) {
			if e.Name == c.setting {
				got = showEntry(e)
			}
		}
		if got != c.want {
			t.Errorf("%s over %v %v:\n got %s\nwant %s", c.setting, c.topic, c.layers, got, c.want)
		}
	}
}

func showEntry(e Entry) string {
	s := e.Value.Value
	for _, y := range e.Synonyms {
		s += fmt.Sprintf(" %s=%s@%d", y.Name, y.Value, y.Source)
	}
	return s
}

func TestResolveTopic(t *testing.T) {
	defaults := TopicConfig{DeleteExpired: true, Compression: batch.Keep, Levels: batch.DefaultLevels(), FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64,
		MaxMessageBytes: 1048588, TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: 3600000, MinInsyncReplicas: 1,
		RetentionBytes: -1, RetentionMs: 604800000, SegmentBytes: 1 << 30, SegmentMs: 604800000}
	for _, c := range []struct {
		name, value string
		change      func(*TopicConfig)
	}{
		{"", "", func(*TopicConfig) {}},
		{"cleanup.policy", "compact", func(c *TopicConfig) { c.Compact, c.DeleteExpired = true, false }},
		{"cleanup.policy", "compact,delete", func(c *TopicConfig) { c.Compact = true }},
		{"cleanup.policy", "", func(c *TopicConfig) { c.DeleteExpired = false }},
		{"compression.type", "lz4", func(c *TopicConfig) { c.Compression = batch.LZ4 }},
		{"compression.type", "uncompressed", func(c *TopicConfig) { c.Compression = batch.None }},
		{"compression.gzip.level", "7", func(c *TopicConfig) { c.Levels.Gzip = 7 }},
		{"compression.lz4.level", "3", func(c *TopicConfig) { c.Levels.LZ4 = 3 }},
		{"compression.zstd.level", "-5", func(c *TopicConfig) { c.Levels.Zstd = -5 }},
		{"flush.messages", "1", func(c *TopicConfig) { c.FlushMessages, c.AckBeforeSync = 1, true }},
		{"flush.ms", "0", func(c *TopicConfig) { c.FlushMs, c.AckBeforeSync = 0, true }},
		{"max.message.bytes", " 77 ", func(c *TopicConfig) { c.MaxMessageBytes = 77 }},
		{"message.timestamp.type", "LogAppendTime", func(c *TopicConfig) { c.LogAppendTime = true }},
		{"message.timestamp.before.max.ms", "5", func(c *TopicConfig) { c.TimestampBeforeMaxMs = 5 }},
		{"message.timestamp.after.max.ms", "6", func(c *TopicConfig) { c.TimestampAfterMaxMs = 6 }},
		{"min.insync.replicas", "2", func(c *TopicConfig) { c.MinInsyncReplicas = 2 }},
		{"retention.bytes", "10", func(c *TopicConfig) { c.RetentionBytes = 10 }},
		{"retention.ms", "11", func(c *TopicConfig) { c.RetentionMs = 11 }},
		{"segment.bytes", "1048576", func(c *TopicConfig) { c.SegmentBytes = 1048576 }},
		{"segment.ms", "12", func(c *TopicConfig) { c.SegmentMs = 12 }},
	} {
		overrides := map[string]string{}
		if c.name != "" {
			overrides[c.name] = c.value
		}
		got, err := ResolveTopic(overrides, broker(t, Layers{}))
		if err != nil {
			t.Fatal(err)
		}
		want := defaults
		c.change(&want)
		if *got != want {
			t.Errorf("%s = %q:\n got %+v\nwant %+v", c.name, c.value, *got, want)
		}
	}
}

func TestResolveBroker(t *testing.T) {
	b := broker(t, Layers{})
	b.layers = Layers{}
	want := &BrokerConfig{AutoCreateTopics: true, AutoLeaderRebalance: true, DeleteTopicEnable: true, NumPartitions: 1, DefaultReplicationFactor: 1,
		FetchMaxBytes: 57671680, FetchSessionsMax: 1000, SocketRequestMaxBytes: 104857600, QueuedRequestMaxBytes: -1,
		MaxConnections: math.MaxInt32, MaxConnectionsPerIP: math.MaxInt32, ConnectionsMaxIdle: 10 * time.Minute,
		ProducerIDExpiration: 24 * time.Hour, ProducerIDExpirationCheck: 10 * time.Minute, RetentionCheck: 5 * time.Minute,
		TransactionTopicPartitions: 50, TransactionTopicReplicationFactor: 3, TransactionTopicMinISR: 2,
		TransactionTimeoutMax: 15 * time.Minute, TransactionalIDExpiration: 7 * 24 * time.Hour,
		OffsetsTopicPartitions: 50, OffsetsTopicReplicationFactor: 3, OffsetsRetention: 7 * 24 * time.Hour, OffsetsRetentionCheck: 10 * time.Minute,
		OffsetMetadataMax: 4096, GroupInitialRebalanceDelay: 3 * time.Second, GroupSessionTimeoutMin: 6 * time.Second, GroupSessionTimeoutMax: 30 * time.Minute,
		GroupMembersMax: math.MaxInt32}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("defaults:\n got %+v\nwant %+v", b, want)
	}
	b = broker(t, Layers{Static: map[string]string{"auto.create.topics.enable": "false", "connections.max.idle.ms": "-1", "group.initial.rebalance.delay.ms": "0"},
		ClusterDefault: map[string]string{"message.max.bytes": "5"}})
	if b.AutoCreateTopics || b.ConnectionsMaxIdle >= 0 || b.GroupInitialRebalanceDelay != 0 {
		t.Errorf("static values are not used: %+v", b)
	}
	if c, err := ResolveTopic(nil, b); err != nil || c.MaxMessageBytes != 5 {
		t.Errorf("a dynamic default does not reach topics: %+v %v", c, err)
	}
}

// What an operator may get wrong, and what he is told.
func TestCheckStatic(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"num.partitions", "3", ""},
		{"num.partition", "3", `unknown setting "num.partition": did you mean "num.partitions"?`},
		{"log.retention.hour", "3", `unknown setting "log.retention.hour": did you mean "log.retention.hours"?`},
		{"auto.create.topic.enable", "true", `unknown setting "auto.create.topic.enable": did you mean "auto.create.topics.enable"?`},
		{"nosuch", "3", `unknown setting "nosuch": the nearest there is, is "node.id"`},
		{"replica.selector.class", "x", needless["replica.selector.class"]},
		{"num.partitions", "0", `num.partitions = "0": valid is at least 1`},
		{"num.partitions", "many", `num.partitions = "many": want a whole number, at least 1`},
		{"num.partitions", "1.5", `num.partitions = "1.5": want a whole number, at least 1`},
		{"node.id", "3", "node.id is set with --node-id"},
		{"log.dirs", "/tmp", "log.dirs is set with --data-dir"},
		{"group.min.session.timeout.ms", "1800001", "group.min.session.timeout.ms = 1800001 is more than group.max.session.timeout.ms = 1800000"},
		{"log.cleaner.max.compaction.lag.ms", "5", ""},
	} {
		got := ""
		if err := CheckStatic(map[string]string{c.name: c.value}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.name, c.value, got, c.want)
		}
	}
	if err := CheckStatic(map[string]string{"sasl.enabled.mechanisms": "PLAIN,,GSSAPI"}); kindOf(err) != InvalidConfig {
		t.Errorf("an empty element of a list: %v", err)
	}
	err := CheckStatic(map[string]string{"log.cleaner.max.compaction.lag.ms": "5", "log.cleaner.min.compaction.lag.ms": "6"})
	if kindOf(err) != InvalidConfig {
		t.Errorf("topic defaults that contradict each other: %v", err)
	}
	if got := Inert(map[string]string{"num.io.threads": "4", "num.partitions": "3", "background.threads": "1"}); !slices.Equal(got, []string{"background.threads", "num.io.threads"}) {
		t.Errorf("Inert: %v", got)
	}
}

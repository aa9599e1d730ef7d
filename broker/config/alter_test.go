package config

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// CF5: operations on a topic's overrides, all or none.
func TestAlterTopic(t *testing.T) {
	type m = map[string]string
	b := broker(t, Layers{Static: m{"log.cleaner.max.compaction.lag.ms": "1000"}})
	start := m{"retention.ms": "5", "cleanup.policy": "compact"}
	for _, c := range []struct {
		what string
		ops  []Op
		want m
		kind ErrorKind
	}{
		{"nothing", nil, start, 0},
		{"set", []Op{{Name: "retention.ms", Value: " 6 "}}, m{"retention.ms": "6", "cleanup.policy": "compact"}, 0},
		{"set another", []Op{{Name: "segment.ms", Value: "6"}}, m{"retention.ms": "5", "cleanup.policy": "compact", "segment.ms": "6"}, 0},
		{"delete", []Op{{Name: "retention.ms", Kind: Delete, Null: true}}, m{"cleanup.policy": "compact"}, 0},
		{"delete what is not set", []Op{{Name: "segment.ms", Kind: Delete}}, start, 0},
		{"append to what is set", []Op{{Name: "cleanup.policy", Kind: Append, Value: "delete"}}, m{"retention.ms": "5", "cleanup.policy": "compact,delete"}, 0},
		{"append what is there", []Op{{Name: "cleanup.policy", Kind: Append, Value: "compact"}}, start, 0},
		{"append to the default", []Op{{Name: "leader.replication.throttled.replicas", Kind: Append, Value: "0:1,1:2"}},
			m{"retention.ms": "5", "cleanup.policy": "compact", "leader.replication.throttled.replicas": "0:1,1:2"}, 0},
		{"subtract", []Op{{Name: "cleanup.policy", Kind: Subtract, Value: "compact"}}, m{"retention.ms": "5", "cleanup.policy": ""}, 0},
		{"subtract what is not there", []Op{{Name: "cleanup.policy", Kind: Subtract, Value: "delete"}}, start, 0},
		{"two", []Op{{Name: "segment.ms", Value: "6"}, {Name: "retention.ms", Kind: Delete}}, m{"cleanup.policy": "compact", "segment.ms": "6"}, 0},
		{"unknown name", []Op{{Name: "segment.ms", Value: "6"}, {Name: "message.format.version", Value: "2.0"}}, nil, InvalidConfig},
		{"bad value", []Op{{Name: "segment.ms", Value: "6"}, {Name: "retention.ms", Value: "-2"}}, nil, InvalidConfig},
		{"append a bad value", []Op{{Name: "cleanup.policy", Kind: Append, Value: "purge"}}, nil, InvalidConfig},
		{"append to a number", []Op{{Name: "retention.ms", Kind: Append, Value: "6"}}, nil, InvalidConfig},
		{"subtract from a string", []Op{{Name: "compression.type", Kind: Subtract, Value: "gzip"}}, nil, InvalidConfig},
		{"set null", []Op{{Name: "retention.ms", Null: true}}, nil, InvalidRequest},
		{"append null", []Op{{Name: "cleanup.policy", Kind: Append, Null: true}}, nil, InvalidRequest},
		{"twice", []Op{{Name: "segment.ms", Value: "6"}, {Name: "segment.ms", Value: "7"}}, nil, InvalidRequest},
		{"unknown operation", []Op{{Name: "segment.ms", Kind: 4, Value: "6"}}, nil, InvalidRequest},
		{"negative operation", []Op{{Name: "segment.ms", Kind: -1, Value: "6"}}, nil, InvalidRequest},
		{"lag above its maximum of the broker", []Op{{Name: "min.compaction.lag.ms", Value: "1001"}}, nil, InvalidConfig},
		{"lag below", []Op{{Name: "min.compaction.lag.ms", Value: "1000"}}, m{"retention.ms": "5", "cleanup.policy": "compact", "min.compaction.lag.ms": "1000"}, 0},
		{"lag below a maximum set with it", []Op{{Name: "min.compaction.lag.ms", Value: "2000"}, {Name: "max.compaction.lag.ms", Value: "2000"}},
			m{"retention.ms": "5", "cleanup.policy": "compact", "min.compaction.lag.ms": "2000", "max.compaction.lag.ms": "2000"}, 0},
	} {
		before := maps.Clone(start)
		got, err := AlterTopic(start, c.ops, b)
		if kindOf(err) != c.kind || (err == nil) != (c.kind == 0) || !maps.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v and kind %d", c.what, got, err, c.want, c.kind)
		}
		if !maps.Equal(start, before) {
			t.Fatalf("%s: the old overrides were changed: %v", c.what, start)
		}
	}
}

// CF6: AlterConfigs replaces the whole set.
// A list that is appended to, each time by no more than a request's string holds, ends where it could not be kept.
func TestValuesAreBounded(t *testing.T) {
	b := broker(t, Layers{})
	const name = "leader.replication.throttled.replicas"
	values := map[string]string{}
	for i := range 5 {
		var list []string
		for j := range 1000 {
			list = append(list, fmt.Sprintf("%d:%d", 1000+i, 1000+j))
		}
		next, err := AlterTopic(values, []Op{{Name: name, Kind: Append, Value: strings.Join(list, ",")}}, b)
		var refused *Error
		if want := i >= 3; (err != nil) != want || want && (!errors.As(err, &refused) || refused.Kind != InvalidConfig) {
			t.Fatalf("%d bytes and 10,000 more: %v", len(values[name]), err)
		}
		if err == nil {
			values = next
		}
	}
	if n := len(values[name]); n != 29_999 {
		t.Errorf("the value has %d bytes", n)
	}
}

func TestReplaceTopic(t *testing.T) {
	b := broker(t, Layers{})
	got, err := ReplaceTopic([]Op{{Name: "retention.ms", Value: "6"}}, b)
	if err != nil || !maps.Equal(got, map[string]string{"retention.ms": "6"}) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := ReplaceTopic(nil, b); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v %v", got, err)
	}
	if _, err := ReplaceTopic([]Op{{Name: "retention.ms", Null: true}}, b); kindOf(err) != InvalidRequest {
		t.Errorf("null: %v", err)
	}
}

// CF8: what cannot change at run time, and what can.
func TestAlterBroker(t *testing.T) {
	type m = map[string]string
	l := Layers{Broker: m{"log.retention.ms": "5"}, ClusterDefault: m{"compression.type": "gzip"}}
	for _, c := range []struct {
		what    string
		target  Source
		replace bool
		ops     []Op
		want    m
		kind    ErrorKind
	}{
		{"this broker", FromBroker, false, []Op{{Name: "message.max.bytes", Value: "9"}}, m{"log.retention.ms": "5", "message.max.bytes": "9"}, 0},
		{"all brokers", FromClusterDefault, false, []Op{{Name: "message.max.bytes", Value: "9"}}, m{"compression.type": "gzip", "message.max.bytes": "9"}, 0},
		{"replace", FromBroker, true, []Op{{Name: "message.max.bytes", Value: "9"}}, m{"message.max.bytes": "9"}, 0},
		{"append", FromBroker, false, []Op{{Name: "log.cleanup.policy", Kind: Append, Value: "compact"}}, m{"log.retention.ms": "5", "log.cleanup.policy": "delete,compact"}, 0},
		{"static", FromBroker, false, []Op{{Name: "num.partitions", Value: "9"}}, nil, InvalidRequest},
		{"static, deleted", FromBroker, false, []Op{{Name: "node.id", Kind: Delete}}, nil, InvalidRequest},
		{"unknown", FromBroker, false, []Op{{Name: "message.max.byte", Value: "9"}}, nil, InvalidConfig},
		{"a topic's name", FromBroker, false, []Op{{Name: "retention.ms", Value: "9"}}, nil, InvalidConfig},
		{"bad value", FromClusterDefault, false, []Op{{Name: "message.max.bytes", Value: "-9"}}, nil, InvalidConfig},
		{"contradiction", FromBroker, false, []Op{{Name: "log.cleaner.max.compaction.lag.ms", Value: "1"}, {Name: "log.cleaner.min.compaction.lag.ms", Value: "2"}}, nil, InvalidConfig},
	} {
		do := AlterBroker
		if c.replace {
			do = ReplaceBroker
		}
		got, err := do(l, c.target, c.ops)
		if kindOf(err) != c.kind || (err == nil) != (c.kind == 0) || !maps.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v and kind %d", c.what, got, err, c.want, c.kind)
		}
	}
	if len(l.Broker) != 1 || len(l.ClusterDefault) != 1 {
		t.Errorf("the layers were changed: %v", l)
	}
}

// CF3: type, source, read-only and null of broker settings.
func TestDescribeBroker(t *testing.T) {
	b := broker(t, Layers{
		Broker: map[string]string{"message.max.bytes": "3"}, ClusterDefault: map[string]string{"message.max.bytes": "2", "compression.type": "lz4"},
		Static: map[string]string{"message.max.bytes": "1", "node.id": "7", "log.dir": "/data", "num.partitions": "4", "log.retention.hours": "1"}})
	got := map[string]string{}
	entries := DescribeBroker(b)
	for i, e := range entries {
		if i > 0 && entries[i-1].Name >= e.Name {
			t.Errorf("%s is not in order", e.Name)
		}
		got[e.Name] = fmt.Sprintf("%s null=%v source=%d type=%d readonly=%v", showEntry(e), e.Null, e.Source, e.Type, e.ReadOnly)
	}
	for name, want := range map[string]string{
		"message.max.bytes":     "3 message.max.bytes=3@2 message.max.bytes=2@3 message.max.bytes=1@4 message.max.bytes=1048588@5 null=false source=2 type=3 readonly=false",
		"compression.type":      "lz4 compression.type=lz4@3 compression.type=producer@5 null=false source=3 type=2 readonly=false",
		"node.id":               "7 node.id=7@4 null=false source=4 type=3 readonly=true",
		"broker.id":             "7 node.id=7@4 null=false source=4 type=3 readonly=true",
		"log.dirs":              "/data log.dir=/data@4 null=false source=4 type=7 readonly=true",
		"broker.rack":           " null=true source=5 type=2 readonly=true",
		"num.partitions":        "4 num.partitions=4@4 num.partitions=1@5 null=false source=4 type=3 readonly=true",
		"delete.topic.enable":   "true delete.topic.enable=true@5 null=false source=5 type=1 readonly=true",
		"log.retention.hours":   "1 log.retention.hours=1@4 log.retention.hours=168@5 null=false source=4 type=3 readonly=false",
		"log.retention.minutes": " log.retention.hours=1@4 log.retention.hours=168@5 null=true source=4 type=3 readonly=false",
		"log.retention.ms":      " log.retention.hours=1@4 log.retention.hours=168@5 null=true source=4 type=5 readonly=false",

		"default.replication.factor":      "1 default.replication.factor=1@5 null=false source=5 type=4 readonly=true",
		"log.cleaner.min.cleanable.ratio": "0.5 log.cleaner.min.cleanable.ratio=0.5@5 null=false source=5 type=6 readonly=false",
	} {
		if got[name] != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got[name], want)
		}
	}
	if len(entries) != len(BrokerSettings()) {
		t.Errorf("%d entries, %d settings", len(entries), len(BrokerSettings()))
	}
	defaults := ""
	for _, e := range DescribeClusterDefaults(b) {
		defaults += fmt.Sprintf("%s=%s type=%d readonly=%v\n", e.Name, showEntry(e), e.Type, e.ReadOnly)
	}
	want := "compression.type=lz4 compression.type=lz4@3 type=2 readonly=false\nmessage.max.bytes=2 message.max.bytes=2@3 type=3 readonly=false\n"
	if defaults != want {
		t.Errorf("cluster defaults:\n%swant\n%s", defaults, want)
	}
}

// A sensitive value never leaves.
func TestDescribeSensitive(t *testing.T) {
	s := &Setting{Name: "secret", Type: String, Sensitive: true}
	e := entry(s, "hush", []Value{{Name: "secret", Value: "hush", Source: FromStatic}}, true)
	if !e.Null || !e.Synonyms[0].Null || showEntry(e) != " secret=@4" || !e.Sensitive {
		t.Errorf("%+v", e)
	}
}

package proto

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// setting is one entry of a DescribeConfigs answer.
type setting struct {
	value    string
	source   int8
	readOnly bool
	kind     int8
	synonyms int
}

func describeRequest(version int16, kind kmsg.ConfigResourceType, name string, keys []string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = version
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName, rr.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, rr)
	return req
}

func describeConfigs(c *conn, version int16, kind kmsg.ConfigResourceType, name string, keys []string) (int16, map[string]setting) {
	c.t.Helper()
	req := describeRequest(version, kind, name, keys)
	req.IncludeSynonyms = true
	r := ask[*kmsg.DescribeConfigsResponse](c, req)
	equal(c.t, "resources", len(r.Resources), 1)
	m := map[string]setting{}
	for _, e := range r.Resources[0].Configs {
		v := "null"
		if e.Value != nil {
			v = *e.Value
		}
		m[e.Name] = setting{v, int8(e.Source), e.ReadOnly, int8(e.ConfigType), len(e.ConfigSynonyms)}
	}
	return r.Resources[0].ErrorCode, m
}

func topicConfigs(c *conn, name string) map[string]setting {
	c.t.Helper()
	code16, m := describeConfigs(c, 4, kmsg.ConfigResourceTypeTopic, name, nil)
	code(c.t, "DescribeConfigs", code16, nil)
	return m
}

// alterOps builds IncrementalAlterConfigs; ops alternate operation (int), name and value (string or nil).
func alterOps(c *conn, kind int8, name string, validate bool, ops ...any) int16 {
	c.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = 1, validate
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceType(kind), name
	for i := 0; i < len(ops); i += 3 {
		rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		rc.Op, rc.Name = kmsg.IncrementalAlterConfigOp(ops[i].(int)), ops[i+1].(string)
		if v, ok := ops[i+2].(string); ok {
			rc.Value = &v
		}
		rr.Configs = append(rr.Configs, rc)
	}
	req.Resources = append(req.Resources, rr)
	return ask[*kmsg.IncrementalAlterConfigsResponse](c, req).Resources[0].ErrorCode
}

func alterConfig(c *conn, kind int8, name string, op int, key, value string) {
	c.t.Helper()
	code(c.t, "IncrementalAlterConfigs", alterOps(c, kind, name, false, op, key, value), nil)
}

// TestConfigDefaults compares every topic config with Kafka 4.3's name, default and type.
func TestConfigDefaults(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it has a part of the table")
	b := broker(t)
	got := topicConfigs(dial(t, b), newTopic(t, b, 1).name)
	const boolean, str, integer, long, double, list = 1, 2, 3, 5, 6, 7
	want := map[string]struct {
		value string
		kind  int8
	}{
		"cleanup.policy": {"delete", list}, "compression.gzip.level": {"-1", integer}, "compression.lz4.level": {"9", integer},
		"compression.type": {"producer", str}, "compression.zstd.level": {"3", integer}, "delete.retention.ms": {"86400000", long},
		"file.delete.delay.ms": {"60000", long}, "index.interval.bytes": {"4096", integer}, "max.compaction.lag.ms": {"9223372036854775807", long},
		"max.message.bytes": {"1048588", integer}, "message.timestamp.after.max.ms": {"3600000", long},
		"message.timestamp.before.max.ms": {"9223372036854775807", long}, "message.timestamp.type": {"CreateTime", str},
		"min.cleanable.dirty.ratio": {"0.5", double}, "min.compaction.lag.ms": {"0", long}, "min.insync.replicas": {"1", integer},
		"preallocate": {"false", boolean}, "retention.bytes": {"-1", long}, "retention.ms": {"604800000", long},
		"segment.bytes": {"1073741824", integer}, "segment.index.bytes": {"10485760", integer}, "segment.jitter.ms": {"0", long},
		"segment.ms": {"604800000", long}, "unclean.leader.election.enable": {"false", boolean},
		"leader.replication.throttled.replicas": {"", list}, "follower.replication.throttled.replicas": {"", list},
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if g.value != w.value || g.kind != w.kind || g.source != 5 || g.readOnly {
			t.Errorf("%s: %+v, want value %s, type %d, source 5, not read-only", name, g, w.value, w.kind)
		}
	}
	for _, name := range []string{"message.format.version", "message.downconversion.enable", "message.timestamp.difference.max.ms"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is there, Kafka 4 removed it", name)
		}
	}
	for _, name := range []string{"flush.messages", "flush.ms"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name) // its value states how durable an acknowledgement is: the design's own
		}
	}
}

// TestDescribeConfigs is CF1 to CF4.
func TestDescribeConfigs(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "its sources, synonyms and broker id differ")
	b := harness.Start(t, harness.Config{Set: map[string]string{"log.retention.ms": "1000000", "num.partitions": "2"}})
	cn := dial(t, b)
	tp := newTopic(t, b, 1, "max.message.bytes", "2000")
	for version := int16(1); version <= 4; version++ {
		c, got := describeConfigs(cn, version, kmsg.ConfigResourceTypeTopic, tp.name, []string{"max.message.bytes", "retention.ms", "no.such.config"})
		code(t, "CF1", c, nil)
		equal(t, "CF2 entries for two known keys and one unknown", len(got), 2)
		equal(t, "CF4 topic override", got["max.message.bytes"].value, "2000")
		equal(t, "CF3 source of a topic override", got["max.message.bytes"].source, 1)
		equal(t, "CF4 broker setting by its synonym", got["retention.ms"].value, "1000000")
		equal(t, "CF3 source of a static broker setting", got["retention.ms"].source, 4)
		if got["max.message.bytes"].synonyms < 2 {
			t.Errorf("CF3 synonyms of an override: %d, want override and default", got["max.message.bytes"].synonyms)
		}
	}
	c, _ := describeConfigs(cn, 4, kmsg.ConfigResourceTypeTopic, "nobody-made-this", nil)
	code(t, "CF1 unknown topic", c, kerr.UnknownTopicOrPartition)
	c, _ = describeConfigs(cn, 4, kmsg.ConfigResourceTypeBroker, "77", nil)
	code(t, "CF1 wrong broker", c, kerr.InvalidRequest)
	c, _ = describeConfigs(cn, 4, kmsg.ConfigResourceTypeBroker, "one", nil)
	code(t, "CF1 broker that is no number", c, kerr.InvalidRequest)
	c, got := describeConfigs(cn, 4, kmsg.ConfigResourceTypeBroker, "1", nil)
	code(t, "broker", c, nil)
	for name, want := range map[string]string{
		"num.partitions": "2", "message.max.bytes": "1048588", "auto.create.topics.enable": "true", "log.retention.ms": "1000000",
		"group.max.session.timeout.ms": "1800000", "offsets.retention.minutes": "10080", "compression.type": "producer",
		"socket.request.max.bytes": "104857600", "fetch.max.bytes": "57671680", "default.replication.factor": "1",
	} {
		if got[name].value != want {
			t.Errorf("broker config %s: %q, want %q", name, got[name].value, want)
		}
	}
	none := describeRequest(4, kmsg.ConfigResourceTypeTopic, tp.name, []string{"retention.ms"})
	r := ask[*kmsg.DescribeConfigsResponse](cn, none)
	equal(t, "synonyms that nobody asked for", len(r.Resources[0].Configs[0].ConfigSynonyms), 0)
	none.IncludeDocumentation = true
	r = ask[*kmsg.DescribeConfigsResponse](cn, none)
	if d := r.Resources[0].Configs[0].Documentation; d == nil || *d == "" {
		t.Error("CF3 no documentation though asked for")
	}
}

// TestIncrementalAlter is CF5.
func TestIncrementalAlter(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it checks less")
	b := broker(t)
	cn := dial(t, b)
	tp := newTopic(t, b, 1)
	const set, del, add, sub = 0, 1, 2, 3
	steps := []struct {
		what string
		ops  []any
		want *kerr.Error
		key  string
		now  string
	}{
		{"set", []any{set, "retention.ms", "5000"}, nil, "retention.ms", "5000"},
		{"delete", []any{del, "retention.ms", nil}, nil, "retention.ms", "604800000"},
		{"delete of an unset key", []any{del, "retention.ms", nil}, nil, "retention.ms", "604800000"},
		{"append", []any{add, "cleanup.policy", "compact"}, nil, "cleanup.policy", "delete,compact"},
		{"append what is there", []any{add, "cleanup.policy", "compact"}, nil, "cleanup.policy", "delete,compact"},
		{"subtract", []any{sub, "cleanup.policy", "delete"}, nil, "cleanup.policy", "compact"},
		{"append to a number", []any{add, "retention.ms", "1"}, kerr.InvalidConfig, "retention.ms", "604800000"},
		{"unknown key", []any{set, "no.such.config", "1"}, kerr.InvalidConfig, "retention.ms", "604800000"},
		{"bad value", []any{set, "retention.ms", "x"}, kerr.InvalidConfig, "retention.ms", "604800000"},
		{"null value", []any{set, "retention.ms", nil}, kerr.InvalidRequest, "retention.ms", "604800000"},
		{"duplicate key", []any{set, "retention.ms", "1", set, "retention.ms", "2"}, kerr.InvalidRequest, "retention.ms", "604800000"},
		{"all or nothing", []any{set, "retention.ms", "99", set, "segment.bytes", "5"}, kerr.InvalidConfig, "retention.ms", "604800000"},
		{"cross check", []any{set, "min.compaction.lag.ms", "10", set, "max.compaction.lag.ms", "5"}, kerr.InvalidConfig, "min.compaction.lag.ms", "0"},
	}
	for _, s := range steps {
		code(t, s.what, alterOps(cn, 2, tp.name, false, s.ops...), s.want)
		equal(t, s.what+": "+s.key, topicConfigs(cn, tp.name)[s.key].value, s.now)
	}
	code(t, "validate only", alterOps(cn, 2, tp.name, true, set, "retention.ms", "1"), nil)
	equal(t, "after validate only", topicConfigs(cn, tp.name)["retention.ms"].value, "604800000")
	code(t, "unknown topic", alterOps(cn, 2, "nobody-made-this", false, set, "retention.ms", "1"), kerr.UnknownTopicOrPartition)
	code(t, "CF8 a broker setting fixed at start", alterOps(cn, 4, "1", false, set, "offsets.topic.num.partitions", "7"), kerr.InvalidRequest)
}

// TestConfigTakesEffect shows that an altered limit is the one that is checked.
func TestConfigTakesEffect(t *testing.T) {
	b := broker(t)
	cn := dial(t, b)
	tp := newTopic(t, b, 1)
	big := batch{records: []rec{{value: make([]byte, 50_000)}}}
	cn.appended(tp, 0, big, 0)
	alterConfig(cn, 2, tp.name, 0, "max.message.bytes", "10000")
	code(t, "over the new limit", cn.produce(tp, 0, big).ErrorCode, kerr.MessageTooLarge)
	alterConfig(cn, 2, tp.name, 0, "max.message.bytes", "100000")
	cn.appended(tp, 0, big, 1)
}

// TestAlterConfigs is CF6: the old call replaces all overrides.
func TestAlterConfigs(t *testing.T) {
	b := broker(t)
	for version := range int16(3) {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			cn := dial(t, b)
			tp := newTopic(t, b, 1, "retention.ms", "5000", "max.message.bytes", "6000")
			alter := func(key string, value *string) int16 {
				req := kmsg.NewPtrAlterConfigsRequest()
				req.Version = version
				rr := kmsg.NewAlterConfigsRequestResource()
				rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, tp.name
				rc := kmsg.NewAlterConfigsRequestResourceConfig()
				rc.Name, rc.Value = key, value
				rr.Configs = append(rr.Configs, rc)
				req.Resources = append(req.Resources, rr)
				return ask[*kmsg.AlterConfigsResponse](cn, req).Resources[0].ErrorCode
			}
			code(t, "alter", alter("max.message.bytes", ptr("7000")), nil)
			got := topicConfigs(cn, tp.name)
			equal(t, "named", got["max.message.bytes"].value, "7000")
			equal(t, "omitted: back to the default", got["retention.ms"].value, "604800000")
			harness.SkipOnPeer(t, "kfake", "it takes null for a deletion")
			code(t, "null value", alter("retention.ms", nil), kerr.InvalidRequest)
		})
	}
}

// TestD1 describes the cluster.
func TestD1(t *testing.T) {
	b := broker(t)
	cn := dial(t, b)
	for version := range int16(3) {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.Version, req.EndpointType = version, 1
		r := ask[*kmsg.DescribeClusterResponse](cn, req)
		code(t, "DescribeCluster", r.ErrorCode, nil)
		equal(t, "brokers", len(r.Brokers), 1)
		equal(t, "address", fmt.Sprintf("%s:%d", r.Brokers[0].Host, r.Brokers[0].Port), b.Addr)
		equal(t, "cluster id", r.ClusterID, *ask[*kmsg.MetadataResponse](cn, metadataRequest(9, false, []string{})).ClusterID)
		equal(t, "operations that nobody asked for", r.ClusterAuthorizedOperations, -2147483648)
	}
	harness.SkipOnPeer(t, "kfake", "it ignores the endpoint type")
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version, req.EndpointType = 1, 2
	code(t, "endpoint type 2 on a broker", ask[*kmsg.DescribeClusterResponse](cn, req).ErrorCode, kerr.MismatchedEndpointType)
	req.EndpointType = 3
	code(t, "endpoint type 3", ask[*kmsg.DescribeClusterResponse](cn, req).ErrorCode, kerr.UnsupportedEndpointType)
}

// TestR4 describes log dirs: sizes follow what was produced.
func TestR4(t *testing.T) {
	b := broker(t)
	tp := filled(t, b, 2, 10, 10_000)
	cn := dial(t, b)
	for version := int16(1); version <= 5; version++ {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Version = version
		rt := kmsg.NewDescribeLogDirsRequestTopic()
		rt.Topic, rt.Partitions = tp.name, []int32{0, 1}
		req.Topics = append(req.Topics, rt)
		r := ask[*kmsg.DescribeLogDirsResponse](cn, req)
		code(t, "DescribeLogDirs", r.ErrorCode, nil)
		sizes := map[int32]int64{}
		for _, d := range r.Dirs {
			code(t, d.Dir, d.ErrorCode, nil)
			for _, dt := range d.Topics {
				equal(t, "topic", dt.Topic, tp.name)
				for _, p := range dt.Partitions {
					sizes[p.Partition] = p.Size
					equal(t, "offset lag", p.OffsetLag, 0)
					equal(t, "future", p.IsFuture, false)
				}
			}
		}
		equal(t, "partitions", len(sizes), 2)
		if sizes[0] < 100_000 || sizes[0] > 200_000 || sizes[1] > 10_000 {
			t.Errorf("v%d: sizes %v after 100 kB in partition 0", version, sizes)
		}
	}
}

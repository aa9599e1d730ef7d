package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"chronik/kafka/batch"
)

// TopicConfig is what a topic's settings come to: the ones the broker acts on.
type TopicConfig struct {
	Compact       bool // cleanup.policy has compact: records need keys
	DeleteExpired bool // cleanup.policy has delete: retention applies

	Compression batch.Codec // batch.Keep for producer
	Levels      batch.Levels

	FlushMessages int64 // math.MaxInt64: not set
	FlushMs       int64 // math.MaxInt64: not set
	// AckBeforeSync: the topic opted out of syncing before acknowledging, by
	// setting flush.messages or flush.ms.
	AckBeforeSync bool

	MaxMessageBytes      int
	LogAppendTime        bool
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
	MinInsyncReplicas    int

	RetentionBytes int64 // negative: without limit
	RetentionMs    int64 // -1: without limit
	SegmentBytes   int64
	SegmentMs      int64
}

// ResolveTopic gives a topic's settings: its overrides over the broker's layers.
func ResolveTopic(overrides map[string]string, b *BrokerConfig) (*TopicConfig, error) {
	if err := topicTable.checkAll(overrides); err != nil {
		return nil, err
	}
	r := resolver{table: topicTable, get: func(s *Setting) string {
		v, _ := b.layers.topic(s, overrides)
		return v
	}}
	if least, most := r.int("min.compaction.lag.ms"), r.int("max.compaction.lag.ms"); least > most {
		return nil, invalidConfig("min.compaction.lag.ms", "min.compaction.lag.ms = %d is more than max.compaction.lag.ms = %d", least, most)
	}
	policy := r.list("cleanup.policy")
	codec, ok := batch.ParseCodec(r.string("compression.type"))
	if !ok {
		panic("BUG: compression.type " + r.string("compression.type") + " was not checked")
	}
	c := &TopicConfig{
		Compact:              slices.Contains(policy, "compact"),
		DeleteExpired:        slices.Contains(policy, "delete"),
		Compression:          codec,
		Levels:               batch.Levels{Gzip: int(r.int("compression.gzip.level")), LZ4: int(r.int("compression.lz4.level")), Zstd: int(r.int("compression.zstd.level"))},
		FlushMessages:        r.int("flush.messages"),
		FlushMs:              r.int("flush.ms"),
		MaxMessageBytes:      int(r.int("max.message.bytes")),
		LogAppendTime:        r.string("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs: r.int("message.timestamp.before.max.ms"),
		TimestampAfterMaxMs:  r.int("message.timestamp.after.max.ms"),
		MinInsyncReplicas:    int(r.int("min.insync.replicas")),
		RetentionBytes:       r.int("retention.bytes"),
		RetentionMs:          r.int("retention.ms"),
		SegmentBytes:         r.int("segment.bytes"),
		SegmentMs:            r.int("segment.ms"),
	}
	c.AckBeforeSync = c.FlushMessages != math.MaxInt64 || c.FlushMs != math.MaxInt64
	return c, nil
}

// BrokerConfig is what a broker's settings come to: the ones it acts on, and
// the layers that its topics fall back to.
type BrokerConfig struct {
	layers Layers

	AutoCreateTopics         bool
	AutoLeaderRebalance      bool
	DeleteTopicEnable        bool
	NumPartitions            int32
	DefaultReplicationFactor int16

	FetchMaxBytes         int32
	FetchSessionsMax      int
	SocketRequestMaxBytes int32
	QueuedRequestMaxBytes int64 // -1: the broker chooses
	MaxConnections        int
	MaxConnectionsPerIP   int
	ConnectionsMaxIdle    time.Duration // negative: never

	ProducerIDExpiration      time.Duration
	ProducerIDExpirationCheck time.Duration
	RetentionCheck            time.Duration

	OffsetsTopicPartitions        int32
	OffsetsTopicReplicationFactor int16
	OffsetsRetention              time.Duration
	OffsetsRetentionCheck         time.Duration
	OffsetMetadataMax             int // characters
	GroupInitialRebalanceDelay    time.Duration
	GroupSessionTimeoutMin        time.Duration
	GroupSessionTimeoutMax        time.Duration
	GroupMembersMax               int

	TransactionTopicPartitions        int32
	TransactionTopicReplicationFactor int16
	TransactionTopicMinISR            int
	TransactionTimeoutMax             time.Duration
	TransactionalIDExpiration         time.Duration
}

// ResolveBroker checks the layers and gives what they come to.
func ResolveBroker(l Layers) (*BrokerConfig, error) {
	for _, values := range []map[string]string{l.Broker, l.ClusterDefault, l.Static} {
		if err := brokerTable.checkAll(values); err != nil {
			return nil, err
		}
	}
	r := resolver{table: brokerTable, get: func(s *Setting) string {
		v, _ := l.broker(s)
		return v
	}}
	c := &BrokerConfig{
		layers:                   l,
		AutoCreateTopics:         r.bool("auto.create.topics.enable"),
		AutoLeaderRebalance:      r.bool("auto.leader.rebalance.enable"),
		DeleteTopicEnable:        r.bool("delete.topic.enable"),
		NumPartitions:            int32(r.int("num.partitions")),
		DefaultReplicationFactor: int16(r.int("default.replication.factor")),

		FetchMaxBytes:         int32(r.int("fetch.max.bytes")),
		FetchSessionsMax:      int(r.int("max.incremental.fetch.session.cache.slots")),
		SocketRequestMaxBytes: int32(r.int("socket.request.max.bytes")),
		QueuedRequestMaxBytes: r.int("queued.max.request.bytes"),
		MaxConnections:        int(r.int("max.connections")),
		MaxConnectionsPerIP:   int(r.int("max.connections.per.ip")),
		ConnectionsMaxIdle:    r.duration("connections.max.idle.ms", time.Millisecond),

		ProducerIDExpiration:      r.duration("producer.id.expiration.ms", time.Millisecond),
		ProducerIDExpirationCheck: r.duration("producer.id.expiration.check.interval.ms", time.Millisecond),
		RetentionCheck:            r.duration("log.retention.check.interval.ms", time.Millisecond),

		OffsetsTopicPartitions:        int32(r.int("offsets.topic.num.partitions")),
		OffsetsTopicReplicationFactor: int16(r.int("offsets.topic.replication.factor")),
		OffsetsRetention:              r.duration("offsets.retention.minutes", time.Minute),
		OffsetsRetentionCheck:         r.duration("offsets.retention.check.interval.ms", time.Millisecond),
		OffsetMetadataMax:             int(r.int("offset.metadata.max.bytes")),
		GroupInitialRebalanceDelay:    r.duration("group.initial.rebalance.delay.ms", time.Millisecond),
		GroupSessionTimeoutMin:        r.duration("group.min.session.timeout.ms", time.Millisecond),
		GroupSessionTimeoutMax:        r.duration("group.max.session.timeout.ms", time.Millisecond),
		GroupMembersMax:               int(r.int("group.max.size")),

		TransactionTopicPartitions:        int32(r.int("transaction.state.log.num.partitions")),
		TransactionTopicReplicationFactor: int16(r.int("transaction.state.log.replication.factor")),
		TransactionTopicMinISR:            int(r.int("transaction.state.log.min.isr")),
		TransactionTimeoutMax:             r.duration("transaction.max.timeout.ms", time.Millisecond),
		TransactionalIDExpiration:         r.duration("transactional.id.expiration.ms", time.Millisecond),
	}
	if c.GroupSessionTimeoutMin > c.GroupSessionTimeoutMax {
		return nil, invalidConfig("group.min.session.timeout.ms", "group.min.session.timeout.ms = %d is more than group.max.session.timeout.ms = %d",
			c.GroupSessionTimeoutMin.Milliseconds(), c.GroupSessionTimeoutMax.Milliseconds())
	}
	if _, err := ResolveTopic(nil, c); err != nil { // what topics fall back to makes sense together
		return nil, err
	}
	return c, nil
}

// resolver reads checked values as what they are. A value that does not parse
// was not checked: BUG.
type resolver struct {
	table *table
	get   func(*Setting) string
}

func (r resolver) string(name string) string {
	s := r.table.byName[name]
	if s == nil {
		panic("BUG: no setting " + name)
	}
	return strings.TrimSpace(r.get(s))
}

func (r resolver) int(name string) int64 {
	n, err := strconv.ParseInt(r.string(name), 10, 64)
	if err != nil {
		panic("BUG: " + name + " was not checked: " + err.Error())
	}
	return n
}

func (r resolver) bool(name string) bool {
	v, ok := parseBool(r.string(name))
	if !ok {
		panic("BUG: " + name + " was not checked")
	}
	return v
}

func (r resolver) list(name string) []string { return parseList(r.string(name)) }

// duration does not overflow: what is longer than it can say is for ever.
func (r resolver) duration(name string, unit time.Duration) time.Duration {
	n := r.int(name)
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}

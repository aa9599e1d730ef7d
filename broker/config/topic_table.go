package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

const maxLong = "9223372036854775807"

func atLeast(min int64) []Range      { return []Range{{min, math.MaxInt64}} }
func between(min, max int64) []Range { return []Range{{min, max}} }

// is names the broker settings a topic setting falls back to, in its own unit.
func is(names ...string) (all []Synonym) {
	for _, n := range names {
		all = append(all, Synonym{n, 1})
	}
	return all
}

const (
	msPerMinute = 60 * 1000
	msPerHour   = 60 * msPerMinute
)

var topicTable = newTable([]Setting{
	{Name: "cleanup.policy", Type: List, Default: "delete", Values: []string{"compact", "delete"}, Synonyms: is("log.cleanup.policy"), Acts: true,
		Doc: "What happens to old records: delete drops them by retention, compact keeps the last of each key; empty keeps all."},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", Ranges: []Range{{1, 9}, {-1, -1}}, Synonyms: is("compression.gzip.level"), Acts: true,
		Doc: "Level when batches are recompressed with gzip."},
	{Name: "compression.lz4.level", Type: Int, Default: "9", Ranges: between(1, 17), Synonyms: is("compression.lz4.level"), Acts: true,
		Doc: "Level when batches are recompressed with lz4."},
	{Name: "compression.type", Type: String, Default: "producer", Values: codecNames, Synonyms: is("compression.type"), Acts: true,
		Doc: "Codec that batches are stored with; producer keeps the one they came with."},
	{Name: "compression.zstd.level", Type: Int, Default: "3", Ranges: between(-131072, 22), Synonyms: is("compression.zstd.level"), Acts: true,
		Doc: "Level when batches are recompressed with zstd."},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", Ranges: atLeast(0), Synonyms: is("log.cleaner.delete.retention.ms"),
		Doc: "How long compaction keeps tombstones, in ms."},
	{Name: "file.delete.delay.ms", Type: Long, Default: "60000", Ranges: atLeast(0), Synonyms: is("log.segment.delete.delay.ms"),
		Doc: "Time between dropping a file from the log and deleting it, in ms."},
	{Name: "flush.messages", Type: Long, Default: maxLong, Ranges: atLeast(1), Synonyms: is("log.flush.interval.messages"),
		Doc: "Records after which Kafka syncs the log; every acknowledged record is synced here."},
	{Name: "flush.ms", Type: Long, Default: maxLong, Ranges: atLeast(0), Synonyms: is("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
		Doc: "Time after which Kafka syncs the log, in ms; every acknowledged record is synced here."},
	{Name: "follower.replication.throttled.replicas", Type: List, valid: throttledReplicas,
		Doc: "Replicas, as partition:broker, whose replication is throttled on the follower."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", Ranges: atLeast(0), Synonyms: is("log.index.interval.bytes"),
		Doc: "Bytes between index entries."},
	{Name: "leader.replication.throttled.replicas", Type: List, valid: throttledReplicas,
		Doc: "Replicas, as partition:broker, whose replication is throttled on the leader."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", Ranges: atLeast(-2), Synonyms: is("log.local.retention.bytes"),
		Doc: "Size of the local part of a tiered log; -2 follows retention.bytes."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", Ranges: atLeast(-2), Synonyms: is("log.local.retention.ms"),
		Doc: "Age of the local part of a tiered log, in ms; -2 follows retention.ms."},
	{Name: "max.compaction.lag.ms", Type: Long, Default: maxLong, Ranges: atLeast(1), Synonyms: is("log.cleaner.max.compaction.lag.ms"),
		Doc: "Longest time a record stays uncompacted, in ms."},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", Ranges: atLeast(0), Synonyms: is("message.max.bytes"), Acts: true,
		Doc: "Size of the largest batch that is accepted, in bytes."},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Ranges: atLeast(0), Synonyms: is("log.message.timestamp.after.max.ms"), Acts: true,
		Doc: "How far a record's timestamp may lie ahead of the broker's clock, in ms."},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: maxLong, Ranges: atLeast(0), Synonyms: is("log.message.timestamp.before.max.ms"), Acts: true,
		Doc: "How far a record's timestamp may lie behind the broker's clock, in ms."},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", Values: []string{"CreateTime", "LogAppendTime"}, Synonyms: is("log.message.timestamp.type"), Acts: true,
		Doc: "Whether records keep the producer's timestamp or get the time of the append."},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Ranges: between(0, 1), Synonyms: is("log.cleaner.min.cleanable.ratio"),
		Doc: "Share of the log that must be uncompacted before compaction starts."},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", Ranges: atLeast(0), Synonyms: is("log.cleaner.min.compaction.lag.ms"),
		Doc: "Shortest time a record stays uncompacted, in ms."},
	{Name: "min.insync.replicas", Type: Int, Default: "1", Ranges: atLeast(1), Synonyms: is("min.insync.replicas"), Acts: true,
		Doc: "In-sync replicas that acks=all needs, at most as many as there are replicas."},
	{Name: "preallocate", Type: Boolean, Default: "false", Synonyms: is("log.preallocate"),
		Doc: "Kafka's switch for preallocated segments; segments are always preallocated here."},
	{Name: "remote.log.copy.disable", Type: Boolean, Default: "false", Doc: "Tiered storage: stop copying."},
	{Name: "remote.log.delete.on.disable", Type: Boolean, Default: "false", Doc: "Tiered storage: delete the remote part when it is disabled."},
	{Name: "remote.storage.enable", Type: Boolean, Default: "false", valid: noTieredStorage, Doc: "Tiered storage; there is none here."},
	{Name: "retention.bytes", Type: Long, Default: "-1", Synonyms: is("log.retention.bytes"), Acts: true,
		Doc: "Size a partition may grow to before its oldest segments go, in bytes; -1 without limit."},
	{Name: "retention.ms", Type: Long, Default: "604800000", Ranges: atLeast(-1), Acts: true,
		Synonyms: []Synonym{{"log.retention.ms", 1}, {"log.retention.minutes", msPerMinute}, {"log.retention.hours", msPerHour}},
		Doc:      "Age at which records may go, in ms; -1 without limit."},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", Ranges: atLeast(1 << 20), Synonyms: is("log.segment.bytes"), Acts: true,
		Doc: "Size at which a segment is sealed, in bytes; no batch may be larger."},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", Ranges: atLeast(4), Synonyms: is("log.index.size.max.bytes"),
		Doc: "Size of Kafka's index files; an index is part of its segment here."},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", Ranges: atLeast(0),
		Synonyms: []Synonym{{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", msPerHour}},
		Doc:      "Random time taken off segment.ms, in ms."},
	{Name: "segment.ms", Type: Long, Default: "604800000", Ranges: atLeast(1), Acts: true,
		Synonyms: []Synonym{{"log.roll.ms", 1}, {"log.roll.hours", msPerHour}},
		Doc:      "Age at which a segment is sealed even if it is not full, in ms."},
	{Name: "unclean.leader.election.enable", Type: Boolean, Default: "false", Synonyms: is("unclean.leader.election.enable"),
		Doc: "Kafka's permission for a replica that misses records to lead; no such replica can lead here."},
})

var codecNames = []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}

// throttledReplicas checks "partition:broker,..." or "*".
func throttledReplicas(value string) error {
	if value == "*" {
		return nil
	}
	for _, e := range parseList(value) {
		partition, broker, _ := strings.Cut(e, ":")
		for _, n := range []string{partition, broker} {
			if v, err := strconv.ParseInt(n, 10, 32); err != nil || v < 0 {
				return errors.New("valid is * or a list of partition:broker")
			}
		}
	}
	return nil
}

func noTieredStorage(value string) error {
	if on, _ := parseBool(value); on {
		return errors.New("there is no tiered storage here")
	}
	return nil
}

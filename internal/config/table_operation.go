package config

import (
	"fmt"
	"math"
	"time"
)

func nonEmpty(what string) func(string) error {
	return func(text string) error {
		if text == "" {
			return fmt.Errorf("want %s", what)
		}
		return nil
	}
}

var raftSettings = []setting{
	{table: "raft", key: "listen_addr", flag: "raft-addr", command: RaftCluster, env: "CHRONIK_RAFT_ADDR", def: "0.0.0.0:5001", clustered: true,
		doc:  "The address that other nodes connect to is listened on here, host:port. Port 0 lets the system choose one, which the log line `serving` names.",
		bind: text(hostPort, func(c *Config) *string { return &c.Raft.ListenAddr })},
	{table: "raft", key: "advertised_addr", env: "CHRONIK_RAFT_ADVERTISED_ADDR", defDoc: "server.advertised_addr and the port of listen_addr", clustered: true,
		doc:  "The host:port at which other nodes reach this one's raft port.",
		bind: text(reachable, func(c *Config) *string { return &c.Raft.AdvertisedAddr })},
	{table: "raft", key: "tls_cert_file", defDoc: noDefault, clustered: true,
		doc:  "A PEM file with this node's certificate. With tls_key_file and tls_ca_file, all three or none: the nodes talk over TLS 1.3, and each proves to the other that the CA has signed it. It serves both ways (extended key usages serverAuth and clientAuth), and must name, as DNS or IP subject alternative names, every host by which others reach this node: that of their peers, and advertised_addr. The node that connects checks the name; the one that is connected to checks the signature only.",
		bind: text(nonEmpty("a PEM file"), func(c *Config) *string { return &c.Raft.TLSCertFile })},
	{table: "raft", key: "tls_key_file", defDoc: noDefault, clustered: true,
		doc:  "A PEM file with the key of tls_cert_file.",
		bind: text(nonEmpty("a PEM file"), func(c *Config) *string { return &c.Raft.TLSKeyFile })},
	{table: "raft", key: "tls_ca_file", defDoc: noDefault, clustered: true,
		doc:  "A PEM file with the certificates of the authorities that sign the nodes' certificates.",
		bind: text(nonEmpty("a PEM file"), func(c *Config) *string { return &c.Raft.TLSCAFile })},
	{table: "raft", key: "election_timeout_ms", def: "1000", clustered: true,
		doc:  "A follower that hears nothing of its leader for this long stands for election; more than heartbeat_interval_ms.",
		bind: millis(1, func(c *Config) *time.Duration { return &c.Raft.ElectionTimeout })},
	{table: "raft", key: "heartbeat_interval_ms", def: "100", clustered: true,
		doc:  "How often a leader is heard when there is nothing to send.",
		bind: millis(1, func(c *Config) *time.Duration { return &c.Raft.HeartbeatInterval })},
	{table: "raft", key: "snapshot_max_log_size_mb", def: "64", clustered: true, unbuilt: true,
		doc:  "A follower that lacks more of a log than this, in MiB, is handed segments instead of entries.",
		bind: integer(1, math.MaxInt32, func(c *Config) *int { return &c.Raft.SnapshotMaxLogSizeMB })},
	{table: "raft", key: "max_inflight_messages", def: "256", clustered: true,
		doc:  "Append messages to one follower of one partition that may be unanswered.",
		bind: integer(1, math.MaxInt32, func(c *Config) *int { return &c.Raft.MaxInflightMessages })},
	{table: "raft", key: "max_entries_per_batch", def: "1024", clustered: true, unbuilt: true,
		doc:  "Entries in one append message.",
		bind: integer(1, math.MaxInt32, func(c *Config) *int { return &c.Raft.MaxEntriesPerBatch })},
	{table: "raft", key: "rpc_timeout_ms", def: "2000", clustered: true,
		doc:  "How long a request to another node may take.",
		bind: millis(1, func(c *Config) *time.Duration { return &c.Raft.RPCTimeout })},
	{table: "raft", key: "leadership_transfer_timeout_ms", def: "5000", clustered: true,
		doc:  "How long the transfer of one partition's leadership may take.",
		bind: millis(1, func(c *Config) *time.Duration { return &c.Raft.LeadershipTransferTimeout })},
	{table: "raft", key: "enable_leadership_transfer", def: "true", clustered: true,
		doc:  "Whether a node that stops hands its leaderships over first.",
		bind: flag(func(c *Config) *bool { return &c.Raft.EnableLeadershipTransfer })},
}

var operationSettings = []setting{
	{table: "isr", key: "max_lag_ms", def: "10000", clustered: true,
		doc:  "A follower that has not caught up for this long is out of sync.",
		bind: millis(1, func(c *Config) *time.Duration { return &c.ISR.MaxLag })},
	{table: "isr", key: "max_lag_entries", def: "10000", clustered: true,
		doc:  "A follower that lacks more entries than this is out of sync.",
		bind: integer(1, math.MaxInt32, func(c *Config) *int { return &c.ISR.MaxLagEntries })},
	{table: "isr", key: "check_interval_ms", def: "1000", clustered: true,
		doc:  "How often that is looked at.",
		bind: millis(1, func(c *Config) *time.Duration { return &c.ISR.CheckInterval })},
	{table: "shutdown", key: "drain_timeout_ms", def: "10000",
		doc:  "How long a stopping node waits for requests in flight.",
		bind: millis(0, func(c *Config) *time.Duration { return &c.Shutdown.DrainTimeout })},
	{table: "shutdown", key: "transfer_timeout_ms", def: "30000", clustered: true,
		doc:  "How long a stopping node tries to hand over all its leaderships.",
		bind: millis(0, func(c *Config) *time.Duration { return &c.Shutdown.TransferTimeout })},
	{table: "shutdown", key: "sync_timeout_ms", def: "5000",
		doc:  "How long a stopping node waits for the last sync of its logs.",
		bind: millis(0, func(c *Config) *time.Duration { return &c.Shutdown.SyncTimeout })},
	{table: "rebalance", key: "enabled", def: "true", clustered: true, unbuilt: true,
		doc:  "Whether partitions move by themselves to even out the nodes.",
		bind: flag(func(c *Config) *bool { return &c.Rebalance.Enabled })},
	{table: "rebalance", key: "threshold_percent", def: "20", clustered: true, unbuilt: true,
		doc:  "How far a node may be from the average before something moves.",
		bind: integer(1, 100, func(c *Config) *int { return &c.Rebalance.ThresholdPercent })},
	{table: "rebalance", key: "interval_secs", def: "60", clustered: true, unbuilt: true,
		doc:  "How often that is looked at.",
		bind: seconds(1, func(c *Config) *time.Duration { return &c.Rebalance.Interval })},
	{table: "rebalance", key: "max_concurrent_moves", def: "3", clustered: true, unbuilt: true,
		doc:  "Partitions that move at the same time.",
		bind: integer(1, math.MaxInt32, func(c *Config) *int { return &c.Rebalance.MaxConcurrentMoves })},
	{table: "rebalance", key: "throttle_mb_per_sec", def: "0", defDoc: "0 (line rate)", clustered: true, unbuilt: true,
		doc:  "How fast moving partitions are copied, in MiB a second.",
		bind: integer(0, math.MaxInt32, func(c *Config) *int { return &c.Rebalance.ThrottleMBPerSec })},
	{table: "limits", key: "request_memory_bytes", kafka: "queued.max.request.bytes", defDoc: "that of queued.max.request.bytes",
		doc:  "Memory for requests in flight, over all connections; when it is used up, connections are not read until some is free.",
		bind: kafka("queued.max.request.bytes", "integer")},
	{table: "limits", key: "max_connections", kafka: "max.connections", defDoc: "that of max.connections",
		doc:  "Open client connections; one more is closed as soon as it is accepted.",
		bind: kafka("max.connections", "integer")},
	{table: "metrics", key: "max_partitions", def: "1000",
		doc:  "With more partitions on the node than this, series of single partitions are left out of /metrics; so are those of consumer groups beyond as many. 0 leaves them out always.",
		bind: integer(0, math.MaxInt32, func(c *Config) *int { return &c.Metrics.MaxPartitions })},
}

var storageSettings = []setting{
	{table: "storage", key: "segment_bytes", kafka: "log.segment.bytes", defDoc: "that of log.segment.bytes",
		doc:  "The size at which a log goes on in a new segment file.",
		bind: kafka("log.segment.bytes", "integer")},
	{table: "storage", key: "flush_messages", kafka: "log.flush.interval.messages", defDoc: "that of log.flush.interval.messages",
		doc:  "Records after which a log is synced. Not acted on yet: every acknowledgement waits for the sync.",
		bind: kafka("log.flush.interval.messages", "integer")},
	{table: "storage", key: "flush_ms", kafka: "log.flush.interval.ms", defDoc: "that of log.flush.interval.ms",
		doc:  "Milliseconds after which a log is synced. Not acted on yet, as flush_messages.",
		bind: kafka("log.flush.interval.ms", "integer")},
}

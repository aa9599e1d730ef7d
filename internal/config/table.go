package config

import (
	"math"
	"time"
)

// RaftCluster is the name of the subcommand that the flags of a cluster's
// members belong to.
const RaftCluster = "raft-cluster"

// setting is one line of the table: everything there is to know of a setting.
type setting struct {
	table, key string
	flag       string // without dashes; "" for none
	short      string // one letter; "" for none
	command    string // the subcommand the flag belongs to; "" for every one
	env        string // "" for none
	def        string // the default as text
	defDoc     string // the default as documented, where it is not the same
	doc        string // one sentence
	kafka      string // the Kafka setting that this one stands for; "" for none
	clustered  bool   // takes effect in a cluster only
	unbuilt    bool   // read and checked; what it asks for is not built yet
	bind       func(*Config) value
}

// name is the setting's full name, as in "server.kafka_port".
func (s *setting) name() string { return s.table + "." + s.key }

const noDefault = "none"

// settings is the table, in the order of the documentation.
var settings = append(append(append(append(append(serverSettings, clusterSettings...), discoverySettings...),
	raftSettings...), operationSettings...), storageSettings...)

// notBuilt are tables that stand in the contract and mean something that would
// be dangerous to pass over: a file that has them is refused.
var notBuilt = map[string]string{
	"tls":  "encryption of the Kafka port is not built yet (that of the raft port is [raft] tls_cert_file)",
	"sasl": "authentication is not built yet",
}

func integer(low, high int, field func(*Config) *int) func(*Config) value {
	return func(c *Config) value { return intValue{field(c), low, high} }
}

func text(check func(string) error, field func(*Config) *string) func(*Config) value {
	return func(c *Config) value { return stringValue{field(c), check} }
}

func flag(field func(*Config) *bool) func(*Config) value {
	return func(c *Config) value { return boolValue{field(c)} }
}

func millis(low int64, field func(*Config) *time.Duration) func(*Config) value {
	return func(c *Config) value { return durationValue{field(c), time.Millisecond, low} }
}

func seconds(low int64, field func(*Config) *time.Duration) func(*Config) value {
	return func(c *Config) value { return durationValue{field(c), time.Second, low} }
}

// kafka is the binding of a key that stands for a Kafka setting.
func kafka(name, tomlKind string) func(*Config) value {
	return func(c *Config) value { return kafkaValue{c.standIns, name, tomlKind} }
}

var serverSettings = []setting{
	{table: "server", key: "kafka_port", flag: "kafka-port", short: "p", env: "CHRONIK_KAFKA_PORT", def: "9092",
		doc:  "The port that clients connect to. 0 lets the system choose one, which the log line `serving` names; clients are told advertised_port.",
		bind: integer(0, math.MaxUint16, func(c *Config) *int { return &c.Server.KafkaPort })},
	{table: "server", key: "bind_addr", flag: "bind-addr", short: "b", env: "CHRONIK_BIND_ADDR", def: "0.0.0.0",
		doc:  "The address that the Kafka and metrics ports listen on.",
		bind: text(host, func(c *Config) *string { return &c.Server.BindAddr })},
	{table: "server", key: "advertised_addr", flag: "advertised-addr", env: "CHRONIK_ADVERTISED_ADDR",
		defDoc: "the host name, or localhost when standalone",
		doc:    "The host, or host:port, that clients are told to connect to.",
		bind:   text(optionalHost, func(c *Config) *string { return &c.Server.AdvertisedAddr })},
	{table: "server", key: "advertised_port", flag: "advertised-port", env: "CHRONIK_ADVERTISED_PORT", def: "0",
		defDoc: "the Kafka port",
		doc:    "The port that clients are told to connect to, where advertised_addr has none.",
		bind:   integer(0, math.MaxUint16, func(c *Config) *int { return &c.Server.AdvertisedPort })},
	{table: "server", key: "metrics_port", flag: "metrics-port", short: "m", env: "CHRONIK_METRICS_PORT",
		defDoc: "8090 + node id",
		doc:    "The port of /metrics, /health and /ready. 0 lets the system choose one.",
		bind:   integer(0, math.MaxUint16, func(c *Config) *int { return &c.Server.MetricsPort })},
	{table: "server", key: "data_dir", flag: "data-dir", short: "d", env: "CHRONIK_DATA_DIR", def: "./data",
		doc:  "The directory of all data. It is made if it is not there; one process at a time may use it.",
		bind: text(nonEmpty("a directory"), func(c *Config) *string { return &c.Server.DataDir })},
	{table: "server", key: "log_level", flag: "log-level", short: "l", env: "CHRONIK_LOG_LEVEL", def: "info",
		doc:  "What is logged: debug, info, warn or error.",
		bind: text(oneOf("debug", "info", "warn", "error"), func(c *Config) *string { return &c.Server.LogLevel })},
	{table: "server", key: "rack", flag: "rack", env: "CHRONIK_RACK", defDoc: noDefault,
		doc:  "The rack of this node, as clients and replica placement know it.",
		bind: text(nil, func(c *Config) *string { return &c.Server.Rack })},
}

var clusterSettings = []setting{
	{table: "cluster", key: "enabled", def: "false", clustered: true,
		doc:  "Whether this node is a member of a cluster; the subcommand raft-cluster says the same.",
		bind: flag(func(c *Config) *bool { return &c.Cluster.Enabled })},
	{table: "cluster", key: "node_id", flag: "node-id", env: "CHRONIK_NODE_ID", def: "1",
		doc:  "The id of this node, its own in the cluster and for good.",
		bind: integer(1, math.MaxInt32, func(c *Config) *int { return &c.Cluster.NodeID })},
	{table: "cluster", key: "replication_factor", def: "3", kafka: "default.replication.factor", clustered: true,
		doc:  "Replicas of a topic that does not say how many: default.replication.factor.",
		bind: kafka("default.replication.factor", "integer")},
	{table: "cluster", key: "min_insync_replicas", def: "2", kafka: "min.insync.replicas", clustered: true,
		doc:  "Replicas that must have a record before acks=all is answered: min.insync.replicas.",
		bind: kafka("min.insync.replicas", "integer")},
	{table: "cluster", key: "num_partitions", kafka: "num.partitions", defDoc: "that of num.partitions",
		doc:  "Partitions of a topic that does not say how many.",
		bind: kafka("num.partitions", "integer")},
	{table: "cluster", key: "auto_create_topics", kafka: "auto.create.topics.enable", defDoc: "that of auto.create.topics.enable",
		doc:  "Whether a topic that a client asks for is made when it does not exist.",
		bind: kafka("auto.create.topics.enable", "boolean")},
	{table: "cluster", key: "bootstrap", flag: "bootstrap", command: RaftCluster, env: "CHRONIK_BOOTSTRAP", def: "false", clustered: true,
		doc:  "Start a new cluster if this node has no state; with state it changes nothing.",
		bind: flag(func(c *Config) *bool { return &c.Cluster.Bootstrap })},
	{table: "cluster", key: "peers", flag: "peers", command: RaftCluster, env: "CHRONIK_RAFT_PEERS", defDoc: noDefault, clustered: true,
		doc:  "Other nodes of the cluster, id@host:port,...: a node without state joins through the first that answers, and addresses given here are tried before those that nodes have registered. Whether this node is among them does not matter. In the file: [[cluster.peers]] with id and addr, or [cluster.peers] with nodes = [{id, addr}].",
		bind: func(c *Config) value { return peersValue{&c.Cluster.Peers} }},
	{table: "cluster", key: "version_compat", flag: "version-compat", command: RaftCluster, env: "CHRONIK_VERSION_COMPAT", defDoc: noDefault, clustered: true, unbuilt: true,
		doc:  "Run at this feature level, vX.Y, as if the program were that old. Refused until it is built.",
		bind: text(featureLevel, func(c *Config) *string { return &c.Cluster.VersionCompat })},
	{table: "cluster", key: "follower_read_policy", env: "CHRONIK_FOLLOWER_READ_POLICY", def: "safe", clustered: true,
		doc:  "Reads from followers: none sends them to the leader, unsafe serves what is committed locally, safe asks the leader for a read index first.",
		bind: text(oneOf("none", "unsafe", "safe"), func(c *Config) *string { return &c.Cluster.FollowerReadPolicy })},
	{table: "cluster", key: "read_index_timeout", env: "CHRONIK_READ_INDEX_TIMEOUT", def: "5s", clustered: true,
		doc:  "How long a safe read of a follower waits for the read index.",
		bind: func(c *Config) value { return spanValue{&c.Cluster.ReadIndexTimeout} }},
}

var discoverySettings = []setting{
	{table: "cluster.discovery", key: "mode", def: "static", clustered: true,
		doc:  "Where the peers come from: static (the list) or dns. dns is refused until it is built.",
		bind: text(oneOf("static", "dns"), func(c *Config) *string { return &c.Discovery.Mode })},
	{table: "cluster.discovery", key: "dns_service", def: "_raft._tcp.chronik.local", clustered: true, unbuilt: true,
		doc:  "The name whose SRV records are the peers.",
		bind: text(nonEmpty("a DNS name"), func(c *Config) *string { return &c.Discovery.DNSService })},
	{table: "cluster.discovery", key: "refresh_interval_secs", def: "30", clustered: true, unbuilt: true,
		doc:  "How often the records are looked up anew.",
		bind: seconds(1, func(c *Config) *time.Duration { return &c.Discovery.RefreshInterval })},
	{table: "cluster.discovery", key: "bootstrap_expect", def: "3", clustered: true, unbuilt: true,
		doc:  "Nodes that must be found before a new cluster starts.",
		bind: integer(1, math.MaxUint16, func(c *Config) *int { return &c.Discovery.BootstrapExpect })},
}

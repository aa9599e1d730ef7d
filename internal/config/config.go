package config

import "time"

// Config is the configuration of one node. Fields are named as their keys in
// chronik.toml; the table says what each means and its default.
type Config struct {
	// File is the configuration file that was read, "" if none was.
	File string
	// Origin tells for each setting, by "table.key", where its value came from:
	// "default", "chronik.toml:12", "CHRONIK_NODE_ID" or "--node-id".
	Origin map[string]string
	// Warnings are lines worth logging once: nothing is wrong, but likely not
	// what was meant.
	Warnings []string

	Server    Server
	Cluster   Cluster
	Discovery Discovery
	Raft      Raft
	ISR       ISR
	Shutdown  Shutdown
	Rebalance Rebalance
	Metrics   Metrics

	// Kafka are Kafka's own broker settings that were given, by their names:
	// [kafka], --set, and the keys elsewhere that stand for one of them.
	Kafka map[string]string

	standIns map[string]string // values of keys that stand for Kafka settings
}

// Server is [server].
type Server struct {
	KafkaPort      int
	BindAddr       string
	AdvertisedAddr string // host, resolved: never empty after Load
	AdvertisedPort int    // never 0 after Load, unless the Kafka port is 0 too
	MetricsPort    int    // never unset after Load
	DataDir        string
	LogLevel       string // debug, info, warn or error
	Rack           string
}

// Cluster is [cluster].
type Cluster struct {
	Enabled            bool
	NodeID             int
	Bootstrap          bool
	Peers              []Peer // without this node
	VersionCompat      string // "vX.Y" or ""
	FollowerReadPolicy string // none, unsafe or safe
	ReadIndexTimeout   time.Duration
}

// Peer is another node: its id and the address of its raft listener.
type Peer struct {
	ID   int
	Addr string
}

// Discovery is [cluster.discovery].
type Discovery struct {
	Mode            string // static or dns
	DNSService      string
	RefreshInterval time.Duration
	BootstrapExpect int
}

// Raft is [raft].
type Raft struct {
	ListenAddr                string
	AdvertisedAddr            string // "": the advertised host and the port that is listened on
	TLSCertFile               string // with the two below; "" in all three: no TLS
	TLSKeyFile                string
	TLSCAFile                 string
	ElectionTimeout           time.Duration
	HeartbeatInterval         time.Duration
	SnapshotMaxLogSizeMB      int
	MaxInflightMessages       int
	MaxEntriesPerBatch        int
	RPCTimeout                time.Duration
	LeadershipTransferTimeout time.Duration
	EnableLeadershipTransfer  bool
}

// ISR is [isr].
type ISR struct {
	MaxLag        time.Duration
	MaxLagEntries int
	CheckInterval time.Duration
}

// Shutdown is [shutdown].
type Shutdown struct {
	DrainTimeout    time.Duration
	TransferTimeout time.Duration
	SyncTimeout     time.Duration
}

// Rebalance is [rebalance].
type Rebalance struct {
	Enabled            bool
	ThresholdPercent   int
	Interval           time.Duration
	MaxConcurrentMoves int
	ThrottleMBPerSec   int
}

// Metrics is [metrics].
type Metrics struct {
	MaxPartitions int
}

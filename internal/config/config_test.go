package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onlyNumPartitions stands for the table of Kafka's settings.
func onlyNumPartitions(name, value string) error {
	switch {
	case name == "num.partitions" && value != "many",
		name == "queued.max.request.bytes", name == "max.connections",
		name == "auto.create.topics.enable", name == "default.replication.factor",
		name == "min.insync.replicas", strings.HasPrefix(name, "log."):
		return nil
	case name == "num.partitions":
		return errors.New("want a whole number")
	}
	return fmt.Errorf("unknown setting %s; did you mean num.partitions?", name)
}

// load writes the file, if any, and loads it and in.
func load(t *testing.T, file string, in Input) (*Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		if err := os.WriteFile(DefaultFile, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	in.Hostname = func() (string, error) { return "thishost", nil }
	in.CheckKafka = onlyNumPartitions
	return Load(in)
}

func mustLoad(t *testing.T, file string, in Input) *Config {
	t.Helper()
	c, err := load(t, file, in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	c := mustLoad(t, "", Input{})
	want := Server{KafkaPort: 9092, BindAddr: "0.0.0.0", AdvertisedAddr: "localhost", AdvertisedPort: 9092,
		MetricsPort: 8091, DataDir: "./data", LogLevel: "info"}
	if c.Server != want {
		t.Errorf("server %+v, want %+v", c.Server, want)
	}
	if c.Cluster.NodeID != 1 || c.Cluster.Enabled || c.Cluster.Bootstrap ||
		c.Cluster.FollowerReadPolicy != "safe" || c.Cluster.ReadIndexTimeout != 5*time.Second {
		t.Errorf("cluster %+v", c.Cluster)
	}
	if c.Raft.ListenAddr != "0.0.0.0:5001" || c.Raft.ElectionTimeout != time.Second || c.Raft.HeartbeatInterval != 100*time.Millisecond ||
		c.Raft.SnapshotMaxLogSizeMB != 64 || !c.Raft.EnableLeadershipTransfer || c.Raft.LeadershipTransferTimeout != 5*time.Second {
		t.Errorf("raft %+v", c.Raft)
	}
	if c.ISR != (ISR{10 * time.Second, 10000, time.Second}) {
		t.Errorf("isr %+v", c.ISR)
	}
	if c.Shutdown != (Shutdown{10 * time.Second, 30 * time.Second, 5 * time.Second}) {
		t.Errorf("shutdown %+v", c.Shutdown)
	}
	if c.Rebalance != (Rebalance{true, 20, time.Minute, 3, 0}) {
		t.Errorf("rebalance %+v", c.Rebalance)
	}
	if c.Discovery != (Discovery{"static", "_raft._tcp.chronik.local", 30 * time.Second, 3}) {
		t.Errorf("discovery %+v", c.Discovery)
	}
	if len(c.Kafka) != 0 || len(c.Warnings) != 0 || c.File != "" {
		t.Errorf("Kafka settings %v, warnings %q, file %q from nothing", c.Kafka, c.Warnings, c.File)
	}
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	file := "[server]\nkafka_port = 1001\nrack = \"f\"\ndata_dir = \"f\"\n"
	env := []string{"CHRONIK_KAFKA_PORT=1002", "CHRONIK_RACK=e", "CHRONIK_DATA_DIR=", "HOME=/"}
	c := mustLoad(t, file, Input{Environ: env, Flags: map[string]string{"kafka-port": "1003"}})
	if c.Server.KafkaPort != 1003 || c.Server.Rack != "e" || c.Server.DataDir != "f" || c.Server.AdvertisedPort != 1003 {
		t.Errorf("%+v", c.Server)
	}
	for name, want := range map[string]string{"server.kafka_port": "--kafka-port", "server.rack": "CHRONIK_RACK",
		"server.data_dir": "chronik.toml:4", "server.log_level": "default"} {
		if got := c.Origin[name]; got != want {
			t.Errorf("origin of %s %q, want %q", name, got, want)
		}
	}
	if c.File != DefaultFile {
		t.Errorf("file %q", c.File)
	}
}

const everyKey = `
[server]
kafka_port = 1
bind_addr = "10.0.0.1"
advertised_addr = "example.org"
advertised_port = 2
metrics_port = 3
data_dir = "d"
log_level = "debug"
rack = "r"
[cluster]
enabled = true
node_id = 4
replication_factor = 5
min_insync_replicas = 6
bootstrap = true
num_partitions = 7
auto_create_topics = false
follower_read_policy = "none"
[[cluster.peers]]
id = 2
addr = "node2:5002"
[[cluster.peers]]
id = 3
addr = "node3:5003"
[cluster.discovery]
mode = "static"
dns_service = "x.y"
refresh_interval_secs = 31
bootstrap_expect = 4
[raft]
listen_addr = "0.0.0.0:6000"
advertised_addr = "node4:6001"
tls_cert_file = "c"
tls_key_file = "k"
tls_ca_file = "a"
election_timeout_ms = 1001
heartbeat_interval_ms = 101
snapshot_max_log_size_mb = 65
max_inflight_messages = 8
max_entries_per_batch = 9
rpc_timeout_ms = 10
leadership_transfer_timeout_ms = 5001
enable_leadership_transfer = false
[isr]
max_lag_ms = 10001
max_lag_entries = 10002
check_interval_ms = 1003
[shutdown]
drain_timeout_ms = 11
transfer_timeout_ms = 12
sync_timeout_ms = 13
[rebalance]
enabled = false
threshold_percent = 21
interval_secs = 61
max_concurrent_moves = 4
throttle_mb_per_sec = 14
[kafka]
"auto.create.topics.enable" = true
log.cleaner.threads = 2
[storage]
segment_bytes = 1_000
flush_messages = 15
flush_ms = 16
[limits]
request_memory_bytes = 2000000
max_connections = 17
[metrics]
max_partitions = 18
`

func TestEveryKeyOfTheFileArrives(t *testing.T) {
	c := mustLoad(t, everyKey, Input{})
	second, ms := time.Second, time.Millisecond
	for _, check := range []struct{ got, want any }{
		{c.Server, Server{1, "10.0.0.1", "example.org", 2, 3, "d", "debug", "r"}},
		{fmt.Sprint(c.Cluster), fmt.Sprint(Cluster{true, 4, true, []Peer{{2, "node2:5002"}, {3, "node3:5003"}}, "", "none", 5 * second})},
		{c.Discovery, Discovery{"static", "x.y", 31 * second, 4}},
		{c.Raft, Raft{"0.0.0.0:6000", "node4:6001", "c", "k", "a", 1001 * ms, 101 * ms, 65, 8, 9, 10 * ms, 5001 * ms, false}},
		{c.ISR, ISR{10001 * ms, 10002, 1003 * ms}},
		{c.Shutdown, Shutdown{11 * ms, 12 * ms, 13 * ms}},
		{c.Rebalance, Rebalance{false, 21, 61 * second, 4, 14}},
		{c.Metrics, Metrics{18}},
		{fmt.Sprint(c.Kafka), fmt.Sprint(map[string]string{
			"auto.create.topics.enable":  "true", // its own name wins over auto_create_topics
			"default.replication.factor": "5", "min.insync.replicas": "6", "num.partitions": "7",
			"log.cleaner.threads": "2", "queued.max.request.bytes": "2000000", "max.connections": "17", "log.segment.bytes": "1000",
			"log.flush.interval.messages": "15", "log.flush.interval.ms": "16"})},
	} {
		if check.got != check.want {
			t.Errorf("got  %v\nwant %v", check.got, check.want)
		}
	}
	for name, origin := range c.Origin {
		if origin == "default" && !strings.HasPrefix(name, "cluster.read_index") && name != "cluster.version_compat" {
			t.Errorf("%s was not taken from the file", name)
		}
	}
}

func TestClusterSettingsOfAStandaloneNode(t *testing.T) {
	c := mustLoad(t, "[cluster]\nreplication_factor = 3\nnum_partitions = 4\n[raft]\nrpc_timeout_ms = 1\n", Input{})
	if fmt.Sprint(c.Kafka) != "map[num.partitions:4]" {
		t.Errorf("Kafka settings %v", c.Kafka)
	}
	want := "set, but without effect outside of a cluster: cluster.replication_factor, raft.rpc_timeout_ms"
	if len(c.Warnings) != 1 || c.Warnings[0] != want {
		t.Errorf("warnings %q, want %q", c.Warnings, want)
	}
}

func TestRaftClusterIsTheSameAsEnabled(t *testing.T) {
	c := mustLoad(t, "", Input{Command: RaftCluster, Flags: map[string]string{
		"peers": "2@node2:5002,3@[::1]:5003", "bootstrap": "true", "raft-addr": "0.0.0.0:7", "node-id": "12"}})
	if !c.Cluster.Enabled || !c.Cluster.Bootstrap || c.Raft.ListenAddr != "0.0.0.0:7" ||
		fmt.Sprint(c.Cluster.Peers) != "[{2 node2:5002} {3 [::1]:5003}]" {
		t.Errorf("%+v", c.Cluster)
	}
	if c.Server.AdvertisedAddr != "thishost" || c.Server.MetricsPort != 8102 {
		t.Errorf("%+v", c.Server)
	}
	if c.Kafka["default.replication.factor"] != "3" || c.Kafka["min.insync.replicas"] != "2" {
		t.Errorf("a cluster's defaults: %v", c.Kafka)
	}
}

func TestThisNodeIsNoPeer(t *testing.T) {
	for _, peers := range []string{"1@elsewhere:5001,2@a:1,3@b:2", "2@a:1,3@b:2", "2@a:1,3@b:2,1@localhost:5001"} {
		c := mustLoad(t, "", Input{Command: RaftCluster, Flags: map[string]string{"peers": peers}})
		if got := fmt.Sprint(c.Cluster.Peers); got != "[{2 a:1} {3 b:2}]" {
			t.Errorf("%s gives %s", peers, got)
		}
	}
}

func TestWhatIsNotBuiltIsWarnedOf(t *testing.T) {
	file := "[rebalance]\nthrottle_mb_per_sec = 5\n[raft]\nsnapshot_max_log_size_mb = 1\nmax_inflight_messages = 8\n"
	c := mustLoad(t, file, Input{Command: RaftCluster})
	want := "set, but not built yet and without effect: raft.snapshot_max_log_size_mb, rebalance.throttle_mb_per_sec"
	if len(c.Warnings) != 1 || c.Warnings[0] != want {
		t.Errorf("warnings %q, want %q", c.Warnings, want)
	}
}

func TestPeersInTheirOtherForm(t *testing.T) {
	for _, file := range []string{
		"[cluster.peers]\nnodes = [{id = 2, addr = \"a:1\"}, {id = 3, addr = \"b:2\"}]\n",
		"[cluster]\npeers = [{id = 2, addr = \"a:1\"}, {id = 3, addr = \"b:2\"}]\n",
		"[[cluster.peers.nodes]]\nid = 2\naddr = \"a:1\"\n[[cluster.peers.nodes]]\naddr = \"b:2\"\nid = 3\n",
		"[cluster]\npeers = \"2@a:1,3@b:2\"\n",
	} {
		c := mustLoad(t, file, Input{})
		if got := fmt.Sprint(c.Cluster.Peers); got != "[{2 a:1} {3 b:2}]" {
			t.Errorf("%s gives %s", file, got)
		}
	}
}

func TestAdvertisedAddress(t *testing.T) {
	for _, test := range []struct {
		addr, port string
		wantAddr   string
		wantPort   int
	}{
		{"", "", "localhost", 9092},
		{"h", "", "h", 9092},
		{"h:1", "", "h", 1},
		{"h:1", "1", "h", 1},
		{"h", "5", "h", 5},
		{"::1", "", "::1", 9092},
		{"[::1]", "", "::1", 9092},
		{"[::1]:7", "", "::1", 7},
	} {
		flags := map[string]string{}
		if test.addr != "" {
			flags["advertised-addr"] = test.addr
		}
		if test.port != "" {
			flags["advertised-port"] = test.port
		}
		c := mustLoad(t, "", Input{Flags: flags})
		if c.Server.AdvertisedAddr != test.wantAddr || c.Server.AdvertisedPort != test.wantPort {
			t.Errorf("%q %q: %s %d", test.addr, test.port, c.Server.AdvertisedAddr, c.Server.AdvertisedPort)
		}
	}
}

func TestErrorsSayWhatIsWrongAndWhatWouldBeRight(t *testing.T) {
	flag := func(name, text string) Input { return Input{Flags: map[string]string{name: text}} }
	for _, test := range []struct {
		file string
		in   Input
		want string
	}{
		{"[server]\n\nkafka_prt = 1\n", Input{}, `chronik.toml:3: unknown key server.kafka_prt; did you mean server.kafka_port?`},
		{"[server]\nnode_id = 1\n", Input{}, `chronik.toml:2: unknown key server.node_id; did you mean cluster.node_id?`},
		{"kafka_port = 1\n", Input{}, `chronik.toml:1: unknown key kafka_port; did you mean server.kafka_port?`},
		{"[sever]\n", Input{}, `chronik.toml:1: unknown table [sever]; did you mean [server]?`},
		{"[tls]\ncert = \"x\"\n", Input{}, `chronik.toml:1: [tls]: encryption of the Kafka port is not built yet (that of the raft port is [raft] tls_cert_file); remove the table`},
		{"[server]\nkafka_port = \"9092\"\n", Input{}, `chronik.toml:2: server.kafka_port is a string here; want an integer without quotes: kafka_port = 9092`},
		{"[server]\nrack = 7\n", Input{}, `chronik.toml:2: server.rack is an integer here; want a string: rack = "7"`},
		{"[server]\nkafka_port = 70000\n", Input{}, `chronik.toml:2: server.kafka_port = 70000: want a whole number from 0 to 65535`},
		{"[server]\nlog_level = \"loud\"\n", Input{}, `chronik.toml:2: server.log_level = "loud": want debug, info, warn or error`},
		{"[server]\nx =\n", Input{}, `chronik.toml:2: `},
		{"[server]\nrack = \"a\"\nrack = \"b\"\n", Input{}, `chronik.toml:3: `},
		{"[kafka]\nnum.partition = 1\n", Input{}, `chronik.toml:2: [kafka] "num.partition" = 1: unknown setting num.partition; did you mean num.partitions?`},
		{"[kafka]\n\"num.partitions\" = \"many\"\n", Input{}, `chronik.toml:2: [kafka] "num.partitions" = "many": want a whole number`},
		{"[kafka]\n\"num.partitions\" = [1]\n", Input{}, `chronik.toml:2: kafka.num.partitions is an array; want [kafka] with lines as "num.partitions" = 3`},
		{"[cluster]\nnum_partitions = 1.5\n", Input{}, `chronik.toml:2: cluster.num_partitions is a float here; want an integer without quotes`},
		{"[[cluster.peers]]\nid = 2\nadr = \"x:1\"\n", Input{}, `chronik.toml:3: unknown key cluster.peers[0].adr; did you mean addr?`},
		{"[[cluster.peers]]\nid = 2\n", Input{}, `chronik.toml:1: cluster.peers: want id@host:port,... as 2@node2:5002,3@node3:5003; "2@" is not of that form`},
		{"[cluster.peers]\nnode = []\n", Input{}, `chronik.toml:2: unknown key cluster.peers.node; did you mean cluster.peers.nodes?`},
		{"[raft]\n\nelection_timeout_ms = 50\n", Input{}, `chronik.toml:3: raft.election_timeout_ms is 50; want more than raft.heartbeat_interval_ms, which is 100`},
		{"[raft]\nheartbeat_interval_ms = 1000\n", Input{}, `chronik.toml:2: raft.heartbeat_interval_ms is 1000; want less than raft.election_timeout_ms, which is 1000`},
		{"", Input{Environ: []string{"CHRONIK_NODE_ID=zero"}}, `CHRONIK_NODE_ID=zero: want a whole number, 1 or more`},
		{"", Input{Environ: []string{"CHRONIK_READ_INDEX_TIMEOUT=5"}}, `CHRONIK_READ_INDEX_TIMEOUT=5: want a positive duration with its unit, as 5s or 500ms`},
		{"", Input{Environ: []string{"CHRONIK_CONFIG=none.toml"}}, `CHRONIK_CONFIG=none.toml: no such file or directory; want a TOML file that can be read`},
		{"", Input{File: "none.toml"}, `--config none.toml: no such file or directory; want a TOML file that can be read`},
		{"", flag("kafka-port", "x"), `--kafka-port x: want a whole number from 0 to 65535`},
		{"", flag("bind-addr", "a:1"), `--bind-addr a:1: want a host name or an address without a port`},
		{"", flag("advertised-addr", "a:b"), `--advertised-addr a:b: want host or host:port, as broker1.example.org:9092`},
		{"", flag("metrics-port", "9092"), `port 9092 is both the Kafka port and the metrics port; want two (--kafka-port, --metrics-port)`},
		{"", flag("node-id", "60000"), `node id 60000: 8090 + node id is no port; want --metrics-port`},
		{"", flag("peers", "2@a:1,2@b:1"), `--peers 2@a:1,2@b:1: node id 2 stands there twice; every node has its own`},
		{"", flag("version-compat", "v1.2"), `--version-compat: cluster.version_compat is not built yet; leave it out`},
		{"[cluster.discovery]\nmode = \"dns\"\n", Input{}, `chronik.toml:2: cluster.discovery.mode is dns, which is not built yet; want static, and peers`},
		{"[raft]\ntls_key_file = \"k\"\n", Input{}, `chronik.toml:2: raft.tls_key_file without raft.tls_ca_file and raft.tls_cert_file; want all three or none`},
		{"[raft]\nadvertised_addr = \"h:0\"\n", Input{}, `chronik.toml:2: raft.advertised_addr = "h:0": want host:port, as node1.example.org:5001`},
		{"", Input{Command: RaftCluster, Flags: map[string]string{"raft-addr": "0.0.0.0:9092"}}, `port 9092 is both the raft port and the Kafka port; want two (--raft-addr)`},
		{"", flag("peers", "2@a:0"), `--peers 2@a:0: want id@host:port,... as 2@node2:5002,3@node3:5003; "2@a:0" is not of that form`},
		{"", flag("version-compat", "1"), `--version-compat 1: want a feature level as v1.2`},
		{"", flag("raft-addr", "5001"), `--raft-addr 5001: want host:port, as 10.0.0.1:5001`},
		{"", flag("bootstrap", "yes"), `--bootstrap yes: want true or false`},
		{"", Input{Flags: map[string]string{"advertised-addr": "h:1", "advertised-port": "2"}},
			`--advertised-addr says port 1 and --advertised-port says 2; want the advertised port in one place`},
		{"", Input{Sets: []string{"num.partitions"}}, `--set num.partitions: want name=value, as --set num.partitions=3`},
		{"", Input{Sets: []string{"num.partitons=2"}}, `--set num.partitons=2: unknown setting num.partitons; did you mean num.partitions?`},
	} {
		_, err := load(t, test.file, test.in)
		switch {
		case err == nil:
			t.Errorf("no error, want %s", test.want)
		case strings.HasSuffix(test.want, ": "): // the parser's own words follow
			if !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %s\nwant %s...", err, test.want)
			}
		case err.Error() != test.want:
			t.Errorf("got  %s\nwant %s", err, test.want)
		}
	}
}

func TestUnknownVariablesAreWarnedOf(t *testing.T) {
	c := mustLoad(t, "", Input{Environ: []string{"CHRONIK_NODEID=3", "OTHER=1", "CHRONIK_TEST_KEEP=1", "CHRONIK_BIN=x"}})
	want := "CHRONIK_NODEID in the environment means nothing; did you mean CHRONIK_NODE_ID?"
	if len(c.Warnings) != 1 || c.Warnings[0] != want {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestShowTellsWhereValuesCameFrom(t *testing.T) {
	c := mustLoad(t, "[storage]\nflush_ms = 9\n", Input{Sets: []string{"num.partitions=3"}})
	got := map[string]Shown{}
	for _, s := range c.Show() {
		got[s.Name] = s
	}
	for _, want := range []Shown{
		{"server.metrics_port", "8091", "default"},
		{"cluster.peers", "", "default"},
		{"kafka.num.partitions", "3", "--set"},
		{"kafka.log.flush.interval.ms", "9", "chronik.toml:2"},
	} {
		if got[want.Name] != want {
			t.Errorf("got %+v, want %+v", got[want.Name], want)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"kitten": "sitting", "flam": "flaw", "": "flaw"} {
		if got := Nearest(word, []string{"sitting", "flaw"}); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if d := editDistance("kitten", "sitting"); d != 3 {
		t.Errorf("distance %d, want 3", d)
	}
}

func TestDataDir(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "a", "b")
	if err := CheckDataDir(made); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(made); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below"), "/proc/nothing"} {
		err := CheckDataDir(bad)
		if err == nil || !strings.Contains(err.Error(), "want a directory that this process may write (--data-dir)") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestReferenceHasEveryKey(t *testing.T) {
	text := Reference([]KafkaSetting{{"num.partitions", "int", "1", "a|b"}})
	for i := range settings {
		s := &settings[i]
		if !strings.Contains(text, "\n### `["+s.table+"]`") || !strings.Contains(text, "\n| `"+s.key+"` |") {
			t.Errorf("%s is not documented", s.name())
		}
		if s.doc == "" || !strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s: no sentence %q", s.name(), s.doc)
		}
		if s.def == "" && s.defDoc == "" {
			t.Errorf("%s: no documented default", s.name())
		}
	}
	if !strings.Contains(text, "| `num.partitions` | int | `1` | a\\|b |") {
		t.Error("a broker setting of Kafka's is missing")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(everyKey))
	f.Add([]byte("[[cluster.peers]]\nid = 2\n"))
	f.Add([]byte("[kafka]\na.b.c = 1\n\"x\" = [{}, 1.5, 1979-05-27]\n"))
	// Invariant checked: whatever the file holds, Load answers with a
	// configuration or with an error of one line, and does not panic.
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(dir, "x.toml")
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Input{File: name, Hostname: os.Hostname})
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
	})
}

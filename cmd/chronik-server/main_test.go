package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chronik/internal/config"

	"gopkg.in/yaml.v3"
)

// command runs the program in an empty directory.
func command(t *testing.T, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var out, err bytes.Buffer
	status = run(args, environ, &out, &err)
	return status, out.String(), err.String()
}

func TestWhatTheUserGotWrongIsOneLineAndStatus2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("[server]\nkafka_prot = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"--kafak-port 1", `unknown flag --kafak-port; did you mean --kafka-port?`},
		{"raft-cluster --peer 2@a:1", `unknown flag --peer; did you mean --peers?`},
		{"--kafka-port", `flag needs an argument: --kafka-port`},
		{"--kafka-port 99999", `--kafka-port 99999: want a whole number from 0 to 65535`},
		{"-p x version --nothing", `unknown flag --nothing; did you mean --config?`},
		{"verson", `unknown command "verson"; did you mean "version"?`},
		{"config", `config: want one of reference, show`},
		{"config show x", `config show: unexpected "x"; it takes no arguments`},
		{"cluster partition-info orders", `cluster partition-info: 1 arguments; want TOPIC PARTITION`},
		{"cluster healht --bootstrap-server x:1", `unknown command "healht"; did you mean "health"?`},
		{"cluster --bootstrap-server x:1", `unknown flag --bootstrap-server; did you mean --log-level?`},
		{"config show -o xml", `--output xml: want table, json or yaml`},
		{"--set num.partitions=x", `--set num.partitions=x: num.partitions = "x": want a whole number, at least 1`},
		{"--set replica.selector.class=x", `--set replica.selector.class=x: leave it out: a consumer with client.rack always reads from a replica in its rack that is in sync, as with Kafka's RackAwareReplicaSelector; cluster.follower_read_policy = "none" turns that off`},
		{"--set nosuch=1", `--set nosuch=1: unknown setting "nosuch": the nearest there is, is "node.id"`},
		{"--set num.partitons=1", `--set num.partitons=1: unknown setting "num.partitons": did you mean "num.partitions"?`},
		{"--config nofile", `--config nofile: no such file or directory; want a TOML file that can be read`},
		{"--cluster-config " + file, file + `:2: unknown key server.kafka_prot; did you mean server.kafka_port?`},
		{"--data-dir " + file, `data directory ` + file + `: not a directory; want a directory that this process may write (--data-dir)`},
		{"raft-cluster --version-compat v0.1", `--version-compat: cluster.version_compat is not built yet; leave it out`},
		{"raft-cluster --raft-addr 5001", `--raft-addr 5001: want host:port, as 10.0.0.1:5001`},
		{"raft-cluster --raft-addr 0.0.0.0:8095 --metrics-port 8095", `port 8095 is both the raft port and the metrics port; want two (--raft-addr)`},
	} {
		status, stdout, stderr := command(t, nil, strings.Fields(test.args)...)
		if status != 2 || stdout != "" || stderr != "chronik-server: "+test.want+"\n" {
			t.Errorf("%s: status %d, %q\ngot  %swant chronik-server: %s", test.args, status, stdout, stderr, test.want)
		}
	}
}

// What a node of a cluster cannot start with: told before it serves anything.
func TestANodeThatCannotBeAMember(t *testing.T) {
	flags := "-p 0 -m 0 -b 127.0.0.1 -l error raft-cluster --raft-addr 127.0.0.1:0 "
	conf := filepath.Join(t.TempDir(), "tls.toml")
	if err := os.WriteFile(conf, []byte("[raft]\ntls_cert_file = \"c\"\ntls_key_file = \"k\"\ntls_ca_file = \"a\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		flags:                                  `cannot be a member of this cluster: node 1 has no data yet: want --peers to join a cluster, or --bootstrap to begin one`,
		flags + "--bootstrap --config " + conf: `TLS of the raft port: c and k: open c: no such file or directory; want a certificate and its key in PEM`,
	} {
		status, stdout, stderr := command(t, nil, strings.Fields(args)...)
		if status != 2 || stdout != "" || stderr != "chronik-server: "+want+"\n" {
			t.Errorf("%s: status %d, %q\ngot  %swant chronik-server: %s", args, status, stdout, stderr, want)
		}
	}
}

func TestFlagsStandBeforeAndAfterTheSubcommand(t *testing.T) {
	for _, args := range [][]string{
		{"--kafka-port", "7", "--rack=r", "config", "show", "-o", "json"},
		{"config", "show", "-p", "7", "-o", "json", "--rack", "r"},
		{"config", "--rack", "r", "show", "-p7", "-ojson"},
	} {
		status, stdout, stderr := command(t, []string{"CHRONIK_KAFKA_PORT=8", "CHRONIK_NODE_ID=9"}, args...)
		if status != 0 || stderr != "" {
			t.Fatalf("%q: status %d, %s", args, status, stderr)
		}
		var shown []config.Shown
		if err := json.Unmarshal([]byte(stdout), &shown); err != nil {
			t.Fatal(err)
		}
		got := map[string]config.Shown{}
		for _, s := range shown {
			got[s.Name] = s
		}
		for _, want := range []config.Shown{
			{Name: "server.kafka_port", Value: "7", Origin: "--kafka-port"},
			{Name: "server.rack", Value: "r", Origin: "--rack"},
			{Name: "server.metrics_port", Value: "8099", Origin: "default"},
			{Name: "cluster.node_id", Value: "9", Origin: "CHRONIK_NODE_ID"},
		} {
			if got[want.Name] != want {
				t.Errorf("%q: got %+v, want %+v", args, got[want.Name], want)
			}
		}
	}
}

func TestVersionInEachForm(t *testing.T) {
	_, table, _ := command(t, nil, "version")
	if !strings.HasPrefix(table, "FEATURE LEVEL  ") || !strings.Contains(table, featureLevel) {
		t.Errorf("table %q", table)
	}
	var fromJSON, fromYAML buildVersion
	_, text, _ := command(t, nil, "version", "-o", "json")
	if err := json.Unmarshal([]byte(text), &fromJSON); err != nil {
		t.Fatal(err)
	}
	_, text, _ = command(t, nil, "version", "-o", "yaml")
	if err := yaml.Unmarshal([]byte(text), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if want := readBuildVersion(); fromJSON != want || fromYAML != want || !strings.HasPrefix(want.Go, "go") {
		t.Errorf("JSON %+v, YAML %+v, want %+v", fromJSON, fromYAML, want)
	}
}

func TestTheReferenceIsCurrent(t *testing.T) {
	committed, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Reference(kafkaReference()); got != string(committed) {
		t.Error("docs/configuration.md is not what the table says; make docs writes it anew")
	}
}

func TestTheProtocolDocumentIsCurrent(t *testing.T) {
	committed, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := command(t, nil, "protocol")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if stdout != string(committed) {
		t.Error("docs/protocol.md is not what the tables say; make docs writes it anew")
	}
}

package node

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronik/internal/config"
	"chronik/internal/vfs"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

func load(t *testing.T, dir string, flags ...string) *config.Config {
	t.Helper()
	f := map[string]string{"kafka-port": "0", "metrics-port": "0", "bind-addr": "127.0.0.1", "advertised-addr": "127.0.0.1", "data-dir": dir}
	for i := 0; i < len(flags); i += 2 {
		f[flags[i]] = flags[i+1]
	}
	conf, err := config.Load(config.Input{Flags: f, Hostname: os.Hostname})
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func start(t *testing.T, conf *config.Config) (*Node, error) {
	t.Helper()
	return Start(t.Context(), conf, Build{Version: "v1"}, slog.New(slog.DiscardHandler))
}

// askMetadata asks a node for its brokers over a socket.
func askMetadata(t *testing.T, addr string) *msg.MetadataResponse {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	w := wire.NewWriter(nil)
	w.BeginFrame()
	msg.EncodeRequest(w, &msg.MetadataRequest{}, 4, 1, wire.Str("test"))
	if _, err := conn.Write(w.Bytes()); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(frame)
	resp := &msg.MetadataResponse{}
	msg.DecodeResponseHeader(&r, resp.APIKey(), 4)
	resp.Decode(&r, 4)
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return resp
}

func TestStartServeStopStartAgain(t *testing.T) {
	dir := t.TempDir()
	cluster := ""
	for range 2 {
		n, err := start(t, load(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		m := askMetadata(t, n.KafkaAddr().String())
		port := int32(n.KafkaAddr().(*net.TCPAddr).Port)
		if len(m.Brokers) != 1 || m.Brokers[0].NodeId != 1 || m.Brokers[0].Host != "127.0.0.1" || m.Brokers[0].Port != port {
			t.Errorf("brokers %+v, want port %d", m.Brokers, port)
		}
		if cluster != "" && m.ClusterId.String != cluster {
			t.Errorf("cluster id %s became %s", cluster, m.ClusterId.String)
		}
		cluster = m.ClusterId.String
		if err := n.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if _, err := net.DialTimeout("tcp", n.KafkaAddr().String(), time.Second); err == nil {
			t.Error("a stopped node still listens")
		}
	}
}

func TestDataDirIsOneNodes(t *testing.T) {
	dir := t.TempDir()
	n, err := start(t, load(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, load(t, dir)); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second node on the same directory: %v", err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, load(t, dir, "node-id", "2")); !errors.Is(err, ErrDataDir) || !strings.Contains(err.Error(), "--node-id 1") {
		t.Errorf("another node's directory: %v", err)
	}
	for content, want := range map[string]string{"{": "damaged", `{"version":9,"node_id":1}`: "newer release"} {
		if err := os.WriteFile(filepath.Join(dir, identityName), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := start(t, load(t, dir)); !errors.Is(err, ErrDataDir) || !strings.Contains(err.Error(), want) {
			t.Errorf("identity %s: %v", content, err)
		}
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := t.TempDir()
	for _, flag := range []string{"kafka-port", "metrics-port"} {
		if _, err := start(t, load(t, dir, flag, port)); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("%s taken: %v", flag, err)
		}
	}
	n, err := start(t, load(t, dir)) // nothing was left locked
	if err != nil {
		t.Fatal(err)
	}
	n.Stop()
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, load(t, t.TempDir(), "metrics-port", port), Build{}, slog.New(slog.DiscardHandler))
	}()
	get := func(path string) (int, string) {
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
			resp, err := http.Get("http://" + addr + path)
			if err != nil {
				continue
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
				continue // starting
			}
			return resp.StatusCode, string(b)
		}
		t.Fatalf("%s: no answer in a minute", path)
		return 0, ""
	}
	if code, body := get("/ready"); code != http.StatusOK {
		t.Errorf("/ready: %d %s", code, body)
	}
	_, body := get("/metrics")
	for _, series := range []string{"chronik_raft_cluster_size 1", "chronik_raft_leader_count", "chronik_kafka_connections 0", "chronik_storage_flushes_total"} {
		if !strings.Contains(body, "\n"+series) {
			t.Errorf("/metrics lacks %s", series)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run did not end in a minute")
	}
}

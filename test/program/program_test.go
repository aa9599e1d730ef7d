package program

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// runMax bounds a run of the binary that is to end by itself.
const runMax = 30 * time.Second

// TestWrongUse starts the binary with what it must refuse: one line that says what is wrong, status 2, nothing served.
func TestWrongUse(t *testing.T) {
	dir := harness.TempDir(t)
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("not a directory"), 0o644)
	config := func(text string) string {
		name := filepath.Join(dir, fmt.Sprintf("%x.toml", text))
		os.WriteFile(name, []byte(text), 0o644)
		return name
	}
	cases := []struct {
		name string
		args []string
		want []string // in the line
	}{
		{"unknown flag", []string{"--kafka-prt", "1"}, []string{"--kafka-prt", "--kafka-port"}},
		{"unknown subcommand", []string{"tpoic"}, []string{"tpoic"}},
		{"port that is no number", []string{"--kafka-port", "many"}, []string{"kafka-port", "many"}},
		{"port out of range", []string{"--kafka-port", "70000"}, []string{"70000"}},
		{"unknown log level", []string{"--log-level", "loud"}, []string{"loud", "debug"}},
		{"unknown broker setting", []string{"--set", "num.partition=3"}, []string{"num.partition", "num.partitions"}},
		{"broker setting without a value", []string{"--set", "num.partitions"}, []string{"num.partitions"}},
		{"bad value of a broker setting", []string{"--set", "num.partitions=few"}, []string{"num.partitions", "few"}},
		{"directory that is a file", []string{"--data-dir", file}, []string{file}},
		{"directory under a file", []string{"--data-dir", filepath.Join(file, "data")}, []string{"data"}},
		{"no such config file", []string{"--config", filepath.Join(dir, "none.toml")}, []string{"none.toml"}},
		{"config that is no TOML", []string{"--config", config("[server")}, []string{".toml"}},
		{"unknown key in the config", []string{"--config", config("[server]\nkafka_prt = 9092\n")}, []string{"kafka_prt", "kafka_port"}},
		{"wrong type in the config", []string{"--config", config("[server]\nkafka_port = \"many\"\n")}, []string{"kafka_port"}},
		{"unknown broker setting in the config", []string{"--config", config("[kafka]\n\"num.partition\" = 3\n")}, []string{"num.partition"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"--kafka-port", "0", "--metrics-port", "0", "--data-dir", filepath.Join(dir, "data")}, c.args...)
			status, stdout, stderr := harness.Run(t, runMax, args...)
			if status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			line := strings.TrimRight(stderr, "\n")
			if line == "" || strings.Contains(line, "\n") || stdout != "" {
				t.Errorf("want one line on stderr and nothing else\nstdout: %q\nstderr: %q", stdout, stderr)
			}
			for _, w := range c.want {
				if !strings.Contains(line, w) {
					t.Errorf("%q does not name %q", line, w)
				}
			}
		})
	}
}

// TestPrecedence shows that flags win over environment over file.
func TestPrecedence(t *testing.T) {
	dir := harness.TempDir(t)
	file := filepath.Join(dir, "chronik.toml")
	os.WriteFile(file, []byte("[server]\nrack = \"from-file\"\nlog_level = \"warn\"\ndata_dir = \"/nowhere/file\"\n[kafka]\n\"num.partitions\" = 7\n"), 0o644)
	b := harness.Prepare(t, harness.Config{
		Args: []string{"--config", file, "--set", "default.replication.factor=1"},
		Env:  []string{"CHRONIK_LOG_LEVEL=debug", "CHRONIK_DATA_DIR=/nowhere/environment", "CHRONIK_KAFKA_PORT=1"},
	})
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Dir); err != nil {
		t.Errorf("the flag's data directory was not used: %v", err)
	}
	harness.Eventually(t, time.Minute, "the environment's log level wins over the file's warn", func() error {
		log, err := os.ReadFile(b.Log)
		if err == nil && !strings.Contains(string(log), "level=INFO") {
			err = fmt.Errorf("no line of level INFO in %q", log)
		}
		return err
	})
	c := client(t, b)
	m, err := kadm.NewClient(c).BrokerMetadata(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if rack := m.Brokers[0].Rack; rack == nil || *rack != "from-file" {
		t.Errorf("rack %v, want the file's", rack)
	}
	cfg, err := kadm.NewClient(c).DescribeBrokerConfigs(ctx(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range cfg[0].Configs {
		if e.Key == "num.partitions" && e.MaybeValue() != "7" {
			t.Errorf("num.partitions %s, want the file's 7", e.MaybeValue())
		}
	}
}

// TestAdvertised shows in Metadata what clients are told to connect to.
func TestAdvertised(t *testing.T) {
	b := harness.Start(t, harness.Config{Args: []string{"--advertised-addr", "broker.example", "--advertised-port", "19092"}})
	c := client(t, b)
	m, err := kadm.NewClient(c).BrokerMetadata(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Brokers[0]; got.Host != "broker.example" || got.Port != 19092 {
		t.Errorf("advertised %s:%d", got.Host, got.Port)
	}
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return c
}

func client(t *testing.T, b *harness.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metrics reads all samples; those with labels are added up under their name as well.
func metrics(t *testing.T, b *harness.Broker) map[string]float64 {
	t.Helper()
	status, body := get(t, b.HTTP+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: status %d", status)
	}
	m := map[string]float64{}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line)[i+1:], 64)
		if err != nil {
			t.Fatalf("/metrics: %q: %v", line, err)
		}
		series := line[:i]
		m[series] = v
		if name, _, labelled := strings.Cut(series, "{"); labelled {
			m[name] += v
		}
	}
	return m
}

// TestHTTP checks health, readiness and that the metrics of one node follow what happens.
func TestHTTP(t *testing.T) {
	b := harness.Start(t, harness.Config{})
	b.Owned(t)
	for _, path := range []string{"/health", "/ready"} {
		if status, body := get(t, b.HTTP+path); status != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
	if status, _ := get(t, b.HTTP+"/no/such/page"); status != http.StatusNotFound {
		t.Errorf("an unknown page: status %d", status)
	}
	before := metrics(t, b)
	c := client(t, b, kgo.DefaultProduceTopic("metrics"), kgo.ConsumeTopics("metrics"),
		kgo.ConsumerGroup("metrics-group"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if _, err := kadm.NewClient(c).CreateTopic(ctx(t), 3, 1, nil, "metrics"); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := c.ProduceSync(ctx(t), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < 200; {
		n += c.PollFetches(ctx(t)).NumRecords()
	}
	after := metrics(t, b)
	rises := []string{"chronik_raft_leader_count", "chronik_raft_commit_index", "chronik_raft_last_applied", "chronik_raft_commits_total", "chronik_raft_log_size_bytes", "chronik_raft_log_size_entries"}
	for _, name := range rises {
		if after[name] <= before[name] {
			t.Errorf("%s: %v before and %v after 200 records", name, before[name], after[name])
		}
	}
	if n := after["chronik_raft_leader_count"] - before["chronik_raft_leader_count"]; n < 3 {
		t.Errorf("chronik_raft_leader_count rose by %v with three partitions", n)
	}
	for _, family := range []string{"chronik_kafka_", "chronik_storage_", "chronik_group_"} {
		names, moved := 0, 0
		for name, v := range after {
			if strings.HasPrefix(name, family) {
				names++
				if v != before[name] {
					moved++
				}
			}
		}
		if moved == 0 {
			t.Errorf("%s*: %d series, %d moved with 200 records", family, names, moved)
		}
	}
}

// TestQuiet holds that requests are not logged: thousands of them add a handful of lines.
func TestQuiet(t *testing.T) {
	b := harness.Start(t, harness.Config{})
	b.Owned(t)
	c := client(t, b, kgo.DefaultProduceTopic("quiet"), kgo.DisableIdempotentWrite(), kgo.ProducerLinger(0))
	if _, err := kadm.NewClient(c).CreateTopic(ctx(t), 1, 1, nil, "quiet"); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if err := c.ProduceSync(ctx(t), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // connections that end badly are not news either
		n, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		n.Write([]byte{0xff, 0xff, 0xff, 0xff})
		n.Close()
	}
	log, err := os.ReadFile(b.Log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "\n"); n > 150 {
		t.Errorf("%d lines of log after 2000 requests and 100 broken connections:\n%s", n, harness.Tail(b.Log, 5))
	}
}

// TestSignals ends the process with each signal while a fetch waits and records are on their way.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			b := harness.Start(t, harness.Config{})
			b.Owned(t)
			waiting := client(t, b, kgo.ConsumeTopics("signals"), kgo.FetchMaxWait(60*time.Second))
			c := client(t, b, kgo.DefaultProduceTopic("signals"), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RequestRetries(0))
			if _, err := kadm.NewClient(c).CreateTopic(ctx(t), 1, 1, nil, "signals"); err != nil {
				t.Fatal(err)
			}
			if err := c.ProduceSync(ctx(t), kgo.StringRecord("first")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			waiting.PollFetches(ctx(t)) // the next fetch waits for a minute
			pctx, cancel := context.WithCancel(ctx(t))
			acked := make(chan int64, 1)
			go func() {
				last := int64(0)
				for {
					r, err := c.ProduceSync(pctx, kgo.StringRecord("more")).First()
					if err != nil {
						acked <- last
						return
					}
					last = r.Offset
				}
			}()
			time.Sleep(200 * time.Millisecond) // some records
			if err := syscall.Kill(b.PID(), sig); err != nil {
				t.Fatal(err)
			}
			status, err := b.Wait()
			cancel()
			if err != nil || status != 0 {
				t.Fatalf("exit status %d, %v; log:\n%s", status, err, harness.Tail(b.Log, 10))
			}
			last := <-acked
			if _, err := b.Launch(); err != nil {
				t.Fatal(err)
			}
			ends, err := kadm.NewClient(client(t, b)).ListEndOffsets(ctx(t), "signals")
			if err != nil {
				t.Fatal(err)
			}
			end, _ := ends.Lookup("signals", 0)
			// One more may have been appended whose answer was cut off.
			if end.Offset != last+1 && end.Offset != last+2 {
				t.Errorf("end offset %d, acknowledged up to %d", end.Offset, last)
			}
		})
	}
}

var rss = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := rss.FindSubmatch(b)
	if m == nil {
		t.Fatalf("no VmRSS in %s", b)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n * 1024
}

// TestStalledFrames opens many connections that announce large requests and send little of them: memory must follow
// what was sent, not what was announced, and everybody else must be served.
func TestStalledFrames(t *testing.T) {
	b := harness.Start(t, harness.Config{})
	b.Owned(t)
	before := resident(t, b.PID())
	some := make([]byte, 64<<10)
	binary.BigEndian.PutUint32(some, 100<<20)
	binary.BigEndian.PutUint16(some[4:], 0) // Produce
	binary.BigEndian.PutUint16(some[6:], 9)
	const stalled = 300
	for range stalled {
		n, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		n.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := n.Write(some); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("write: %v", err)
		}
	}
	c := client(t, b, kgo.DefaultProduceTopic("others"))
	if _, err := kadm.NewClient(c).CreateTopic(ctx(t), 1, 1, nil, "others"); err != nil {
		t.Fatalf("with %d stalled connections: %v", stalled, err)
	}
	if err := c.ProduceSync(ctx(t), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatalf("with %d stalled connections: %v", stalled, err)
	}
	if grown := resident(t, b.PID()) - before; grown > 400<<20 {
		t.Errorf("%d MiB more memory for %d connections that sent 64 KiB each and announced 100 MiB", grown>>20, stalled)
	}
}

// TestDiskFull fills a small file system: what does not fit is refused with an error, the process lives on and still
// serves what it has, and after a restart with more room everything acknowledged is there.
func TestDiskFull(t *testing.T) {
	if os.Getenv("CHRONIK_TEST_BOOTSTRAP") != "" {
		t.Skip("CHRONIK_TEST_BOOTSTRAP is a running broker: this test needs a file system of its own")
	}
	dir := harness.TempDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	b := harness.Prepare(t, harness.Config{Dir: filepath.Join(dir, "data"), Set: map[string]string{"log.segment.bytes": "4194304"}})
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	c := client(t, b, kgo.DefaultProduceTopic("full"), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableIdempotentWrite(),
		kgo.RecordRetries(2), kgo.RequestRetries(2), kgo.RecordDeliveryTimeout(20*time.Second))
	if _, err := kadm.NewClient(c).CreateTopic(ctx(t), 1, 1, nil, "full"); err != nil {
		t.Fatal(err)
	}
	acked := map[int64]string{}
	var refused error
	for i := 0; refused == nil; i++ {
		if i > 200 {
			t.Fatalf("%d records of 512 KiB acknowledged on a file system of 48 MiB", i)
		}
		value := fmt.Sprintf("%06d", i) + strings.Repeat("x", 512<<10)
		r, err := c.ProduceSync(ctx(t), kgo.StringRecord(value)).First()
		if err != nil {
			refused = err
			break
		}
		acked[r.Offset] = value[:6]
	}
	t.Logf("%d records acknowledged, then: %v", len(acked), refused)
	if len(acked) < 10 {
		t.Errorf("only %d records of 512 KiB fit into 48 MiB", len(acked))
	}
	// The answer is KAFKA_STORAGE_ERROR; a client that then looks for a leader may find that there is none.
	var ke *kerr.Error
	if !errors.As(refused, &ke) || !slices.Contains([]*kerr.Error{kerr.KafkaStorageError, kerr.NotLeaderForPartition, kerr.LeaderNotAvailable}, ke) {
		t.Errorf("refused with %v, want KAFKA_STORAGE_ERROR", refused)
	}
	if status, _ := get(t, b.HTTP+"/health"); status != http.StatusOK {
		t.Errorf("/health: status %d with a full disk", status)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	b.Kill()
	if _, err := b.Launch(); err != nil {
		t.Fatalf("restart with room: %v", err)
	}
	reader := client(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"full": {0: kgo.NewOffset().AtStart()}}))
	last := int64(-1)
	for o := range acked {
		last = max(last, o)
	}
	for next := int64(0); next <= last; {
		fetches := reader.PollFetches(ctx(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("at offset %d of %d: %v", next, last, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if want, ok := acked[r.Offset]; ok && string(r.Value[:6]) != want {
				t.Fatalf("offset %d holds %q, acknowledged was %q", r.Offset, r.Value[:6], want)
			}
			next = r.Offset + 1
		})
	}
	again := client(t, b, kgo.DefaultProduceTopic("full"))
	if err := again.ProduceSync(ctx(t), kgo.StringRecord("room again")).FirstErr(); err != nil {
		t.Errorf("produce with room again: %v", err)
	}
}

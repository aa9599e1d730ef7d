package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chronik/internal/config"
	"chronik/node"
	"chronik/wal/inspect"
)

// segmentCommand runs a subcommand of segment, with JSON, and reads the answer.
func segmentCommand(t *testing.T, answer any, args ...string) (status int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(append([]string{"segment"}, append(args, "-o", "json")...), nil, &out, &errs)
	if answer != nil {
		if err := json.Unmarshal(out.Bytes(), answer); err != nil {
			t.Errorf("%q: %v in %s%s", args, err, out.String(), errs.String())
		}
	}
	return status, errs.String()
}

// startOn runs a node on that data directory; stop may be called once.
func startOn(t *testing.T, dir string) (addr string, stop func()) {
	t.Helper()
	c, err := config.Load(config.Input{Hostname: os.Hostname, Flags: map[string]string{"data-dir": dir,
		"bind-addr": "127.0.0.1", "advertised-addr": "127.0.0.1", "kafka-port": "0", "metrics-port": "0"}})
	if err != nil {
		t.Fatal(err)
	}
	logged := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := node.Start(t.Context(), c, node.Build{}, logged)
	if err != nil {
		t.Fatal(err)
	}
	return n.KafkaAddr().String(), func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestVerifyBesideARunningNode verifies, inspects and dumps a data directory
// again and again while a node writes, rolls and deletes there: no damage is
// ever found, and at the end every record is counted.
func TestVerifyBesideARunningNode(t *testing.T) {
	dir := t.TempDir()
	addr, stop := startOn(t, dir)
	var made []done
	ask(t, addr, "topic create live --partitions 1 --topic-config segment.bytes=1048576", &made)
	ended, looks := make(chan struct{}), make(chan int, 1)
	var looking sync.WaitGroup
	end := sync.OnceFunc(func() { close(ended); looking.Wait() })
	defer end() // also of a test that fails: nobody looks into a directory that is being removed
	looking.Go(func() {
		for n := 0; ; n++ {
			for _, verb := range []string{"verify", "inspect", "dump"} {
				if status, stderr := segmentCommand(t, nil, verb, dir); status != 0 {
					t.Errorf("%s %d: status %d, %s", verb, n, status, stderr)
				}
			}
			select {
			case <-ended:
				looks <- n + 1
				return
			default:
			}
		}
	})
	const batches, perBatch = 120, 20000
	for n := range batches {
		produce(t, addr, "live", 0, perBatch)
		if n%10 == 0 {
			topic := fmt.Sprint("gone", n)
			ask(t, addr, "topic create --partitions 2 "+topic, &made)
			produce(t, addr, topic, 1, 10)
			ask(t, addr, "topic delete "+topic, &made)
		}
	}
	end()
	t.Logf("looked %d times", <-looks)

	count := func(when string) {
		var reports inspect.Reports
		if status, stderr := segmentCommand(t, &reports, "verify", dir); status != 0 {
			t.Errorf("%s: status %d, %s", when, status, stderr)
		}
		found := map[string]inspect.Report{}
		for _, r := range reports {
			name, _, _ := strings.Cut(filepath.Base(r.Path), "@")
			found[name] = r
			if r.State != inspect.Clean {
				t.Errorf("%s: %+v", when, r)
			}
		}
		if r := found["live-0"]; r.Records != batches*perBatch || r.Segments < 4 {
			t.Errorf("%s: %+v, want %d records in several segments", when, r, batches*perBatch)
		}
		if r, ok := found["metadata"]; !ok || r.Frames == 0 {
			t.Errorf("%s: no metadata among %v", when, found)
		}
	}
	count("running")
	stop()
	count("stopped")
}

// TestSegmentStatus: 0 for clean and for a torn tail, 1 for corruption, 2 for
// what is not there or not built.
func TestSegmentStatus(t *testing.T) {
	const golden = "../../wal/inspect/testdata/v1"
	for _, test := range []struct {
		name       string
		file       string
		position   int64
		status     int
		state, say string
	}{
		{"clean", "", 0, 0, "clean", ""},
		{"torn", "0000000000000003.seg", 9000, 0, "torn tail", ""},
		{"corrupt", "0000000000000001.seg", 4182, 1, "corrupt", "chronik-server: corrupt: DIR/0000000000000001.seg at 4160: frame hash: want 0x"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
			t.Fatal(err)
		}
		if test.file != "" {
			f, err := os.OpenFile(filepath.Join(dir, test.file), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{0x55}, test.position); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var reports inspect.Reports
		status, stderr := segmentCommand(t, &reports, "verify", dir)
		if status != test.status || len(reports) != 1 || string(reports[0].State) != test.state ||
			!strings.HasPrefix(strings.ReplaceAll(stderr, dir, "DIR"), test.say) || strings.Count(stderr, "\n") != test.status {
			t.Errorf("%s: status %d, %+v, %s", test.name, status, reports, stderr)
		}
	}
	for args, want := range map[string]string{
		"segment":                       "chronik-server segment: want one of dump, inspect, verify",
		"segment repair x":              "segment repair is not built yet",
		"segment verify --against a b":  "segment verify --against is not built yet",
		"segment verify nosuch":         "nosuch: there is nothing of that name; want a segment file, a log's directory or a data directory",
		"segment verify .":              ".: no log there; want a segment file, a log's directory or a data directory",
		"segment dump . -o yaml":        "--output yaml: dump wants table or json",
		"segment inspect":               "chronik-server segment inspect: 0 arguments; want FILE|DIR",
		"segment inspect . --frames":    "unknown flag --frames; did you mean --rack?",
		"segment verify . --frames-onl": "unknown flag --frames-onl; did you mean --frames-only?",
	} {
		status, stdout, stderr := command(t, nil, strings.Fields(args)...)
		if status != 2 || stdout != "" || stderr != "chronik-server: "+want+"\n" {
			t.Errorf("%s: status %d, %q\ngot  %swant chronik-server: %s", args, status, stdout, stderr, want)
		}
	}
}

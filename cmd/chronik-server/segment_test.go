package main

import (
	"bytes"
	"crypto/sha256"
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
	"chronik/wal/repair"
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
			overwrite(t, filepath.Join(dir, test.file), test.position)
		}
		var reports inspect.Reports
		status, stderr := segmentCommand(t, &reports, "verify", dir)
		if status != test.status || len(reports) != 1 || string(reports[0].State) != test.state ||
			!strings.HasPrefix(strings.ReplaceAll(stderr, dir, "DIR"), test.say) || strings.Count(stderr, "\n") != test.status {
			t.Errorf("%s: status %d, %+v, %s", test.name, status, reports, stderr)
		}
	}
	for args, want := range map[string]string{
		"segment":                              "segment: want one of dump, inspect, repair, verify",
		"segment repair x":                     "segment repair: want --to, a directory to write the copy to",
		"segment repair x --to y":              "x: there is nothing of that name; want a segment file or a log's directory",
		"segment repair x --to x/y":            "--to x/y: want a directory outside of the log's",
		"segment repair x --to y --cut-from 0": "--cut-from 0: want the position of a frame, as segment verify prints it",
		"segment verify --against a b":         "b: there is nothing of that name; want a segment file, a log's directory or a data directory",
		"segment verify nosuch":                "nosuch: there is nothing of that name; want a segment file, a log's directory or a data directory",
		"segment verify .":                     ".: no log there; want a segment file, a log's directory or a data directory",
		"segment dump . -o yaml":               "--output yaml: dump wants table or json",
		"segment inspect":                      "segment inspect: 0 arguments; want FILE|DIR",
		"segment inspect . --frames":           "unknown flag --frames; did you mean --rack?",
		"segment verify . --frames-onl":        "unknown flag --frames-onl; did you mean --frames-only?",
	} {
		status, stdout, stderr := command(t, nil, strings.Fields(args)...)
		if status != 2 || stdout != "" || stderr != "chronik-server: "+want+"\n" {
			t.Errorf("%s: status %d, %q\ngot  %swant chronik-server: %s", args, status, stdout, stderr, want)
		}
	}
}

// TestSegmentRepair: the copy and the exit status, and that the source stays as
// it is, times included.
func TestSegmentRepair(t *testing.T) {
	const golden = "../../wal/inspect/testdata/v1"
	for _, test := range []struct {
		name             string
		file             string
		position         int64
		args             []string // with SRC
		status           int
		state            inspect.State
		last             uint64 // index of the copy; 0: there is none
		choices, changes int
	}{
		{"clean", "", 0, []string{"SRC"}, 0, inspect.Clean, 7, 0, 0},
		{"torn", "0000000000000003.seg", 9000, []string{"SRC"}, 0, inspect.Torn, 7, 0, 1},
		{"corrupt", "0000000000000001.seg", 4182, []string{"SRC"}, 1, inspect.Corrupt, 0, 2, 0},
		{"corrupt and cut", "0000000000000001.seg", 4182, []string{"SRC/0000000000000001.seg", "--cut-from", "4160"}, 0, inspect.Corrupt, 1, 0, 1},
		{"corrupt and dropped", "0000000000000001.seg", 4182, []string{"SRC/0000000000000001.seg", "--drop-through"}, 0, inspect.Corrupt, 7, 0, 1},
	} {
		src, to := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(src, os.DirFS(golden)); err != nil {
			t.Fatal(err)
		}
		if test.file != "" {
			overwrite(t, filepath.Join(src, test.file), test.position)
		}
		before := listing(t, src)
		args := []string{"repair", "--to", to}
		for _, arg := range test.args {
			args = append(args, strings.Replace(arg, "SRC", src, 1))
		}
		var report repair.Report
		status, stderr := segmentCommand(t, &report, args...)
		if status != test.status || report.State != test.state || len(report.Choices) != test.choices || len(report.Done) < test.changes ||
			(report.Copy == nil) != (test.last == 0) || strings.Count(stderr, "\n") != test.status {
			t.Errorf("%s: status %d, %+v, %s", test.name, status, report, stderr)
		}
		if after := listing(t, src); after != before {
			t.Errorf("%s: the source was\n%sand is\n%s", test.name, before, after)
		}
		if test.last == 0 {
			if _, err := os.Stat(to); err == nil {
				t.Errorf("%s: something was written", test.name)
			}
			continue
		}
		var reports inspect.Reports
		if status, stderr := segmentCommand(t, &reports, "verify", to); status != 0 || reports[0].State != inspect.Clean || report.Copy.LastIndex != test.last {
			t.Errorf("%s: the copy: status %d, %+v, %s", test.name, status, reports, stderr)
		}
		if status, stderr := segmentCommand(t, nil, args...); status != 2 || !strings.Contains(stderr, "is not empty") {
			t.Errorf("%s again: status %d, %s", test.name, status, stderr)
		}
	}
}

// overwrite changes one byte.
func overwrite(t *testing.T, name string, position int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0x55}, position); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// listing is the names, times and content of a directory's files.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s %x\n", e.Name(), info.ModTime(), sha256.Sum256(b))
	}
	return out.String()
}

// TestRepairBesideARunningNode copies a log that is written to, and rolled
// meanwhile: each copy is clean, and what it has is what the
// log has there when it stands still.
func TestRepairBesideARunningNode(t *testing.T) {
	dir := t.TempDir()
	addr, stop := startOn(t, dir)
	var made []done
	ask(t, addr, "topic create live --partitions 1 --topic-config segment.bytes=1048576", &made)
	logs, err := filepath.Glob(filepath.Join(dir, "topics", "live-0@*"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	copied := func(n int) (report repair.Report) {
		to := filepath.Join(t.TempDir(), "copy")
		status, stderr := segmentCommand(t, &report, "repair", logs[0], "--to", to)
		if status != 0 || report.Copy == nil || report.State == inspect.Corrupt {
			t.Errorf("copy %d: status %d, %+v, %s", n, status, report, stderr)
			return repair.Report{Copy: &repair.Copy{}}
		}
		// The copy ends first, and is equal until then.
		var c inspect.Comparison
		status, stderr = segmentCommand(t, &c, "verify", to, "--against", logs[0])
		if c.Equal == (status == 1) || c.Difference != nil && c.Difference.Got != "the end" || uint64(c.Frames) != report.Copy.LastIndex {
			t.Errorf("copy %d: status %d, %+v, %s", n, status, c, stderr)
		}
		if err := os.RemoveAll(to); err != nil {
			t.Error(err)
		}
		return report
	}
	var copying sync.WaitGroup
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { close(ended); copying.Wait() })
	defer end()
	copying.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			default:
				copied(n)
			}
		}
	})
	const batches, perBatch = 40, 20000
	for range batches {
		produce(t, addr, "live", 0, perBatch)
	}
	end()
	if r := copied(-1); r.Copy.Records != batches*perBatch || r.Copy.Segments < 2 || r.Lost != nil {
		t.Errorf("at the end: %+v, %+v", r, r.Copy)
	}
	stop()
}

package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/test/harness"
)

// kcat is the command line tool over Debian's librdkafka 2.0.2, whose feature windows depend on advertised ranges.
type kcat struct{ path, addr, dir string }

func (k *kcat) close() {}

// Delimiters that no text dataset contains.
const (
	keyMark = "\x01"
	endMark = "\x02"
)

func (k *kcat) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, k.path, append([]string{"-b", k.addr}, args...)...)
}

// produce sends runs of records without headers through stdin, with delimiters, and each record with headers, or too
// large for a line, as a file of its own. kcat sends one partition and one set of headers a call.
func (k *kcat) produce(ctx context.Context, job produceJob) ([]int64, error) {
	base := []string{
		"-P", "-t", job.Topic, "-z", job.Codec, "-X", "acks=" + strconv.Itoa(job.Acks),
		"-X", "message.max.bytes=2097152", "-X", "linger.ms=5", "-X", "enable.idempotence=" + strconv.FormatBool(job.Idempotent),
		"-X", "message.timeout.ms=60000",
	}
	for p := range partitions {
		args := append(base, "-p", strconv.Itoa(p))
		var lines bytes.Buffer
		flush := func() error {
			if lines.Len() == 0 {
				return nil
			}
			cmd := k.command(ctx, append(args, "-K", keyMark, "-D", endMark)...)
			cmd.Stdin = bytes.NewReader(lines.Bytes())
			lines.Reset()
			return output(cmd)
		}
		for _, r := range job.Records {
			if r.Partition != int32(p) {
				continue
			}
			if len(r.Headers) == 0 && len(r.Value) < mib {
				if r.Key != nil {
					lines.Write(append(r.Key, keyMark...))
				}
				lines.Write(append(r.Value, endMark...))
				continue
			}
			if err := flush(); err != nil {
				return nil, err
			}
			if err := k.produceFile(ctx, args, r); err != nil {
				return nil, err
			}
		}
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (k *kcat) produceFile(ctx context.Context, args []string, r record) error {
	file := filepath.Join(k.dir, "value")
	if err := os.WriteFile(file, r.Value, 0o644); err != nil {
		return err
	}
	if r.Key != nil {
		args = append(args, "-k", string(r.Key))
	}
	for _, h := range r.Headers {
		args = append(args, "-H", h.Name+"="+string(h.Value))
	}
	return output(k.command(ctx, append(args, file)...))
}

// output runs a command whose silence means success; kcat reports delivery failures on stderr with status 0 or 1.
func output(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("%")) {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[1:], " "), errors.Join(err, errors.New("kcat complained")), short(out))
	}
	return nil
}

// dumpFormat prints lengths first, so that keys and values may hold anything.
const dumpFormat = "%t|%p|%o|%T|%K|%S|%k%s|%h" + endMark + "\n"

func (k *kcat) consume(ctx context.Context, topics []string, count int) ([]record, error) {
	var records []record
	for _, t := range topics {
		cmd := k.command(ctx, "-C", "-t", t, "-o", "beginning", "-e", "-q", "-X", "check.crcs=true",
			"-X", "fetch.wait.max.ms=20", "-f", dumpFormat)
		var errb bytes.Buffer
		cmd.Stderr = &errb
		out, err := cmd.Output()
		if err != nil {
			return records, fmt.Errorf("%s: %w: %s", t, err, errb.String())
		}
		rs, err := parseDump(out)
		if err != nil {
			return records, fmt.Errorf("%s: %w", t, err)
		}
		records = append(records, rs...)
	}
	if len(records) != count {
		return records, fmt.Errorf("%d records up to the end of the partitions, want %d", len(records), count)
	}
	return records, nil
}

func parseDump(b []byte) ([]record, error) {
	var records []record
	for len(b) > 0 {
		f := bytes.SplitN(b, []byte("|"), 7)
		if len(f) < 7 {
			return records, fmt.Errorf("cannot parse %s", short(b))
		}
		r := record{Topic: string(f[0])}
		var nums [5]int64
		for i := range nums {
			n, err := strconv.ParseInt(string(f[i+1]), 10, 64)
			if err != nil {
				return records, fmt.Errorf("cannot parse %s", short(b))
			}
			nums[i] = n
		}
		r.Partition, r.Offset, r.Timestamp = int32(nums[0]), nums[1], nums[2]
		rest := f[6]
		take := func(n int64) []byte {
			if n < 0 {
				return nil
			}
			v := rest[:n:n]
			rest = rest[n:]
			return v
		}
		r.Key, r.Value = take(nums[3]), take(nums[4])
		i := bytes.Index(rest, []byte(endMark+"\n"))
		if len(rest) == 0 || rest[0] != '|' || i < 0 {
			return records, fmt.Errorf("cannot parse %s after the value", short(rest))
		}
		r.Headers = parseHeaders(string(rest[1:i]))
		records = append(records, r)
		b = rest[i+2:]
	}
	return records, nil
}

var headerStart = regexp.MustCompile(`(^|,)(name-\d+|again)=`)

// parseHeaders splits kcat's "name=value,name=value"; the names of a dataset are known, its values are not.
func parseHeaders(s string) []header {
	var hs []header
	at := headerStart.FindAllStringSubmatchIndex(s, -1)
	for i, m := range at {
		end := len(s)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		h := header{Name: s[m[4]:m[5]], Value: []byte(s[m[1]:end])}
		if string(h.Value) == "NULL" {
			h.Value = nil
		}
		hs = append(hs, h)
	}
	return hs
}

// group runs members kcat processes with -G and reads their dumps until count records came.
func (k *kcat) group(ctx context.Context, job groupJob, assigned func([][]int32)) ([][]record, error) {
	g := newGathering(job, assigned)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, job.Members)
	for m := range job.Members {
		wg.Go(func() {
			if errs[m] = k.member(ctx, job, g, m); errs[m] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return g.result(errs)
}

var rebalanceLine = regexp.MustCompile(`(assigned|revoked): (.*)`)
var rebalancePart = regexp.MustCompile(`\[(\d+)\]`)

func (k *kcat) member(ctx context.Context, job groupJob, g *gathering, m int) error {
	cmd := k.command(ctx, "-G", job.Group, "-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=300",
		"-X", "auto.commit.interval.ms=200", "-u", "-f", dumpFormat, job.Topic)
	var errb lineWriter
	errb.line = func(s string) {
		if l := rebalanceLine.FindStringSubmatch(s); l != nil {
			var parts []int32
			for _, p := range rebalancePart.FindAllStringSubmatch(l[2], -1) {
				n, _ := strconv.Atoi(p[1])
				parts = append(parts, int32(n))
			}
			if l[1] == "assigned" {
				g.assign(m, parts)
			} else {
				g.revoke(m, parts)
			}
		}
	}
	cmd.Stderr = &errb
	var outb lineWriter
	outb.line = func(s string) {
		if rs, err := parseDump([]byte(s + "\n")); err == nil {
			for _, r := range rs {
				g.add(m, r)
			}
		}
	}
	cmd.Stdout = &outb
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for !g.finished() {
		select {
		case err := <-done:
			return g.progress(fmt.Errorf("kcat -G ended: %w: %s", errors.Join(err, ctx.Err()), errb.all.String()))
		case <-time.After(pollStep):
		}
	}
	cmd.Process.Signal(os.Interrupt) // kcat commits and leaves
	return <-done
}

// lineWriter hands out whole lines and keeps everything.
type lineWriter struct {
	mu   sync.Mutex
	all  bytes.Buffer
	rest []byte
	line func(string)
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(b)
	w.rest = append(w.rest, b...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		w.line(string(w.rest[:i]))
		w.rest = w.rest[i+1:]
	}
}

func (k *kcat) admin(ctx context.Context, job adminJob) (res adminResult, err error) {
	args := []string{"-L", "-J"}
	switch job.Action {
	case listTopics:
	case describeTopic:
		args = append(args, "-t", job.Topic)
	default:
		return res, errors.ErrUnsupported
	}
	out, err := k.command(ctx, args...).Output()
	if err != nil {
		return res, err
	}
	var l listing
	if err := json.Unmarshal(out, &l); err != nil {
		return res, err
	}
	for _, t := range l.Topics {
		res.Topics = append(res.Topics, t.Topic)
		res.Partitions = int32(len(t.Partitions))
	}
	return res, nil
}

// listing is what kcat -L -J prints.
type listing struct {
	Brokers []struct {
		ID   int32  `json:"id"`
		Name string `json:"name"`
	} `json:"brokers"`
	Topics []struct {
		Topic      string `json:"topic"`
		Partitions []struct {
			Partition int32 `json:"partition"`
			Leader    int32 `json:"leader"`
			ISRs      []struct {
				ID int32 `json:"id"`
			} `json:"isrs"`
		} `json:"partitions"`
	} `json:"topics"`
}

// TestKcatList checks kcat -L in both forms: the broker, its address, and a topic's partitions with their leader.
func TestKcatList(t *testing.T) {
	b := sharedBroker(t)
	path, err := installKcat()
	if err != nil {
		t.Fatal(err)
	}
	newTopic(t, b, "kcat-list", 3, nil)
	out, err := exec.Command(path, "-b", b.Bootstrap(), "-L").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	addrs := harness.Seeds(b.Bootstrap())
	for _, want := range []string{fmt.Sprintf("%d brokers", len(addrs)), "at " + b.Addr, `topic "kcat-list" with 3 partitions`, "partition 2, leader"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("kcat -L does not say %q:\n%s", want, out)
		}
	}
	if out, err = exec.Command(path, "-b", b.Bootstrap(), "-L", "-J").Output(); err != nil {
		t.Fatal(err)
	}
	var l listing
	if err := json.Unmarshal(out, &l); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ids := map[int32]bool{}
	var named []string
	for _, n := range l.Brokers {
		ids[n.ID] = true
		named = append(named, n.Name)
	}
	slices.Sort(addrs)
	slices.Sort(named)
	if !slices.Equal(named, addrs) || len(ids) != len(addrs) {
		t.Errorf("brokers %+v, want those at %v", l.Brokers, addrs)
	}
	for _, topic := range l.Topics {
		if topic.Topic != "kcat-list" {
			continue
		}
		for _, p := range topic.Partitions {
			inSync := map[int32]bool{}
			for _, r := range p.ISRs {
				inSync[r.ID] = ids[r.ID]
			}
			if !inSync[p.Leader] || len(p.ISRs) != int(replicas(t)) || len(inSync) != len(p.ISRs) {
				t.Errorf("partition %+v, want a leader, and %d in-sync replicas that are brokers, it among them", p, replicas(t))
			}
		}
		return
	}
	t.Errorf("topic kcat-list is not in %s", out)
}

package compat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/test/harness"
)

// stepMax bounds one command to a client: a client that retries for ever must end as a failure with its reason.
const stepMax = 90 * time.Second

// client is one Kafka client library under test.
type client interface {
	// produce writes records in order, each to its own partition, and returns once all were acknowledged, with the
	// offset of each where the client tells it (else -1).
	produce(ctx context.Context, job produceJob) ([]int64, error)
	// consume reads all partitions of the topics from the start until count records were read.
	consume(ctx context.Context, topics []string, count int) ([]record, error)
	// group joins members consumers to a group, calls assigned once each of them has partitions, consumes until
	// count records were read by all of them together, commits and leaves. It returns what each member read.
	group(ctx context.Context, job groupJob, assigned func([][]int32)) ([][]record, error)
	// admin runs one call of the client's admin API.
	admin(ctx context.Context, job adminJob) (adminResult, error)
	close()
}

type produceJob struct {
	Op         string   `json:"op"`
	Topic      string   `json:"topic"`
	Codec      string   `json:"codec"` // none, gzip, snappy, lz4, zstd
	Idempotent bool     `json:"idempotent"`
	Acks       int      `json:"acks"`
	Records    []record `json:"records"`
}

type consumeJob struct {
	Op     string   `json:"op"`
	Topics []string `json:"topics"`
	Count  int      `json:"count"`
}

type groupJob struct {
	Op      string `json:"op"`
	Topic   string `json:"topic"`
	Group   string `json:"group"`
	Members int    `json:"members"`
	Count   int    `json:"count"`
}

type adminJob struct {
	Op         string            `json:"op"`
	Action     string            `json:"action"`
	Topic      string            `json:"topic,omitempty"`
	Group      string            `json:"group,omitempty"`
	Partitions int32             `json:"partitions,omitempty"`
	Replicas   int16             `json:"replicas,omitempty"`
	Offset     int64             `json:"offset"`
	Configs    map[string]string `json:"configs,omitempty"`
}

// adminResult carries whichever of these the action asks for.
type adminResult struct {
	Topics     []string          `json:"topics,omitempty"`
	Partitions int32             `json:"partitions,omitempty"`
	Configs    map[string]string `json:"configs,omitempty"`
	Groups     []string          `json:"groups,omitempty"`
	State      string            `json:"state,omitempty"`
	Offsets    map[string]int64  `json:"offsets,omitempty"` // partition -> offset
	Bytes      int64             `json:"bytes,omitempty"`
}

// driver is a client that runs as a program of its own and speaks one JSON document a line.
type driver struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr string
	mu     sync.Mutex // one command at a time
}

type reply struct {
	OK         bool        `json:"ok"`
	Error      string      `json:"error"`
	Event      string      `json:"event"`
	Assignment [][]int32   `json:"assignment"`
	Offsets    []int64     `json:"offsets"`
	Records    []record    `json:"records"`
	Members    [][]record  `json:"members"`
	Admin      adminResult `json:"admin"`
}

// startDriver runs a program with the bootstrap address as its last argument.
func startDriver(t testing.TB, name string, argv ...string) (*driver, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := newLog(t, name)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &driver{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<16), stderr: log.Name()}, nil
}

// do sends a command and reads lines until its result; events are passed on.
func (d *driver) do(ctx context.Context, job any, event func(reply)) (reply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line, err := json.Marshal(job)
	if err != nil {
		return reply{}, err
	}
	defer context.AfterFunc(ctx, func() { d.cmd.Process.Kill() })()
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		return reply{}, d.failed(ctx, err)
	}
	for {
		line, err := d.out.ReadBytes('\n')
		if err != nil {
			return reply{}, d.failed(ctx, err)
		}
		var r reply
		if err := json.Unmarshal(line, &r); err != nil {
			return reply{}, fmt.Errorf("driver printed %q: %w", short(line), err)
		}
		switch {
		case r.Event != "":
			if event != nil {
				event(r)
			}
		case !r.OK:
			return r, fmt.Errorf("%s\n%s", r.Error, harness.Tail(d.stderr, 10))
		default:
			return r, nil
		}
	}
}

func (d *driver) failed(ctx context.Context, err error) error {
	return fmt.Errorf("%s: %w\n%s", filepath.Base(d.cmd.Path), errors.Join(ctx.Err(), err), harness.Tail(d.stderr, 20))
}

func (d *driver) produce(ctx context.Context, job produceJob) ([]int64, error) {
	job.Op = "produce"
	r, err := d.do(ctx, job, nil)
	return r.Offsets, err
}

func (d *driver) consume(ctx context.Context, topics []string, count int) ([]record, error) {
	r, err := d.do(ctx, consumeJob{"consume", topics, count}, nil)
	return r.Records, err
}

func (d *driver) group(ctx context.Context, job groupJob, assigned func([][]int32)) ([][]record, error) {
	job.Op = "group"
	r, err := d.do(ctx, job, func(r reply) { assigned(r.Assignment) })
	return r.Members, err
}

func (d *driver) admin(ctx context.Context, job adminJob) (adminResult, error) {
	job.Op = "admin"
	r, err := d.do(ctx, job, nil)
	return r.Admin, err
}

func (d *driver) close() {
	d.in.Close()
	d.cmd.Process.Kill()
	d.cmd.Wait()
}

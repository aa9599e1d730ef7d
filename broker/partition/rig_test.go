package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"chronik/broker/config"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// rig runs one partition over an in-memory file system, with everything real
// underneath: raft group, hard states, sync coordinator, log.
type rig struct {
	t      *testing.T
	fs     vfs.FS
	conf   config.TopicConfig
	clock  *clock.Manual
	syncer *wal.Syncer
	states *raftstore.HardStates
	host   *multiraft.Host
	broken error // what closing is expected to say
	p      *Partition
}

// settings are Kafka's defaults, but for segments of 16 MiB (a file in memory takes its whole length), and what is given.
func settings(t *testing.T, overrides map[string]string) *config.TopicConfig {
	t.Helper()
	all := map[string]string{"segment.bytes": "16777216"}
	maps.Copy(all, overrides)
	broker, err := config.ResolveBroker(config.Layers{})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := config.ResolveTopic(all, broker)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func newRig(t *testing.T, overrides map[string]string) *rig {
	r := &rig{t: t, fs: vfs.NewMem(), conf: *settings(t, overrides), clock: clock.NewManual(time.UnixMilli(1_700_000_000_000))}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.syncer = wal.NewSyncer(wal.SyncerOptions{})
	if r.states, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: r.fs, Dir: "hs"}); err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r.host = multiraft.NewHost(multiraft.Options{NodeID: 1, HardStates: r.states, Clock: clock.Real, Logger: log, Shards: 2})
	r.host.Start()
	r.p, err = Open(Options{
		Topic: "t", Partition: 0, GroupID: 20, Voters: []uint64{1}, Dir: "p", FS: r.fs, Syncer: r.syncer, Host: r.host,
		Clock: r.clock, Rand: rand.New(rand.NewPCG(1, 2)), Logger: log, Metrics: metrics.Discard(),
		Settings: func() *config.TopicConfig { return &r.conf },
	}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.await(func() bool { return r.p.State().Leading })
}

func (r *rig) close() {
	if r.p == nil {
		return
	}
	if err := errors.Join(r.p.Close(), r.host.Stop(context.Background()), r.states.Close()); !errors.Is(err, r.broken) {
		r.t.Errorf("close: %v, want %v", err, r.broken)
	}
	r.syncer.Close()
	r.p = nil
}

// reopen closes everything and opens it again.
func (r *rig) reopen() {
	r.close()
	r.open()
}

func (r *rig) await(ok func() bool) {
	r.t.Helper()
	w := NewWatcher()
	r.p.Watch(w)
	defer r.p.Unwatch(w)
	deadline := time.After(3 * time.Minute)
	for !ok() {
		select {
		case <-w.C():
		case <-deadline:
			r.t.Fatalf("waited three minutes: %+v", r.p.State())
		}
	}
}

// acks collects results by token.
type acks chan struct {
	token int
	r     Result
}

func (a acks) Acked(token int, r Result) {
	a <- struct {
		token int
		r     Result
	}{token, r}
}

// sequence is where a batch stands in its producer's numbering.
type sequence struct {
	id    int64
	epoch int16
	first int32
}

var plain = sequence{-1, -1, -1}

// records builds one batch with a record for each value, at ts, ts+1, ...
func records(t *testing.T, s sequence, ts int64, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	for i, v := range values {
		b.Add(ts+int64(i), nil, []byte(v))
	}
	o := batch.Plain(batch.None)
	o.ProducerID, o.ProducerEpoch, o.BaseSequence = s.id, s.epoch, s.first
	raw, err := b.Build(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// append appends a batch with acks=all and waits for its result.
func (r *rig) append(s sequence, ts int64, values ...string) (Result, error) {
	r.t.Helper()
	a := make(acks, 1)
	if err := r.p.Append(records(r.t, s, ts, values...), AcksAll, -1, a, 7); err != nil {
		return Result{}, err
	}
	select {
	case got := <-a:
		if got.token != 7 {
			r.t.Errorf("acknowledged with token %d", got.token)
		}
		return got.r, got.r.Err
	case <-time.After(3 * time.Minute):
		r.t.Fatal("no acknowledgement in three minutes")
		return Result{}, nil
	}
}

func (r *rig) mustAppend(s sequence, ts int64, values ...string) Result {
	r.t.Helper()
	res, err := r.append(s, ts, values...)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// read reads everything from an offset on, as "offset=value" in order.
func (r *rig) read(from int64, bytesMax int) string {
	r.t.Helper()
	return r.readAs(Read{Offset: from, BytesMax: bytesMax, AtLeastOne: true, CurrentEpoch: -1, LastEpoch: -1})
}

func (r *rig) readAs(q Read) string {
	r.t.Helper()
	res, _, err := r.p.Read(q, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Release()
	var out []string
	size := 0
	for _, piece := range res.Records {
		size += len(piece)
		for v, err := range batch.All(piece) {
			if err != nil {
				r.t.Fatal(err)
			}
			for rec, err := range batch.Records(v, nil) {
				if err != nil {
					r.t.Fatal(err)
				}
				out = append(out, fmt.Sprintf("%d=%s", rec.Offset, rec.Value))
			}
		}
	}
	if size != res.Bytes {
		r.t.Errorf("Bytes is %d, the records have %d", res.Bytes, size)
	}
	return strings.Join(out, " ")
}

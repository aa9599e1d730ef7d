package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
	"chronik/test/load"
)

// healMax bounds the wait for a broker to go on once it has what it needs.
const healMax = 2 * time.Minute

// probe is a client that does not try again, and a topic of its own with one partition.
type probe struct {
	t     *testing.T
	b     *harness.Broker
	c     *kgo.Client
	acked []string // values, by offset; "" for one whose fate is not known
	sent  int
}

const probeTopic = "probe"

func newProbe(t *testing.T, b *harness.Broker) *probe {
	t.Helper()
	p := &probe{t: t, b: b}
	p.connect()
	segment := "1048576"
	if _, err := kadm.NewClient(p.c).CreateTopic(p.ctx(), 1, 1, map[string]*string{"segment.bytes": &segment}, probeTopic); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *probe) connect() {
	p.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(p.b.Addr), kgo.DefaultProduceTopic(probeTopic), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0),
		kgo.RequestRetries(0), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordDeliveryTimeout(30*time.Second), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(c.Close)
	p.c = c
}

func (p *probe) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	return ctx
}

// produce sends one record and notes where it was acknowledged.
func (p *probe) produce() error {
	p.sent++
	value := fmt.Sprintf("%d %s", p.sent, strings.Repeat("x", 60_000))
	r, err := p.c.ProduceSync(p.ctx(), kgo.StringRecord(value)).First()
	if err != nil {
		return err
	}
	for int64(len(p.acked)) <= r.Offset {
		p.acked = append(p.acked, "")
	}
	if p.acked[r.Offset] != "" {
		p.t.Fatalf("offset %d was acknowledged twice", r.Offset)
	}
	p.acked[r.Offset] = value
	return nil
}

// untilRefused produces until that is refused with one of the errors.
func (p *probe) untilRefused(want ...error) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		err := p.produce()
		if slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			return
		}
		if err != nil && !errors.Is(err, kgo.ErrRecordTimeout) {
			p.t.Fatalf("produce: %v, want %v", err, want)
		}
	}
	p.t.Fatalf("%d records were acknowledged within a minute", len(p.acked))
}

// audit reads the topic from its start: what was acknowledged is there, in its place.
func (p *probe) audit() {
	p.t.Helper()
	if len(p.acked) == 0 {
		p.t.Fatal("nothing was acknowledged")
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(p.b.Addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{probeTopic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	for next, ctx := int64(0), p.ctx(); next < int64(len(p.acked)); {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			p.t.Fatalf("probe at offset %d of %d: %v", next, len(p.acked), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next {
				p.t.Fatalf("probe: offset %d follows %d", r.Offset, next-1)
			}
			if next < int64(len(p.acked)) && p.acked[next] != "" && p.acked[next] != string(r.Value) {
				p.t.Fatalf("probe: offset %d holds %.10q, acknowledged was %.10q", next, r.Value, p.acked[next])
			}
			next++
		})
	}
}

// get is the body of a page of the broker's, which must answer 200.
func get(t *testing.T, b *harness.Broker, page string) string {
	t.Helper()
	resp, err := http.Get(b.HTTP + page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", page, resp.StatusCode, err, body)
	}
	return string(body)
}

// Series of /metrics: logs that the broker has given up because a sync failed, and groups that wait for room.
const (
	flushErrors = "chronik_storage_flush_errors_total"
	withoutRoom = "chronik_storage_groups_without_room"
)

// metric is the value of a series without labels.
func metric(t *testing.T, b *harness.Broker, series string) (n float64) {
	t.Helper()
	for line := range strings.Lines(get(t, b, "/metrics")) {
		if _, err := fmt.Sscanf(line, series+" %g", &n); err == nil {
			return n
		}
	}
	t.Fatalf("/metrics has no %s", series)
	return 0
}

// answers checks what a broker on a full disk answers to those who do more than read.
func (p *probe) answers() {
	p.t.Helper()
	seed := p.c.SeedBrokers()[0]
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = "full-disk", -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = probeTopic
	topic.Partitions = []kmsg.OffsetCommitRequestTopicPartition{kmsg.NewOffsetCommitRequestTopicPartition()}
	commit.Topics = []kmsg.OffsetCommitRequestTopic{topic}
	resp, err := commit.RequestWith(p.ctx(), seed)
	if err != nil {
		p.t.Fatalf("OffsetCommit on a full disk: %v", err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil && !kerr.IsRetriable(err) {
		p.t.Errorf("OffsetCommit on a full disk: %v, want nothing or what is tried again", err)
	}
	if _, err := kadm.NewClient(p.c).DescribeGroups(p.ctx()); err != nil {
		p.t.Errorf("describe groups: %v", err)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	later := kmsg.NewCreateTopicsRequestTopic()
	later.Topic, later.NumPartitions, later.ReplicationFactor = "later", 3, 1
	create.Topics, create.TimeoutMillis = []kmsg.CreateTopicsRequestTopic{later}, 20_000
	made, err := create.RequestWith(p.ctx(), seed)
	if err != nil {
		p.t.Fatalf("CreateTopics on a full disk: %v", err)
	}
	if err := kerr.ErrorForCode(made.Topics[0].ErrorCode); err != nil && !errors.Is(err, kerr.KafkaStorageError) { // nil: something else gave up its room
		p.t.Errorf("CreateTopics on a full disk: %v, want KAFKA_STORAGE_ERROR", err)
	}
	get(p.t, p.b, "/health")
}

// heals waits until the broker works as before.
func (p *probe) heals() {
	p.t.Helper()
	harness.Eventually(p.t, healMax, "produce with room again", p.produce)
	adm := kadm.NewClient(p.c)
	harness.Eventually(p.t, healMax, "the topic that found no room", func() error {
		_, err := adm.CreateTopic(p.ctx(), 3, 1, nil, "later")
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return err
		}
		ends, err := adm.ListEndOffsets(p.ctx(), "later")
		if err = errors.Join(err, ends.Error()); err != nil || len(ends["later"]) != 3 {
			return fmt.Errorf("%v: %w", ends, err)
		}
		return nil
	})
}

// TestFullDisk takes all the room away from a broker under load and gives it back, twice, the second time with the end
// of the process in between. The load's clients try again for ever, so in the end all they sent is there.
func TestFullDisk(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_DISK_SEED", "disk")
	d := newDisk(t, 192, 0)
	b := harness.Start(t, harness.Config{Dir: filepath.Join(d.Mount, "data"), Set: load.Settings()})
	r, p := load.Start(t, b, seed), newProbe(t, b)
	r.AwaitTraffic()
	if err := p.produce(); err != nil {
		t.Fatal(err)
	}

	release := ballast(t, d.Mount, 0)
	p.untilRefused(kerr.KafkaStorageError)
	r.CheckReads()
	p.audit()
	p.answers()
	if n := metric(t, b, flushErrors); n != 0 {
		t.Errorf("%g logs were given up", n)
	}
	if n := metric(t, b, withoutRoom); n < 1 {
		t.Errorf("%g groups wait for room", n)
	}
	release()
	p.heals()
	harness.Eventually(t, healMax, "nobody waits for room", func() error {
		if n := metric(t, b, withoutRoom); n != 0 {
			return fmt.Errorf("%g groups do", n)
		}
		return nil
	})
	r.AwaitTraffic()
	r.Check()

	release = ballast(t, d.Mount, 0)
	p.untilRefused(kerr.KafkaStorageError)
	if status, err := b.Stop(); err != nil || status > 1 { // 1: it says that not everything could be written
		t.Errorf("SIGTERM on a full disk: status %d, %v", status, err)
	}
	release()
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	r.AwaitTraffic()
	r.Check()
	p.audit()
	r.Finish()
	t.Logf("%d records of the load acknowledged, %d of %d of the probe", r.Acknowledged(), len(p.acked), p.sent)
}

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
	"chronik/test/load"
)

// limit is for what must come at all.
const limit = time.Minute

// start runs three nodes, or as many as cfg says, with the settings of the load.
func start(t *testing.T, cfg harness.ClusterConfig) *harness.Cluster {
	t.Helper()
	if cfg.Set == nil {
		cfg.Set = load.Settings()
	}
	return harness.StartCluster(t, cfg)
}

// options are those of a load on a cluster, at a pace that leaves room on two processors.
func options(c *harness.Cluster) load.Options {
	return load.Options{Addr: c.Bootstrap(), Cluster: true, Pause: 150 * time.Millisecond}
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return c
}

// client lives through whatever happens to the nodes.
func client(t *testing.T, c *harness.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(load.Steady(c.Bootstrap(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// impatient sends each record once, waits for it as long as given, and says what became of it.
func impatient(t *testing.T, addr string, wait time.Duration, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(harness.Seeds(addr)...), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.ProduceRequestTimeout(wait),
		kgo.RecordDeliveryTimeout(wait), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.UnknownTopicRetries(-1),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// create makes a topic of three replicas and waits until all nodes agree that all of them are in sync. configs are name,
// value, name, value.
func create(t *testing.T, c *harness.Cluster, topic string, parts int32, configs ...string) {
	t.Helper()
	m := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		m[configs[i]] = &configs[i+1]
	}
	if _, err := kadm.NewClient(client(t, c)).CreateTopic(ctx(t), parts, 3, m, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
	c.Leaders(limit, topic)
	c.AwaitISR(limit, harness.IDs(c.Nodes), topic)
	sizes(t, c, topic, 3) // of a new topic Metadata names all that live: here they have confirmed it
}

// produce writes n numbered records from the given number on, round the partitions, and wants all of them acknowledged.
func produce(t *testing.T, c *harness.Cluster, topic string, parts, from, n int) {
	t.Helper()
	cl := client(t, c, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var rs []*kgo.Record
	for i := from; i < from+n; i++ {
		rs = append(rs, &kgo.Record{Partition: int32(i % parts), Value: fmt.Appendf(nil, "%d", i)})
	}
	if err := cl.ProduceSync(ctx(t), rs...).FirstErr(); err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
}

// consume reads a topic from its start to the present ends, by partition.
func consume(t *testing.T, c *harness.Cluster, topic string, opts ...kgo.Opt) map[int32][]string {
	t.Helper()
	ends, err := kadm.NewClient(client(t, c)).ListEndOffsets(ctx(t), topic)
	if err != nil || ends.Error() != nil {
		t.Fatal(err, ends.Error())
	}
	from := map[int32]kgo.Offset{}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = kgo.NewOffset().At(0); left += o.Offset })
	cl := client(t, c, append([]kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(100 * time.Millisecond)}, opts...)...)
	got := map[int32][]string{}
	for left > 0 {
		fetches := cl.PollFetches(ctx(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s, %d records left: %v", topic, left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if want := int64(len(got[r.Partition])); r.Offset != want {
				t.Fatalf("%s/%d: offset %d follows %d", topic, r.Partition, r.Offset, want-1)
			}
			got[r.Partition] = append(got[r.Partition], string(r.Value))
			left--
		})
	}
	return got
}

// numbered wants exactly the records that produce has written, in order, each once.
func numbered(t *testing.T, got map[int32][]string, parts, n int) {
	t.Helper()
	total := 0
	for p := range parts {
		next := p
		for _, v := range got[int32(p)] {
			if v != fmt.Sprint(next) {
				t.Fatalf("partition %d: record %s where %d was to come", p, v, next)
			}
			next += parts
			total++
		}
	}
	if total != n {
		t.Fatalf("%d records consumed, want exactly %d", total, n)
	}
}

// fetch asks a node itself for a partition's records from an offset on.
func fetch(t *testing.T, b *harness.Broker, topic string, part int32, offset int64, rack string, within time.Duration) (kmsg.FetchResponseTopicPartition, error) {
	t.Helper()
	m, err := b.Metadata(context.Background(), topic)
	if err != nil {
		return kmsg.FetchResponseTopicPartition{}, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.Rack = 100, 1, rack
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = topic, m.Topics[0].TopicID
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = part, offset, 10<<20
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	c, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	resp, err := b.Request(c, req)
	if err != nil {
		return kmsg.FetchResponseTopicPartition{}, err
	}
	r := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return kmsg.FetchResponseTopicPartition{}, err
	}
	p := r.Topics[0].Partitions[0]
	return p, kerr.ErrorForCode(p.ErrorCode)
}

// batch is an uncompressed record batch of one record, or more, without a producer.
func batch(values ...string) []byte {
	var records []byte
	for i, v := range values {
		r := kmsg.NewRecord()
		r.OffsetDelta, r.Value = int32(i), []byte(v)
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length was encoded as 0 in one byte
		records = r.AppendTo(records)
	}
	now := time.Now().UnixMilli()
	rb := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		LastOffsetDelta: int32(len(values) - 1), NumRecords: int32(len(values)), Records: records,
	}
	b := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// records are the values in batches that are not compressed.
func records(t *testing.T, b []byte) (values []string) {
	t.Helper()
	for len(b) > 12 {
		end := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if end > len(b) {
			break // cut off, as a fetch may be
		}
		rb := kmsg.NewRecordBatch()
		if err := rb.ReadFrom(b[:end]); err != nil {
			t.Fatal(err)
		}
		rest := rb.Records
		for range rb.NumRecords {
			n, size := binary.Varint(rest)
			r := kmsg.NewRecord()
			if err := r.ReadFrom(rest[:size+int(n)]); err != nil {
				t.Fatal(err)
			}
			values = append(values, string(r.Value))
			rest = rest[size+int(n):]
		}
		b = b[end:]
	}
	return values
}

// send has a node itself append a batch; nil means that it was acknowledged.
func send(b *harness.Broker, topic string, part int32, acks int16, timeout time.Duration, values ...string) (offset int64, err error) {
	m, err := b.Metadata(context.Background(), topic)
	if err != nil {
		return -1, err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, int32(timeout.Milliseconds())
	pt := kmsg.NewProduceRequestTopic()
	pt.Topic, pt.TopicID = topic, m.Topics[0].TopicID
	pp := kmsg.NewProduceRequestTopicPartition()
	pp.Partition, pp.Records = part, batch(values...)
	pt.Partitions = append(pt.Partitions, pp)
	req.Topics = append(req.Topics, pt)
	resp, err := b.Request(context.Background(), req)
	if err != nil {
		return -1, err
	}
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.BaseOffset, kerr.ErrorForCode(p.ErrorCode)
}

// led are the partitions that a node leads.
func led(leaders []int32, id int32) (parts []int32) {
	for p, l := range leaders {
		if l == id {
			parts = append(parts, int32(p))
		}
	}
	return parts
}

// witness measures for how long at a stretch this process was not given a processor: what takes longer than the contract
// allows because the machine stood still says nothing about the cluster.
type witness struct {
	worst atomic.Int64
	stop  chan struct{}
}

// stalledMin is the pause of the machine from which on a time that is too long is not held against the cluster.
const stalledMin = 200 * time.Millisecond

func watch() *witness {
	w := &witness{stop: make(chan struct{})}
	go func() {
		const step = 10 * time.Millisecond
		tick := time.NewTicker(step)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				now := time.Now()
				w.worst.Store(max(w.worst.Load(), int64(now.Sub(last)-step)))
				last = now
			}
		}
	}()
	return w
}

// stalled ends the watch.
func (w *witness) stalled() time.Duration {
	close(w.stop)
	return time.Duration(w.worst.Load())
}

// distribution is times in order: fewest to most.
func distribution(ds []time.Duration) string {
	if len(ds) == 0 {
		return "none"
	}
	ds = slices.Clone(ds)
	slices.Sort(ds)
	at := func(q float64) time.Duration {
		return ds[min(len(ds)-1, int(q*float64(len(ds))))].Round(time.Millisecond)
	}
	return fmt.Sprintf("n=%d min %v p50 %v p90 %v p99 %v max %v", len(ds), at(0), at(0.5), at(0.9), at(0.99), at(1))
}

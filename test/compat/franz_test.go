package compat

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"chronik/test/harness"
)

// franz is twmb/franz-go, with kadm as its admin API. With versions it speaks as it would to an older broker.
type franz struct {
	addr     string
	versions *kversion.Versions
}

// dial makes a client with what every one here needs.
func (f franz) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append(opts, kgo.SeedBrokers(harness.Seeds(f.addr)...))
	if f.versions != nil {
		opts = append(opts, kgo.MaxVersions(f.versions))
	}
	return kgo.NewClient(opts...)
}

func (f franz) close() {}

func franzCodec(name string) kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[name]
}

func toKgo(r record, topic string) *kgo.Record {
	k := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
	if r.Timestamp != 0 {
		k.Timestamp = millis(r.Timestamp)
	}
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	return k
}

func fromKgo(k *kgo.Record) record {
	r := record{
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset,
		Timestamp: k.Timestamp.UnixMilli(), Key: k.Key, Value: k.Value,
	}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, header{h.Key, h.Value})
	}
	return r
}

func (f franz) produce(ctx context.Context, job produceJob) ([]int64, error) {
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(franzCodec(job.Codec)), kgo.ProducerBatchMaxBytes(2 * mib),
		kgo.RequiredAcks(map[int]kgo.Acks{-1: kgo.AllISRAcks(), 0: kgo.NoAck(), 1: kgo.LeaderAck()}[job.Acks]),
	}
	if !job.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	c, err := f.dial(opts...)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	records := make([]*kgo.Record, len(job.Records))
	for i, r := range job.Records {
		records[i] = toKgo(r, job.Topic)
	}
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	offsets := make([]int64, len(records))
	for i, r := range records {
		offsets[i] = r.Offset
	}
	return offsets, nil
}

func (f franz) consume(ctx context.Context, topics []string, count int) ([]record, error) {
	raw, err := f.consumeRaw(ctx, topics, count)
	records := make([]record, len(raw))
	for i, r := range raw {
		records[i] = fromKgo(r)
	}
	return records, err
}

// consumeRaw keeps franz-go's own records, which also tell the codec that each batch was stored with.
func (f franz) consumeRaw(ctx context.Context, topics []string, count int) ([]*kgo.Record, error) {
	c, err := f.dial(kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var records []*kgo.Record
	for len(records) < count {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return records, fmt.Errorf("after %d of %d records: %w", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func (f franz) group(ctx context.Context, job groupJob, assigned func([][]int32)) ([][]record, error) {
	g := newGathering(job, assigned)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, job.Members)
	for m := range job.Members {
		wg.Go(func() {
			if errs[m] = f.member(ctx, job, g, m); errs[m] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return g.result(errs)
}

func (f franz) member(ctx context.Context, job groupJob, g *gathering, m int) error {
	c, err := f.dial(kgo.ConsumeTopics(job.Topic), kgo.ConsumerGroup(job.Group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { g.assign(m, a[job.Topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { g.revoke(m, a[job.Topic]) }))
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for !g.finished() {
		pctx, cancel := context.WithTimeout(ctx, pollStep)
		fetches := c.PollFetches(pctx)
		cancel()
		if ctx.Err() != nil {
			return g.progress(ctx.Err())
		}
		for _, r := range fetches.Records() {
			g.add(m, fromKgo(r))
		}
		if fetches.NumRecords() > 0 {
			if err := c.CommitUncommittedOffsets(ctx); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		c.AllowRebalance()
	}
	return nil
}

func (f franz) admin(ctx context.Context, job adminJob) (adminResult, error) {
	c, err := f.dial()
	if err != nil {
		return adminResult{}, err
	}
	defer c.Close()
	return kadmCall(ctx, kadm.NewClient(c), job)
}

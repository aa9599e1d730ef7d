package compat

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"chronik/test/harness"
)

// saramaClient is IBM/sarama, speaking as it would to a broker of a version.
type saramaClient struct {
	addr    string
	version sarama.KafkaVersion
}

func (s saramaClient) close() {}

func (s saramaClient) config() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = s.version
	cfg.ClientID = "compat-sarama"
	cfg.Metadata.Retry.Max = 20
	cfg.Consumer.Return.Errors = true
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	cfg.Consumer.MaxWaitTime = 100 * time.Millisecond
	return cfg
}

func saramaCodec(name string) sarama.CompressionCodec {
	return map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}[name]
}

// encoder tells null (a nil Encoder) from empty.
func encoder(b []byte) sarama.Encoder {
	if b == nil {
		return nil
	}
	return sarama.ByteEncoder(b)
}

func (s saramaClient) produce(_ context.Context, job produceJob) ([]int64, error) {
	cfg := s.config()
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Compression = saramaCodec(job.Codec)
	cfg.Producer.RequiredAcks = sarama.RequiredAcks(job.Acks)
	cfg.Producer.MaxMessageBytes = 2 * mib
	cfg.Producer.Return.Successes = true
	cfg.Producer.Idempotent = job.Idempotent
	cfg.Net.MaxOpenRequests = 1 // sarama keeps order, and allows idempotence, only so
	p, err := sarama.NewSyncProducer(harness.Seeds(s.addr), cfg)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	msgs := make([]*sarama.ProducerMessage, len(job.Records))
	for i, r := range job.Records {
		m := &sarama.ProducerMessage{
			Topic: job.Topic, Partition: r.Partition, Key: encoder(r.Key), Value: encoder(r.Value), Timestamp: millis(r.Timestamp),
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
		}
		msgs[i] = m
	}
	if err := p.SendMessages(msgs); err != nil {
		return nil, fmt.Errorf("%w: first: %v", err, err.(sarama.ProducerErrors)[0])
	}
	offsets := make([]int64, len(msgs))
	for i, m := range msgs {
		offsets[i] = m.Offset
	}
	return offsets, nil
}

func fromSarama(m *sarama.ConsumerMessage) record {
	r := record{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		Timestamp: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value,
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, header{string(h.Key), h.Value})
	}
	return r
}

func (s saramaClient) consume(ctx context.Context, topics []string, count int) ([]record, error) {
	c, err := sarama.NewConsumer(harness.Seeds(s.addr), s.config())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	got := make(chan record, 100)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, topic := range topics {
		parts, err := c.Partitions(topic)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", topic, err)
		}
		for _, p := range parts {
			pc, err := c.ConsumePartition(topic, p, sarama.OffsetOldest)
			if err != nil {
				return nil, fmt.Errorf("%s/%d: %w", topic, p, err)
			}
			defer pc.AsyncClose()
			go forward(ctx, pc, got, failed)
		}
	}
	var records []record
	for len(records) < count {
		select {
		case r := <-got:
			records = append(records, r)
		case err := <-failed:
			return records, err
		case <-ctx.Done():
			return records, fmt.Errorf("after %d of %d records: %w", len(records), count, ctx.Err())
		}
	}
	return records, nil
}

func forward(ctx context.Context, pc sarama.PartitionConsumer, got chan<- record, failed chan<- error) {
	for {
		select {
		case m, ok := <-pc.Messages():
			if !ok {
				return
			}
			select {
			case got <- fromSarama(m):
			case <-ctx.Done():
				return
			}
		case err, ok := <-pc.Errors():
			if ok {
				select {
				case failed <- err:
				default:
				}
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s saramaClient) group(ctx context.Context, job groupJob, assigned func([][]int32)) ([][]record, error) {
	g := newGathering(job, assigned)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, job.Members)
	for m := range job.Members {
		wg.Go(func() {
			if errs[m] = s.member(ctx, job, g, m); errs[m] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return g.result(errs)
}

func (s saramaClient) member(ctx context.Context, job groupJob, g *gathering, m int) error {
	cfg := s.config()
	cfg.Consumer.Offsets.AutoCommit.Enable = false
	cfg.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c, err := sarama.NewConsumerGroup(harness.Seeds(s.addr), job.Group, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	mctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for !g.finished() && mctx.Err() == nil {
			time.Sleep(pollStep)
		}
		cancel()
	}()
	for mctx.Err() == nil {
		if err := c.Consume(mctx, []string{job.Topic}, &saramaHandler{g, m}); err != nil && mctx.Err() == nil {
			return err
		}
	}
	if !g.finished() {
		return g.progress(ctx.Err())
	}
	return nil
}

// saramaHandler runs the claims of one member in one generation.
type saramaHandler struct {
	g *gathering
	m int
}

func (h *saramaHandler) Setup(s sarama.ConsumerGroupSession) error {
	for _, parts := range s.Claims() {
		h.g.assign(h.m, parts)
	}
	return nil
}

func (h *saramaHandler) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	for _, parts := range s.Claims() {
		h.g.revoke(h.m, parts)
	}
	return nil
}

func (h *saramaHandler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			h.g.add(h.m, fromSarama(m))
			s.MarkMessage(m, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func (s saramaClient) admin(_ context.Context, job adminJob) (res adminResult, err error) {
	a, err := sarama.NewClusterAdmin(harness.Seeds(s.addr), s.config())
	if err != nil {
		return res, err
	}
	defer a.Close()
	return saramaCall(a, job)
}

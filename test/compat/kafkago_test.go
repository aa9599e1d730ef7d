package compat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"chronik/test/harness"
)

// kafkaGo is segmentio/kafka-go: Writer, Reader and Client.
type kafkaGo struct {
	addr      string
	transport *kafka.Transport
}

// newKafkaGo keeps topic metadata for a moment only: its default of six seconds would hide a topic made by others.
func newKafkaGo(addr string) kafkaGo {
	return kafkaGo{addr, &kafka.Transport{MetadataTTL: 100 * time.Millisecond}}
}

func (k kafkaGo) close() { k.transport.CloseIdleConnections() }

// placed sends each message to the partition that its WriterData names.
type placed struct{}

func (placed) Balance(m kafka.Message, _ ...int) int { return m.WriterData.(position).partition }

type position struct{ partition, index int }

func (k kafkaGo) produce(ctx context.Context, job produceJob) ([]int64, error) {
	if job.Idempotent {
		return nil, errors.ErrUnsupported
	}
	if err := k.known(ctx, job.Topic); err != nil {
		return nil, err
	}
	offsets := make([]int64, len(job.Records))
	var mu sync.Mutex
	w := &kafka.Writer{
		Addr: kafka.TCP(harness.Seeds(k.addr)...), Topic: job.Topic, Balancer: placed{}, BatchBytes: 2 * mib, BatchTimeout: 5 * time.Millisecond,
		RequiredAcks: kafka.RequiredAcks(job.Acks),
		Compression: map[string]kafka.Compression{
			"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
		}[job.Codec],
		Transport: k.transport,
		Completion: func(ms []kafka.Message, _ error) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range ms {
				offsets[m.WriterData.(position).index] = m.Offset
			}
		},
	}
	defer w.Close()
	msgs := make([]kafka.Message, len(job.Records))
	for i, r := range job.Records {
		m := kafka.Message{Key: r.Key, Value: r.Value, Time: millis(r.Timestamp), WriterData: position{int(r.Partition), i}}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
		msgs[i] = m
	}
	err := w.WriteMessages(ctx, msgs...)
	mu.Lock()
	defer mu.Unlock()
	return offsets, err
}

// known waits until the transport's cached metadata has the topic: the Writer gives up at once when it has not.
func (k kafkaGo) known(ctx context.Context, topic string) error {
	for {
		meta, err := k.client().Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err == nil && len(meta.Topics) == 1 && meta.Topics[0].Error == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("metadata of %s: %w", topic, errors.Join(err, ctx.Err()))
		}
		time.Sleep(20 * time.Millisecond) // polling step
	}
}

func fromKafkaGo(m kafka.Message) record {
	r := record{
		Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset,
		Timestamp: m.Time.UnixMilli(), Key: m.Key, Value: m.Value,
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, header{h.Key, h.Value})
	}
	return r
}

func (k kafkaGo) consume(ctx context.Context, topics []string, count int) ([]record, error) {
	meta, err := k.client().Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, err
	}
	var records []record
	for _, t := range meta.Topics {
		if t.Error != nil {
			return records, fmt.Errorf("%s: %w", t.Name, t.Error)
		}
		for _, p := range t.Partitions {
			rs, err := k.partition(ctx, t.Name, p.ID)
			if err != nil {
				return records, fmt.Errorf("%s/%d: %w", t.Name, p.ID, err)
			}
			records = append(records, rs...)
		}
	}
	if len(records) != count {
		return records, fmt.Errorf("%d records up to the high watermarks, want %d", len(records), count)
	}
	return records, nil
}

// partition reads one partition from its start to the last offset that the broker names.
func (k kafkaGo) partition(ctx context.Context, topic string, p int) ([]record, error) {
	conn, err := kafka.DialLeader(ctx, "tcp", harness.Seeds(k.addr)[0], topic, p)
	if err != nil {
		return nil, err
	}
	last, err := conn.ReadLastOffset()
	conn.Close()
	if err != nil || last == 0 {
		return nil, err
	}
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: harness.Seeds(k.addr), Topic: topic, Partition: p, MaxBytes: 10 * mib, MaxWait: 100 * time.Millisecond,
	})
	defer r.Close()
	var records []record
	for int64(len(records)) < last {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return records, err
		}
		records = append(records, fromKafkaGo(m))
	}
	return records, nil
}

func (k kafkaGo) client() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(harness.Seeds(k.addr)...), Timeout: 30 * time.Second, Transport: k.transport}
}

func (k kafkaGo) group(ctx context.Context, job groupJob, assigned func([][]int32)) ([][]record, error) {
	g := newGathering(job, assigned)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go k.watch(ctx, job, g)
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

// watch asks the broker for the assignment, which kafka-go's Reader does not show.
func (k kafkaGo) watch(ctx context.Context, job groupJob, g *gathering) {
	for ctx.Err() == nil {
		resp, err := k.client().DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{job.Group}})
		if err == nil && len(resp.Groups) == 1 && resp.Groups[0].GroupState == "Stable" && len(resp.Groups[0].Members) == job.Members {
			for i, m := range resp.Groups[0].Members {
				for _, t := range m.MemberAssignments.Topics {
					var parts []int32
					for _, p := range t.Partitions {
						parts = append(parts, int32(p))
					}
					g.assign(i, parts)
				}
			}
			return
		}
		time.Sleep(50 * time.Millisecond) // polling step
	}
}

func (k kafkaGo) member(ctx context.Context, job groupJob, g *gathering, m int) error {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: harness.Seeds(k.addr), GroupID: job.Group, Topic: job.Topic, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond, HeartbeatInterval: 300 * time.Millisecond,
	})
	defer r.Close()
	for !g.finished() {
		pctx, cancel := context.WithTimeout(ctx, pollStep)
		msg, err := r.FetchMessage(pctx)
		cancel()
		switch {
		case ctx.Err() != nil:
			return g.progress(ctx.Err())
		case errors.Is(err, context.DeadlineExceeded):
			continue
		case err != nil:
			return err
		}
		g.add(m, fromKafkaGo(msg))
		if err := r.CommitMessages(ctx, msg); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	return nil
}

func (k kafkaGo) admin(ctx context.Context, job adminJob) (adminResult, error) {
	fresh := newKafkaGo(k.addr) // ListOffsets answers -1 for partitions that its cached metadata does not have
	defer fresh.close()
	return kafkaGoCall(ctx, fresh.client(), job)
}

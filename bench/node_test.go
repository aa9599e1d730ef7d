package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"golang.org/x/sys/unix"
)

const produceVersion, fetchVersion = 9, 12

// BenchmarkProduce sends batches with acks=all over some connections, five in
// flight on each, to as many partitions; every acknowledgement is durable.
// raw-MB/s is what pwrite + fdatasync of the same batch size gives, one after
// the other, to a file written before, measured right after.
func BenchmarkProduce(b *testing.B) {
	for _, conns := range []int{1, 8} {
		for _, size := range []int{1 << 10, 16 << 10, 256 << 10, 1000 << 10} {
			b.Run(fmt.Sprintf("conns=%d/batch=%dKiB", conns, size>>10), func(b *testing.B) { benchProduce(b, conns, size) })
		}
	}
}

func benchProduce(b *testing.B, conns, size int) {
	addr := startNode(b)
	createTopic(b, addr, "t", int32(conns))
	raw := recordBatch(b, size, min(1000, size-100))
	latencies := make(chan []time.Duration, conns)
	clients := make([]*client, conns)
	for i := range clients {
		clients[i] = dial(b, addr)
	}
	b.SetBytes(int64(len(raw)))
	b.ResetTimer()
	for i, c := range clients {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		go func() { latencies <- produceLoop(b, c, int32(i), n, raw) }()
	}
	var all []time.Duration
	for range clients {
		all = append(all, <-latencies...)
	}
	elapsed := b.Elapsed()
	b.StopTimer()
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
	}
	mb := float64(len(raw)) * float64(b.N) / 1e6 / elapsed.Seconds()
	rawMB := rawSync(b, len(raw))
	b.ReportMetric(rawMB, "raw-MB/s")
	b.ReportMetric(mb/rawMB, "x-raw")
}

const inFlight = 5

func produceLoop(b *testing.B, c *client, partition int32, n int, raw []byte) []time.Duration {
	started := make(chan time.Time, inFlight)
	go func() {
		req := msg.ProduceRequest{Acks: -1, TimeoutMs: 30000, TopicData: []msg.TopicProduceData{{
			Name: "t", PartitionData: []msg.PartitionProduceData{{Index: partition, Records: raw}},
		}}}
		for range n {
			started <- time.Now()
			if err := c.send(&req, produceVersion); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	out := make([]time.Duration, 0, n)
	var resp msg.ProduceResponse
	for range n {
		if err := c.receive(&resp, produceVersion); err != nil {
			b.Error(err)
			return out
		}
		out = append(out, time.Since(<-started))
		if code := resp.Responses[0].PartitionResponses[0].ErrorCode; code != 0 {
			b.Errorf("error code %d", code)
			return out
		}
	}
	return out
}

// rawSync is the rate of pwrite + fdatasync of size bytes, in MB/s, over a
// file that has been written and synced before.
func rawSync(b *testing.B, size int) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const rounds = 100
	buf := make([]byte, size)
	for i := range int64(rounds) {
		if _, err := f.WriteAt(buf, i*int64(size)); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for i := range int64(rounds) {
		if _, err := f.WriteAt(buf, i*int64(size)); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return rounds * float64(size) / 1e6 / time.Since(began).Seconds()
}

// BenchmarkFetch reads back what was produced, in fetches of up to 1 MiB.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("batch=%dKiB", size>>10), func(b *testing.B) {
			addr := startNode(b)
			createTopic(b, addr, "t", 1)
			raw := recordBatch(b, size, min(1000, size-100))
			c := dial(b, addr)
			batches := (64 << 20) / len(raw)
			produceLoop(b, c, 0, batches, raw)
			total := int64(batches) * int64(len(raw))
			b.SetBytes(total)
			b.ResetTimer()
			for range b.N {
				if got := fetchAll(b, c); got != total {
					b.Fatalf("fetched %d bytes, produced %d", got, total)
				}
			}
		})
	}
}

func fetchAll(b *testing.B, c *client) (bytes int64) {
	var resp msg.FetchResponse
	for offset := int64(0); ; {
		var req msg.FetchRequest
		req.Default()
		req.MinBytes, req.MaxBytes = 1, 1<<20
		req.Topics = []msg.FetchTopic{{
			Topic: "t", Partitions: []msg.FetchPartition{{CurrentLeaderEpoch: -1, FetchOffset: offset, LastFetchedEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: 1 << 20}},
		}}
		c.call(&req, &resp, fetchVersion)
		p := &resp.Responses[0].Partitions[0]
		if p.ErrorCode != 0 {
			b.Fatalf("error code %d", p.ErrorCode)
		}
		n := wire.Records(p.Records).Size()
		if n == 0 {
			return bytes
		}
		bytes += int64(n)
		offset = nextOffset(b, p.Records)
	}
}

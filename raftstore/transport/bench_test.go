package transport

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// benchPair is two connected nodes; got counts what the second one is delivered.
func benchPair(b *testing.B) (a, to *testNode, got *atomic.Int64) {
	got = &atomic.Int64{}
	a, to = pair(b, func(o *Options) {
		o.Deliver = func(uint64, uint64, *pb.Message) error { got.Add(1); return nil }
		o.Serve = func(_ context.Context, _ uint64, _ uint8, body []byte) ([]byte, error) { return body, nil }
	})
	until(b, "the connections", func() bool { return a.connectedTo(2) && to.connectedTo(1) })
	return a, to, got
}

// BenchmarkLoopback measures appends from node to node over loopback, both in
// this process, up to 16 MiB of them under way.
func BenchmarkLoopback(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			a, _, got := benchPair(b)
			window := int64(max(8, min(16<<20/size, 10_000)))
			msgs := []*pb.Message{appendOf(1, 2, 1, make([]byte, size))}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				for sent-got.Load() >= window {
					yield()
				}
				a.Send(1, msgs)
				sent++
			}
			until(b, "the rest", func() bool { return got.Load() == sent })
		})
	}
}

func yield() { _ = syscall.Nanosleep(&syscall.Timespec{Nsec: 20_000}, nil) }

// BenchmarkCall measures a call and its answer, one at a time.
func BenchmarkCall(b *testing.B) {
	a, _, _ := benchPair(b)
	body := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Call(b.Context(), 2, 1, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThousandGroups has two nodes beat for 1,000 groups, 500 led by each,
// and answer, ten times a second for five seconds. It tells what that takes:
// bytes a second on the wire in both directions, and processor time of both
// nodes (and of this test, which makes the messages) in ms a second.
func BenchmarkThousandGroups(b *testing.B) {
	const groups, beats = 1000, 50
	var bytes, delivered atomic.Int64
	a, c := pair(b, func(o *Options) {
		o.Hooks.Sent = func(_ pb.MessageType, _, n int) { bytes.Add(int64(n)) }
		o.Deliver = func(uint64, uint64, *pb.Message) error { delivered.Add(1); return nil }
	})
	until(b, "the connections", func() bool { return a.connectedTo(2) && c.connectedTo(1) })
	for b.Loop() {
		bytes.Store(0)
		delivered.Store(0)
		start, busy := time.Now(), processorTime()
		tick := time.NewTicker(100 * time.Millisecond)
		for beat := range beats {
			for g := range uint64(groups) {
				from, to := a, c
				if g%2 == 1 {
					from, to = c, a
				}
				from.Send(g, []*pb.Message{heartbeat(from.id, to.id, 70, 1e6)})
				to.Send(g, []*pb.Message{{Type: pb.MsgHeartbeatResp.Enum(), From: &to.id, To: &from.id, Term: new(uint64(70))}})
			}
			until(b, "a round", func() bool { return delivered.Load() == int64(2*groups*(beat+1)) })
			<-tick.C
		}
		tick.Stop()
		took := time.Since(start).Seconds()
		b.ReportMetric(float64(bytes.Load())/took, "B/s")
		b.ReportMetric((processorTime()-busy).Seconds()*1000/took, "cpu-ms/s")
		b.ReportMetric(float64(delivered.Load())/took, "messages/s")
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

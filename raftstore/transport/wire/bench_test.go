package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// benchMessage is an append as a leader sends it.
func benchMessage(entries, size int) *pb.Message {
	m := &pb.Message{Type: pb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(70)), LogTerm: new(uint64(70)),
		Index: new(uint64(1e6)), Commit: new(uint64(1e6))}
	for i := range entries {
		m.Entries = append(m.Entries, &pb.Entry{Term: new(uint64(70)), Index: new(1e6 + 1 + uint64(i)), Type: pb.EntryNormal.Enum(), Data: bytes.Repeat([]byte{byte(i)}, size)})
	}
	return m
}

// BenchmarkAppend measures a MsgApp, beside protobuf, which has no frame and
// no hash: ours are with both. What is encoded is written to nothing.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ entries, size int }{{1, 100}, {16, 1 << 10}, {1, 64 << 10}, {1, 1 << 20}} {
		m := benchMessage(c.entries, c.size)
		name := fmt.Sprintf("%dx%dB", c.entries, c.size)
		run := func(what string, f func(b *testing.B)) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(int64(c.entries * c.size))
				b.ReportAllocs()
				f(b)
			})
		}
		w := &Writer{}
		framed := frame(b, w, grouped{7, m})
		plain, _ := proto.Marshal(m)
		run("encode/chronik", func(b *testing.B) {
			for b.Loop() {
				w.Message(7, m)
				if err := w.Flush(io.Discard, FrameMessages, func() {}); err != nil {
					b.Fatal(err)
				}
			}
		})
		run("encode/protobuf", func(b *testing.B) {
			for b.Loop() {
				if _, err := proto.Marshal(m); err != nil {
					b.Fatal(err)
				}
			}
		})
		run("decode/chronik", func(b *testing.B) {
			src := bytes.NewReader(nil)
			r := bufio.NewReaderSize(src, 32<<10)
			for b.Loop() {
				src.Reset(framed)
				r.Reset(src)
				_, body, err := ReadFrame(r, bulkLimit)
				if err != nil {
					b.Fatal(err)
				}
				mr := Messages(body, 1, 2)
				if _, got, ok := mr.Next(); !ok || len(got.Entries) != c.entries {
					b.Fatal(mr.Err())
				}
			}
		})
		run("decode/protobuf", func(b *testing.B) {
			src := bytes.NewReader(nil)
			for b.Loop() { // as it would come from a socket: into a buffer of its own
				src.Reset(plain)
				body := make([]byte, len(plain))
				if _, err := io.ReadFull(src, body); err != nil {
					b.Fatal(err)
				}
				got := &pb.Message{}
				if err := proto.Unmarshal(body, got); err != nil || len(got.Entries) != c.entries {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHeartbeats measures what a pair of nodes says about 1,000 groups at each tick.
func BenchmarkHeartbeats(b *testing.B) {
	const groups = 1000
	m := &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(70)), Commit: new(uint64(1e6))}
	plain, _ := proto.Marshal(m)
	w := &Writer{}
	var framed []byte
	b.Run("encode/chronik", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for g := range uint64(groups) {
				w.Message(g, m)
			}
			b.ReportMetric(float64(w.Len())/groups, "B/heartbeat")
			if err := w.Flush(io.Discard, FrameMessages, func() {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for g := range uint64(groups) {
		w.Message(g, m)
	}
	framed = frame(b, w)
	b.Run("encode/protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for range groups {
				if _, err := proto.Marshal(m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(plain)), "B/heartbeat")
		}
	})
	b.Run("decode/chronik", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			r := Messages(framed[headerLen:], 1, 2)
			for _, _, ok := r.Next(); ok; _, _, ok = r.Next() {
				n++
			}
			if n != groups {
				b.Fatal(r.Err())
			}
		}
	})
	b.Run("decode/protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for range groups {
				got := &pb.Message{}
				if err := proto.Unmarshal(plain, got); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

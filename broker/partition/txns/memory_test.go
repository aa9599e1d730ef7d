package txns

import (
	"runtime"
	"testing"

	"chronik/broker/partition/producers"
	"chronik/segment"
)

// A hanging transaction at the front does not keep those behind it that have ended.
func TestEndedTransactionsAreForgotten(t *testing.T) {
	l := NewLedger(1 << 40)
	l.Observe(data(1, 0, 0, 1), 0, 1)
	for i := range int64(10_000) {
		id := 2 + i%7
		l.Observe(data(id, 0, int32(i/7), 1), 1+2*i, 1)
		l.Observe(marker(id, 0, 1, true), 2+2*i, 1)
		if stable := l.Txns.Stable(3 + 2*i); stable != 0 || len(l.Txns.order) > 8 || len(l.Txns.ended) != 0 {
			t.Fatalf("after %d transactions: stable %d, %d in order, %d ended", i+1, stable, len(l.Txns.order), len(l.Txns.ended))
		}
	}
}

// What a log does not take, because it is too large, stays in memory.
func TestCheckpointTooLarge(t *testing.T) {
	l := NewLedger(1 << 40)
	for i := range int64(segment.CheckpointBytesMax/abortedBytes + 1) {
		l.Txns.aborted = append(l.Txns.aborted, Aborted{1, 2 * i, 2*i + 1})
	}
	many, end := len(l.Txns.aborted), int64(1<<30)
	sealed := func(int64) bool { return true }
	if n := len(l.Checkpoint(producers.AsOf{Offset: segment.Offset(end)}, end, 0, sealed)); n <= segment.CheckpointBytesMax {
		t.Fatalf("%d bytes", n)
	}
	l.Txns.TurnPage(0, sealed)
	if in, pages := l.Txns.Find(0, end); len(in) != many || len(pages) != 0 {
		t.Errorf("%d of %d in memory, pages %v", len(in), many, pages)
	}
}

// BenchmarkMemory reports what a partition's memory grows by for each transaction that is open, each that was aborted in
// the segment that is written, and each producer that a marker is known of.
func BenchmarkMemory(b *testing.B) {
	for name, grow := range map[string]func(l *Ledger, i int64){
		"open":    func(l *Ledger, i int64) { l.Txns.begin(i, 0, i) },
		"aborted": func(l *Ledger, i int64) { l.Txns.begin(1, 0, 2*i); l.Txns.end(1, 2*i+1, true); l.Txns.Stable(2 * i) },
		"fence":   func(l *Ledger, i int64) { l.Txns.fences.put(fence{id: i, at: i}) },
	} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				l := NewLedger(1 << 40)
				for i := range int64(producers.Max) {
					grow(l, i)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(l)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/producers.Max, "B/each")
		})
	}
}

package multiraft

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/segment"
	"chronik/wal"
)

// pump is a state machine as cheap as can be: records of equal size, copied
// once when they are proposed, acknowledged in order.
type pump struct {
	group atomic.Pointer[Group]
	size  int

	mu      sync.Mutex
	pending []byte
	end     segment.Offset
	leading bool
	waiting []chan error // of all records not committed, in order
	entries int
}

func (p *pump) Describe(b []byte) (segment.Offset, uint32, int64) {
	return segment.Offset(binary.LittleEndian.Uint64(b)), uint32(len(b) / p.size), -1
}

func (p *pump) TakeProposal(_ segment.Term, bytesMax int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.pending), max(bytesMax/p.size, 1)*p.size)
	if n == 0 {
		return nil
	}
	out := p.pending[:n:n] // not copied: what is appended meanwhile goes behind it
	if p.pending = p.pending[n:]; len(p.pending) == 0 {
		p.pending = nil
	}
	binary.LittleEndian.PutUint64(out, uint64(p.end))
	p.end += segment.Offset(n / p.size)
	p.entries++
	return out
}

func (p *pump) Appended([]segment.Entry, segment.Index, segment.Offset, bool) {}
func (p *pump) Durable(segment.Offset)                                        {}
func (p *pump) NoRoom(error)                                                  {}

func (p *pump) Committed(entries []segment.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		n := min(int(e.Count), len(p.waiting)) // none on a node that follows
		for _, c := range p.waiting[:n] {
			c <- nil
		}
		p.waiting = p.waiting[:copy(p.waiting, p.waiting[n:])]
	}
}

func (p *pump) RoleChanged(c RoleChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leading = c.Role == Leader
}

func (p *pump) Failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.waiting {
		c <- err
	}
	p.waiting = nil
}

func (p *pump) produce(record []byte, c chan error) error {
	p.mu.Lock()
	p.pending = append(p.pending, record...)
	p.waiting = append(p.waiting, c)
	p.mu.Unlock()
	p.group.Load().Wake()
	return <-c
}

// benchNode is a node on a real directory.
type benchNode struct {
	hs     *raftstore.HardStates
	syncer *wal.Syncer
	host   *Host
	logs   []*wal.Log
	pumps  []*pump
	synced atomic.Int64 // files
	rounds atomic.Int64
}

func startBench(b *testing.B, groups, size int, segmentBytes int64, tune func(*Options)) *benchNode {
	b.Helper()
	n := openBench(b, groups, size, segmentBytes, []uint64{1}, tune)
	for _, p := range n.pumps {
		until(b, "leader", nil, p.leads)
	}
	return n
}

func (p *pump) leads() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leading
}

func openBench(b *testing.B, groups, size int, segmentBytes int64, voters []uint64, tune func(*Options)) *benchNode {
	b.Helper()
	dir := b.TempDir()
	n := &benchNode{}
	var err error
	if n.hs, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: vfs.OS, Dir: dir + "/hs"}); err != nil {
		b.Fatal(err)
	}
	n.syncer = wal.NewSyncer(wal.SyncerOptions{Observe: func(r wal.Round) { n.synced.Add(int64(r.Logs)); n.rounds.Add(1) }})
	o := Options{NodeID: 1, HardStates: n.hs, Metrics: testMetrics}
	if tune != nil {
		tune(&o)
	}
	n.host = NewHost(o)
	n.host.Start()
	for g := range groups {
		log, _, err := wal.Open(wal.Options{Dir: fmt.Sprintf("%s/g%d", dir, g), Syncer: n.syncer, SegmentBytes: func() int64 { return segmentBytes }})
		if err != nil {
			b.Fatal(err)
		}
		p := &pump{size: size}
		group, err := n.host.Add(GroupOptions{ID: uint64(g + 1), Log: log, Voters: voters, SM: p, SkipApplied: true,
			Candidate: uint64(g%len(voters)+1) == o.NodeID})
		if err != nil {
			b.Fatal(err)
		}
		p.group.Store(group)
		n.logs, n.pumps = append(n.logs, log), append(n.pumps, p)
	}
	return n
}

func (n *benchNode) close(b *testing.B) {
	if err := n.host.Stop(context.Background()); err != nil {
		b.Error(err)
	}
	for _, l := range n.logs {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	}
	n.syncer.Close()
	if err := n.hs.Close(); err != nil {
		b.Error(err)
	}
}

// rawSyncs is how many records of a size a second one file takes when each is
// written in place over zeros and synced: what one proposer could get at best.
func rawSyncs(b *testing.B, size int) float64 {
	b.Helper()
	f, err := vfs.OS.Create(b.TempDir() + "/raw")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const total = 16 << 20
	if err := f.Zero(0, total); err != nil {
		b.Fatal(err)
	}
	if err := f.Datasync(); err != nil {
		b.Fatal(err)
	}
	record := make([]byte, size)
	n, begin := 0, time.Now()
	for ; time.Since(begin) < 300*time.Millisecond; n++ {
		record[0]++
		if _, err := f.WriteAt(record, int64(n*size%total)); err != nil {
			b.Fatal(err)
		}
		if err := f.Datasync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(begin).Seconds()
}

// BenchmarkPropose: an operation is one record proposed by one of many
// concurrent proposers until it is committed, so durable.
func BenchmarkPropose(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, groups := range []int{1, 64} {
			for _, proposers := range []int{1, 64, 256} {
				if proposers < groups {
					continue
				}
				b.Run(fmt.Sprintf("size=%dK/groups=%d/proposers=%d", size>>10, groups, proposers), func(b *testing.B) {
					benchPropose(b, groups, proposers, size, nil)
				})
			}
		}
	}
}

// BenchmarkInflightSyncs is what Options.InflightSyncsMax was chosen by.
func BenchmarkInflightSyncs(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, groups := range []int{1, 64} {
			for _, inflight := range []int{1, 2, 4, 16} {
				b.Run(fmt.Sprintf("size=%dK/groups=%d/inflight=%d", size>>10, groups, inflight), func(b *testing.B) {
					benchPropose(b, groups, 256, size, func(o *Options) { o.InflightSyncsMax = inflight })
				})
			}
		}
	}
}

func benchPropose(b *testing.B, groups, proposers, size int, tune func(*Options)) {
	raw := rawSyncs(b, size)
	n := startBench(b, groups, size, 64<<20, tune)
	defer n.close(b)
	n.synced.Store(0)
	n.rounds.Store(0)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range proposers {
		wg.Go(func() {
			p, record, c := n.pumps[i%groups], make([]byte, size), make(chan error, 1)
			for left.Add(-1) >= 0 {
				if err := p.produce(record, c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)/seconds, "proposals/s")
	b.ReportMetric(float64(b.N)/float64(max(1, n.synced.Load())), "proposals/sync")
	b.ReportMetric(float64(n.rounds.Load())/seconds, "rounds/s")
	b.ReportMetric(raw, "raw-syncs/s")
}

// BenchmarkIdleGroup reports the heap that one idle one-voter group holds, its
// log included.
func BenchmarkIdleGroup(b *testing.B) {
	const groups = 1000
	heap := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	for range b.N {
		before := heap()
		n := startBench(b, groups, 64, 64<<10, nil)
		after := heap()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/groups, "B/group")
		b.ReportMetric(float64(after.HeapObjects-before.HeapObjects)/groups, "objects/group")
		n.close(b)
	}
}

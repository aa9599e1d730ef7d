package compat

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// pollStep bounds one poll of a group member, so that it notices that the group has read everything.
const pollStep = 200 * time.Millisecond

// gathering collects what the members of one group read; it is shared by the goroutines of in-process members.
type gathering struct {
	mu       sync.Mutex
	job      groupJob
	assigned func([][]int32)
	told     bool
	held     [][]int32
	records  [][]record
	seen     map[[2]int64]bool // partition, offset
}

func newGathering(job groupJob, assigned func([][]int32)) *gathering {
	return &gathering{
		job: job, assigned: assigned, seen: map[[2]int64]bool{},
		held: make([][]int32, job.Members), records: make([][]record, job.Members),
	}
}

// assign adds partitions to a member.
func (g *gathering) assign(m int, parts []int32) {
	g.change(m, func(held []int32) []int32 { return append(held, parts...) })
}

func (g *gathering) revoke(m int, parts []int32) {
	g.change(m, func(held []int32) []int32 {
		return slices.DeleteFunc(held, func(p int32) bool { return slices.Contains(parts, p) })
	})
}

// change changes what a member holds; once every member holds some partitions and no partition is held twice, the
// test is told, once. Twice is how it looks while one process's line that it gave a partition up is still on its way.
func (g *gathering) change(m int, f func([]int32) []int32) {
	g.mu.Lock()
	g.held[m] = f(g.held[m])
	all := slices.Sorted(slices.Values(slices.Concat(g.held...)))
	tell := !g.told && len(slices.Compact(slices.Clone(all))) == len(all) &&
		!slices.ContainsFunc(g.held, func(p []int32) bool { return len(p) == 0 })
	if tell {
		g.told = true
	}
	held := make([][]int32, len(g.held))
	for i := range held {
		held[i] = slices.Clone(g.held[i])
	}
	g.mu.Unlock()
	if tell {
		go g.assigned(held) // the test produces now; the member's callback must not wait for it
	}
}

func (g *gathering) add(m int, r record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.records[m] = append(g.records[m], r)
	g.seen[[2]int64{int64(r.Partition), r.Offset}] = true
}

func (g *gathering) finished() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.told && len(g.seen) >= g.job.Count
}

func (g *gathering) progress(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("%d of %d records, assignment %v: %w", len(g.seen), g.job.Count, g.held, err)
}

func (g *gathering) result(errs []error) ([][]record, error) {
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return g.records, nil
}

func millis(ms int64) time.Time { return time.UnixMilli(ms) }

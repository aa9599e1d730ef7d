package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// table writes the rows and keeps what the summary and the plot need.
type table struct {
	w    io.Writer
	err  error
	rows []entry
}

type entry struct {
	row
	results []result // fastest first
}

const ours = "chronik"

func (t *table) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *table) head(b *bench) {
	t.printf("# %s %s/%s, %d cores; %d slices of %v a contender and row, in turn\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.limits.slices, b.limits.time)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains([]string{"go.etcd.io/etcd/server/v3", "github.com/hashicorp/raft-wal", "github.com/tidwall/wal",
				"github.com/hashicorp/raft-boltdb/v2", "github.com/cockroachdb/pebble/v2"}, m.Path) {
				t.printf("# %s %s\n", m.Path, m.Version)
			}
		}
	}
	t.printf(`# p50, p99: of one operation. MB/s: payload, from the median of the slices' mean times; the order within a row is by it.
# x raw: median against raw's (pwrite, and fdatasync where synced, of the payloads alone in room written before; reads: pread).
# x best: MB/s of the fastest contender against this one. device: bytes written to the disk per byte of payload.
# Raw takes no place. An unsynced append is in the hands of the system on return and outlives the process, except where
# marked (own memory): those it may still lose with the process.
`)
}

// find is the result of a contender, nil if it has none.
func (e *entry) find(name string) *result {
	for i := range e.results {
		if e.results[i].name == name {
			return &e.results[i]
		}
	}
	return nil
}

// bestPeer is the fastest contender that is not ours and not raw; with alike,
// of those that do no less than ours.
func (e *entry) bestPeer(alike bool) *result {
	for i := range e.results {
		if r := &e.results[i]; !r.raw && r.name != ours && !(alike && e.less(r)) {
			return r
		}
	}
	return nil
}

// less tells that what r did is less than what the others did.
func (e *entry) less(r *result) bool {
	return r.keeps && strings.HasPrefix(e.group, "append, unsynced")
}

func (t *table) add(r row, results []result) {
	e := entry{r, results}
	slices.SortStableFunc(e.results, func(a, b result) int { return int(a.mean - b.mean) })
	t.rows = append(t.rows, e)
	raw := e.find("raw")
	var first *result
	t.printf("\n%s (one operation: %s)\n", r.name(), r.op)
	t.printf("  %-3s %-12s %10s %10s %10s %10s %7s %7s %9s %7s %8s\n", "", "", "p50", "p99", "mean", "MB/s", "x raw", "x best", "allocs", "device", "ops")
	place := 0
	for i := range e.results {
		c := &e.results[i]
		mark, xBest := "", ""
		if !c.raw {
			place++
			mark = fmt.Sprintf("%d.", place)
			if first == nil {
				first = c
			}
			xBest = fmt.Sprintf("%.2f", float64(c.mean)/float64(first.mean))
		}
		xRaw, device := "", ""
		if raw != nil {
			xRaw = fmt.Sprintf("%.2f", float64(c.p50)/float64(raw.p50))
		}
		note := ""
		if e.less(c) {
			note = "  (own memory)"
		}
		if c.device > 0 && !strings.HasPrefix(r.group, "read") {
			device = fmt.Sprintf("%.2f", c.device)
		}
		t.printf("  %-3s %-12s %10s %10s %10s %10.1f %7s %7s %9.2f %7s %8d%s\n",
			mark, c.name, short(c.p50), short(c.p99), short(c.mean), c.rate/1e6, xRaw, xBest, c.allocs, device, c.ops, note)
	}
}

// short is a duration in four digits.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%dns", d.Nanoseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fus", float64(d)/1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// summary says for each row how Chronik did, and in how many it is first.
func (t *table) summary() {
	t.printf("\nChronik, row by row (x raw: of the medians; ahead: the best peer's mean time against ours; by p50: the same of the medians)\n")
	t.printf("  %-44s %-18s %10s %10s %7s  %-12s %7s %7s %7s  %s\n", "", "", "p50", "MB/s", "x raw", "best peer", "ahead", "by p50", "allocs", "first")
	var behind []string
	rows, less, byMedian := 0, 0, 0
	for i := range t.rows {
		e := &t.rows[i]
		c, p, raw := e.find(ours), e.bestPeer(false), e.find("raw")
		if c == nil || p == nil {
			continue
		}
		rows++
		xRaw := ""
		if raw != nil {
			xRaw = fmt.Sprintf("%.2f", float64(c.p50)/float64(raw.p50))
		}
		if p.p50 >= c.p50 {
			byMedian++
		}
		first := "yes"
		if p.mean < c.mean {
			first = "NO"
			line := fmt.Sprintf("%s: %s takes %.2f of Chronik's time", e.name(), p.name, float64(p.mean)/float64(c.mean))
			if e.less(p) {
				if alike := e.bestPeer(true); alike == nil || alike.mean >= c.mean {
					less++
				}
				line += ", and may lose the append with the process"
			}
			behind = append(behind, line)
		}
		t.printf("  %-44s %-18s %10s %10.1f %7s  %-12s %7.2f %7.2f %7.2f  %s\n", e.group, e.label, short(c.p50), c.rate/1e6, xRaw,
			p.name, float64(p.mean)/float64(c.mean), float64(p.p50)/float64(c.p50), c.allocs, first)
	}
	t.goals()
	t.printf("\nChronik is first in %d of %d rows, by the medians level with the best peer of the row or ahead in %d.\n", rows-len(behind), rows, byMedian)
	if less > 0 {
		t.printf("In %d of the others all that are faster keep the append in their own memory.\n", less)
	}
	for _, line := range behind {
		t.printf("  not in %s\n", line)
	}
}

// goals says how the run stands to what the engine is meant to do.
func (t *table) goals() {
	near, synced, allocs := 0, 0, 0
	t.printf("\n")
	for i := range t.rows {
		e := &t.rows[i]
		c, raw, etcd := e.find(ours), e.find("raw"), e.find("etcd")
		if c == nil || raw == nil || !strings.HasPrefix(e.group, "append") {
			continue
		}
		if c.allocs >= 0.5 {
			allocs++
		}
		if strings.HasPrefix(e.group, "append, synced") {
			synced++
			if float64(c.p50) <= 1.1*float64(raw.p50) {
				near++
			}
		} else if e.label == "1KiB" && etcd != nil {
			t.printf("%s: %.1f times etcd's MB/s (3 is the goal).\n", e.name(), c.rate/etcd.rate)
		}
	}
	t.printf("Synced appends whose median is at most 1.10 of raw's: %d of %d rows. Rows of appends with an allocation an operation: %d.\n", near, synced, allocs)
}

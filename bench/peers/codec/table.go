package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// table writes the rows and keeps what the summary needs.
type table struct {
	w    io.Writer
	err  error
	rows []entry
}

type entry struct {
	row
	results []result
}

func (t *table) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *table) head(rounds int, slice time.Duration) {
	t.printf("# make bench-codec (cd bench/peers && go run ./codec); compare within a row\n")
	t.printf("# %s %s/%s, %d cores; %d rounds of %v a contender and row, in turn\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, slice)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.HasPrefix(m.Path, "github.com/twmb/franz-go") || m.Path == "github.com/IBM/sarama" {
				t.printf("# %s %s\n", m.Path, m.Version)
			}
		}
	}
	t.printf("# ns: processor time of one operation without garbage collection, the median of the rounds\n")
	t.printf("# x kmsg: the time of kmsg's fastest way by this one's; allocs, B: made by one operation\n")
}

// fastest is the fastest contender of a codec, of those that begin with
// nothing if fresh; nil if there is none.
func (e *entry) fastest(codec string, fresh bool) *result {
	var best *result
	for i := range e.results {
		r := &e.results[i]
		if r.codec == codec && (r.fresh || !fresh) && (best == nil || r.time < best.time) {
			best = r
		}
	}
	return best
}

// ours is Chronik's result in the way that the ratio is of.
func (e *entry) ours() *result {
	for i := range e.results {
		if r := &e.results[i]; r.codec == "chronik" && r.way == "" {
			return r
		}
	}
	return nil
}

func (t *table) add(r row, results []result) {
	e := entry{r, results}
	t.rows = append(t.rows, e)
	t.printf("\n%s, %d bytes\n", r.name, r.bytes)
	t.printf("  %-24s %12s %10s %9s %10s %10s\n", "", "ns", "MB/s", "x kmsg", "allocs", "B")
	best := e.fastest("kmsg", false)
	for _, c := range results {
		ratio := ""
		if best != nil {
			ratio = fmt.Sprintf("%.2f", float64(best.time)/float64(c.time))
		}
		t.printf("  %-24s %12.1f %10.1f %9s %10.2f %10.0f\n", c.name(), c.nanoseconds(), float64(r.bytes)/c.nanoseconds()*1e3, ratio, c.allocs, c.bytes)
	}
}

// quotient is how much longer a takes than b.
func quotient(a, b *result) string {
	if a == nil || b == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a.time)/float64(b.time))
}

func (t *table) summary() {
	t.printf("\nHow much longer the others take (x kmsg: its fastest way; new: both begin with nothing; sarama: over a connection in memory)\n")
	t.printf("  %-66s %10s %7s %7s %7s %7s  %s\n", "", "ns", "allocs", "x kmsg", "new", "sarama", "goal")
	for i := range t.rows {
		e := &t.rows[i]
		ours := e.ours()
		if ours == nil {
			continue
		}
		kmsg := e.fastest("kmsg", false)
		goal := ""
		if e.goal > 0 && kmsg != nil {
			verdict := "met"
			if float64(kmsg.time) < e.goal*float64(ours.time) {
				verdict = "NOT met"
			}
			goal = fmt.Sprintf("%.0f, %s", e.goal, verdict)
		}
		t.printf("  %-66s %10.1f %7.2f %7s %7s %7s  %s\n", e.name, ours.nanoseconds(), ours.allocs, quotient(kmsg, ours),
			quotient(e.fastest("kmsg", true), e.fastest("chronik", true)), quotient(e.fastest("sarama", false), ours), goal)
	}
}

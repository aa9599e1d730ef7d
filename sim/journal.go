package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"
)

// journal is what happened, in order, and a digest of it.
type journal struct {
	begin time.Time
	all   bool // also what is only mixed is kept

	mu     sync.Mutex
	lines  []string
	digest uint64
	events int
}

func newJournal() *journal { return &journal{begin: time.Now()} }

// add notes an event that a reader wants to see.
func (j *journal) add(format string, args ...any) {
	line := fmt.Sprintf("%9.4f ", time.Since(j.begin).Seconds()) + fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	j.mixLocked(line)
}

// mix takes an event into the digest alone.
func (j *journal) mix(format string, args ...any) {
	line := fmt.Sprintf("%d ", time.Since(j.begin)) + fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all {
		j.lines = append(j.lines, line)
	}
	j.mixLocked(line)
}

func (j *journal) mixLocked(line string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", j.digest, line)
	j.digest = h.Sum64()
	j.events++
}

// journalHandler takes a node's log into the journal while its process lives.
type journalHandler struct {
	j     *journal
	name  string
	ended context.Context
	attrs []slog.Attr
}

func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo && h.ended.Err() == nil
}

func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", h.name, r.Level, r.Message)
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	h.j.add("%s", b.String())
	return nil
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &with
}

func (h *journalHandler) WithGroup(string) slog.Handler { return h }

// stacks notes the stacks of goroutines that have a text in them: where somebody
// who did not get on stands. They are no part of the digest.
func (j *journal) stacks(text string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	j.mu.Lock()
	defer j.mu.Unlock()
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(g, text) {
			j.lines = append(j.lines, strings.Split(g, "\n")...)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"chronik/test/harness"
)

// state is what an idle broker holds.
type state struct {
	heap        float64 // bytes, a few per cent of garbage among them
	goroutines  float64
	descriptors int
	mappings    int
	memory      string
}

func (s state) String() string {
	return fmt.Sprintf("heap %.1f MiB, %.0f goroutines, %d descriptors, %d mappings, %s",
		s.heap/(1<<20), s.goroutines, s.descriptors, s.mappings, s.memory)
}

// look reads the broker's metrics and the kernel's account of its process.
func look(ctx context.Context, b *harness.Broker) (s state, err error) {
	if s.heap, err = metric(ctx, b, "go_memstats_heap_alloc_bytes"); err != nil {
		return s, err
	}
	if s.goroutines, err = metric(ctx, b, "go_goroutines"); err != nil {
		return s, err
	}
	proc := filepath.Join("/proc", strconv.Itoa(b.PID()))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return s, err
	}
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		return s, err
	}
	s.descriptors, s.mappings = len(fds), bytes.Count(maps, []byte("\n"))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == "VmRSS" || name == "RssAnon" {
			s.memory += strings.TrimSpace(name+" "+strings.TrimSpace(value)) + " "
		}
	}
	s.memory = strings.TrimSpace(s.memory)
	return s, nil
}

// metric is the value of a series without labels.
func metric(ctx context.Context, b *harness.Broker, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.HTTP+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, fmt.Errorf("no series %s: %v", name, lines.Err())
}

// blocks is the room that a file takes.
func blocks(info fs.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks * 512 }

// processorTime is what all threads of a process have used, which tells more than the clock on a machine that is busy.
func processorTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// Behind the name, which is in parentheses, utime and stime are the 12th and 13th, in ticks of 10 ms.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

package hostile

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/test/harness"
)

// metrics reads all samples; those with labels are added up under their name as well.
func metrics(t *testing.T, b *harness.Broker) map[string]float64 {
	t.Helper()
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(b.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	m := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			series, value = lines.Text()[:i], lines.Text()[i+1:]
		}
		if !ok || strings.HasPrefix(series, "#") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("/metrics: %q: %v", lines.Text(), err)
		}
		m[series] = v
		if name, _, labelled := strings.Cut(series, "{"); labelled {
			m[name] += v
		}
	}
	if err := lines.Err(); err != nil || len(m) == 0 {
		t.Fatalf("/metrics: %d samples, %v", len(m), err)
	}
	return m
}

// anonymous is the memory of a process that no file stands behind (RssAnon), in bytes: heap, stacks, and what the
// runtime has not returned. Pages of logs that are mapped are the page cache's and can go at any time.
func anonymous(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no RssAnon", pid)
}

// clientTime is the processor time of this process, in seconds.
func clientTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// opened is what a process has open: sockets, files under dir by name, and what else there is.
type opened struct {
	sockets, others int
	files           map[string]int
}

func descriptors(pid int, dir string) (o opened, err error) {
	o.files = map[string]int{}
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(fds)
	if err != nil {
		return o, err
	}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(fds, e.Name()))
		switch {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(to, "socket:"):
			o.sockets++
		case strings.HasPrefix(to, dir+"/"):
			o.files[to]++
		default:
			o.others++
		}
	}
	return o, nil
}

// leaks is what the logs themselves do not hold: how many files they have open comes and goes with their segments, but
// each is there, and open once.
func (o opened) leaks() (all []string) {
	for name, n := range o.files {
		if n > 1 || strings.HasSuffix(name, " (deleted)") {
			all = append(all, fmt.Sprintf("%s, %d times", name, n))
		}
	}
	return all
}

// watch samples the process's anonymous memory until stop is called, which returns the most seen.
func watch(pid int) (stop func() int64) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	var most int64
	done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if now, err := anonymous(pid); err == nil {
				most = max(most, now)
			}
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	})
	return func() int64 { close(quit); done.Wait(); return most }
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

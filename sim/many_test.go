package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hangs is how long a run of one seed may take of real time: hundreds of times
// what it needs. Beyond it the goroutines' stacks are printed.
const hangs = 3 * time.Minute

// slots bound the processes that run seeds at a time.
var slots = make(chan struct{}, runtime.NumCPU())

// many runs seeds, each in a process of its own with one processor and no
// garbage collection but that of the simulation, until done returns false. done
// is told of them in their order; failed is of a process that did not end well.
func many(t *testing.T, o Options, from, n int, done func(r Report, failed error) bool) {
	t.Helper()
	dir := t.TempDir()
	type result struct {
		r      Report
		failed error
	}
	results := make([]chan result, n)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range results {
		results[i] = make(chan result, 1)
	}
	wg.Go(func() {
		for i := range results {
			select {
			case slots <- struct{}{}:
			case <-stop:
				return
			}
			wg.Go(func() {
				defer func() { <-slots }()
				each := o
				each.Seed = uint64(from + i)
				r, err := inProcess(each, filepath.Join(dir, fmt.Sprint(each.Seed)))
				results[i] <- result{r, err}
			})
		}
	})
	for i := range results {
		got := <-results[i]
		if !done(got.r, got.failed) {
			break
		}
	}
	close(stop)
	wg.Wait()
}

// inProcess runs one seed in a process.
func inProcess(o Options, report string) (Report, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestOneSeed$", "-test.timeout=1h")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1,memprofilerate=0",
		fmt.Sprintf("CHRONIK_SIM_SEED=%d", o.Seed), fmt.Sprintf("CHRONIK_SIM_NODES=%d", o.Nodes), fmt.Sprintf("CHRONIK_SIM_BUG=%d", o.Bug), "CHRONIK_SIM_REPORT="+report)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	r := Report{Seed: o.Seed}
	if err := cmd.Run(); err != nil {
		return r, errors.Join(err, ctx.Err(), errors.New(head(out.String(), 20000)))
	}
	b, err := os.ReadFile(report)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

func head(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

func tail(lines []string, n int) string {
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

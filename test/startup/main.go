// Command startup measures how long chronik-server takes from exec to /ready with an empty directory, and how much
// memory it holds idle. It prints figures for the documentation and judges nothing: the machine decides too much.
//
//	go run ./startup [-n 10] [-idle 3s]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"chronik/test/harness"
)

func main() {
	n := flag.Int("n", 10, "starts")
	idle := flag.Duration("idle", 3*time.Second, "how long the last start idles before its memory is read")
	flag.Parse()
	if err := measure(*n, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "startup:", err)
		os.Exit(1)
	}
}

func measure(n int, idle time.Duration) error {
	tb := harness.Outside()
	defer tb.End()
	var fresh, again []time.Duration
	var memory string
	for i := range n {
		b := harness.Prepare(tb, harness.Config{})
		d, err := b.Launch()
		if err != nil {
			return err
		}
		fresh = append(fresh, d)
		if i == n-1 {
			time.Sleep(idle)
			if memory, err = resident(b.PID()); err != nil {
				return err
			}
		}
		if _, err := b.Stop(); err != nil {
			return err
		}
		if d, err = b.Launch(); err != nil {
			return err
		}
		again = append(again, d)
		b.Kill()
	}
	fmt.Printf("%d cores, %s\n", runtime.NumCPU(), runtime.Version())
	fmt.Printf("start to ready, empty directory    %s\n", summary(fresh))
	fmt.Printf("start to ready, second start       %s\n", summary(again))
	fmt.Printf("memory after %v idle, no topics    %s\n", idle, memory)
	return nil
}

func summary(ds []time.Duration) string {
	slices.Sort(ds)
	r := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("median %v, fastest %v, slowest %v of %d", r(ds[len(ds)/2]), r(ds[0]), r(ds[len(ds)-1]), len(ds))
}

// resident reads the kernel's account of a process: all resident pages, and the part that is not file pages.
func resident(pid int) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		return "", err
	}
	var parts []string
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if slices.Contains([]string{"VmRSS", "RssAnon", "RssFile", "Threads"}, name) {
			parts = append(parts, name+" "+strings.TrimSpace(value))
		}
	}
	return strings.Join(parts, ", "), nil
}

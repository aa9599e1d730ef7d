// Command scale measures a broker with many partitions of mixed size: how long it takes from exec to /ready after a
// kill -9, and what it holds when idle. It prints figures for the documentation and judges nothing: the machine decides
// too much.
//
//	go run ./scale [-partitions 10000] [-restarts 3]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"chronik/test/harness"
)

func main() {
	partitions := flag.Int("partitions", 10_000, "partitions, in topics of a hundred")
	restarts := flag.Int("restarts", 3, "how often it is killed and started again")
	dir := flag.String("dir", "", "data directory that is kept, and used as it is when it is there")
	flag.Parse()
	if err := run(*partitions, *restarts, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(partitions, restarts int, dir string) error {
	tb := harness.Outside()
	defer tb.End()
	before, err := idle(harness.Prepare(tb, harness.Config{Env: heapEnv}), 2*time.Second)
	if err != nil {
		return err
	}
	_, err = os.Stat(dir)
	b := harness.Prepare(tb, harness.Config{Dir: dir, Env: heapEnv})
	if dir == "" || err != nil {
		if err := fill(b, partitions); err != nil {
			return err
		}
	}
	size, files, err := usage(b.Dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d partitions, %d MiB in %d files\n", partitions, size>>20, files)
	b = harness.Prepare(tb, harness.Config{Dir: b.Dir})
	for range restarts {
		took, err := b.Launch()
		if err != nil {
			return err
		}
		cpu, err := processorTime(b.PID())
		if err != nil {
			return err
		}
		fmt.Printf("start to ready after kill -9       %v, of processor time %v\n", took.Round(time.Millisecond), cpu)
		b.Kill()
	}
	after, err := idle(harness.Prepare(tb, harness.Config{Dir: b.Dir, Env: heapEnv}), 10*time.Second)
	if err != nil {
		return err
	}
	fmt.Printf("no partitions, idle                %s\n", before)
	fmt.Printf("%-6d partitions, idle            %s\n", partitions, after)
	fmt.Printf("heap a partition                   %.0f bytes\n", (after.heap-before.heap)/float64(partitions))
	return nil
}

// heapEnv has the collector run often, so that little of the heap is garbage.
var heapEnv = []string{"GOGC=5"}

// idle starts a broker, lets it be for a while, and kills it.
func idle(b *harness.Broker, rest time.Duration) (state, error) {
	defer b.Kill()
	if _, err := b.Launch(); err != nil {
		return state{}, err
	}
	time.Sleep(rest)
	return look(context.Background(), b)
}

// Command flightsdemo sends real data through a broker and proves that it came back.
//
// It installs the npm package vega-datasets, produces its 200,000 flights and 1,707 earthquakes keyed and compressed into
// several partitions, consumes them in a group of two, and prints counts, rates and a hash of both sides. The hash does
// not depend on the order between keys but does on the order within a key. It exits with 0 only if the sides are equal.
//
// Without -bootstrap it builds and runs a broker of its own on a free port with an empty directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// runMax bounds the whole demo: a broker that hangs must end as a failure.
const runMax = 5 * time.Minute

func main() {
	bootstrap := flag.String("bootstrap", "", "host:port of a running broker; empty starts one")
	bin := flag.String("bin", os.Getenv("CHRONIK_BIN"), "chronik-server to start; empty builds it from this repository")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, runMax)
	defer cancel()
	if err := run(ctx, *bootstrap, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "flightsdemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bootstrap, bin string) error {
	sets, err := loadAll(ctx)
	if err != nil {
		return err
	}
	if bootstrap == "" {
		b, err := startBroker(ctx, bin)
		if err != nil {
			return err
		}
		defer b.stop()
		bootstrap = b.addr
	}
	if err := createTopics(ctx, bootstrap, sets); err != nil {
		return err
	}
	sent, err := produce(ctx, bootstrap, sets)
	if err != nil {
		return err
	}
	if err := printStored(ctx, bootstrap, sets); err != nil {
		return err
	}
	got, err := consume(ctx, bootstrap, sets)
	if err != nil {
		return err
	}
	return compare(sets, sent, got)
}

// createTopics makes each topic anew: records of an earlier run against the same broker must not count.
func createTopics(ctx context.Context, bootstrap string, sets []dataset) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer c.Close()
	adm := kadm.NewClient(c)
	for _, s := range sets {
		if _, err := adm.CreateTopic(ctx, s.partitions, 1, nil, s.topic); err != nil {
			return fmt.Errorf("create topic %s: %w", s.topic, err)
		}
	}
	return nil
}

// printStored shows what the broker keeps for each topic, from its own DescribeLogDirs.
func printStored(ctx context.Context, bootstrap string, sets []dataset) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer c.Close()
	dirs, err := kadm.NewClient(c).DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return fmt.Errorf("describe log dirs: %w", err)
	}
	stored := map[string]int64{}
	dirs.Each(func(d kadm.DescribedLogDir) {
		err = errors.Join(err, d.Err)
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) { stored[p.Topic] += p.Size })
	})
	for _, s := range sets {
		fmt.Printf("stored    %-12s %8.2f MB as zstd, of %.2f MB produced\n", s.label, mb(stored[s.topic]), mb(s.bytes()))
	}
	return err
}

// compare prints both sides of each dataset and fails when they differ.
func compare(sets []dataset, sent, got map[string]*fingerprint) error {
	var differ error
	for _, s := range sets {
		p, c := sent[s.topic], got[s.topic]
		verdict := "equal"
		if p.sum() != c.sum() || p.count != c.count || p.count != len(s.items) {
			verdict = "DIFFERENT"
			differ = errors.Join(differ, fmt.Errorf("%s: produced and consumed differ", s.label))
		}
		fmt.Printf("hash      %-12s produced %d records %s\n", s.label, p.count, p.sum())
		fmt.Printf("          %-12s consumed %d records %s  %s\n", "", c.count, c.sum(), verdict)
	}
	return differ
}

func mb(n int64) float64 { return float64(n) / 1e6 }

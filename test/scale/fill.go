package main

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// perTopic is how many partitions a topic has.
const perTopic = 100

// bytesOf is what partition i of a thousand like it holds: half are empty, four in ten hold a few KiB, one in ten some
// hundred KiB, one in a hundred eight segments of 1 MiB.
func bytesOf(i int) int {
	switch {
	case i%100 == 99:
		return 8 << 20
	case i%10 == 9:
		return 256 << 10
	case i%2 == 0:
		return 0
	}
	return 4 << 10
}

// fill makes the topics, writes to them and kills the broker.
func fill(b *harness.Broker, partitions int) error {
	began := time.Now()
	if _, err := b.Launch(); err != nil {
		return err
	}
	defer b.Kill()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequestTimeoutOverhead(5*time.Minute),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx := context.Background()
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(120_000)
	segment := fmt.Sprint(1 << 20)
	for i := range (partitions + perTopic - 1) / perTopic {
		n := min(perTopic, partitions-i*perTopic)
		if _, err := adm.CreateTopic(ctx, int32(n), 1, map[string]*string{"segment.bytes": &segment}, topic(i)); err != nil {
			return err
		}
	}
	fmt.Printf("created in                         %v\n", time.Since(began).Round(time.Second))
	random := rand.NewChaCha8([32]byte{1})
	failed := make(chan error, 1)
	for i := range partitions {
		for left := bytesOf(i); left > 0; left -= 4 << 10 {
			value := make([]byte, 4<<10)
			random.Read(value)
			cl.Produce(ctx, &kgo.Record{Topic: topic(i / perTopic), Partition: int32(i % perTopic), Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Printf("and filled in                      %v\n", time.Since(began).Round(time.Second))
	return nil
}

func topic(i int) string { return fmt.Sprintf("t%04d", i) }

// usage is what the files of a directory take on the disk.
func usage(dir string) (bytes, files int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Stat(path)
		if err == nil {
			files++
			bytes += blocks(st)
		}
		return err
	})
	return bytes, files, err
}

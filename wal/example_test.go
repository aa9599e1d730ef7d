package wal_test

import (
	"fmt"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
)

func Example() {
	log, _, err := wal.Open(wal.Options{FS: vfs.NewMem(), Dir: "/data/flights-0"})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	err = log.Append([]segment.Entry{
		{Index: 1, Term: 1, Kind: segment.KindData, BaseOffset: 0, Count: 3, MaxTimestamp: 1000, Payload: []byte("a batch of three")},
		{Index: 2, Term: 1, Kind: segment.KindData, BaseOffset: 3, Count: 1, MaxTimestamp: 1005, Payload: []byte("one more")},
	})
	if err != nil {
		panic(err)
	}
	if err := log.SyncWait(); err != nil {
		panic(err)
	}
	entries, ref, err := log.Read(1, log.NextOffset(), 1<<20, nil) // offset 1 lies in the first batch
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		fmt.Printf("%d: %s\n", e.BaseOffset, e.Payload)
	}
	ref.Release()
	fmt.Println("durable before offset", log.DurableOffset())
	// Output:
	// 0: a batch of three
	// 3: one more
	// durable before offset 4
}

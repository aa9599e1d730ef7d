package fetchsession_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"chronik/broker/fetchsession"
)

// A client fetches two partitions, then asks for news of both without naming
// them; only the one that has news is listed.
func Example() {
	cache := fetchsession.New(1000, rand.New(rand.NewPCG(1, 2)))
	now := time.Unix(1_700_000_000, 0)
	a := fetchsession.Partition{Key: fetchsession.Key{Topic: "flights", Partition: 0}, FetchOffset: 10}
	b := fetchsession.Partition{Key: fetchsession.Key{Topic: "flights", Partition: 1}, FetchOffset: 20}

	var fetch fetchsession.Fetch
	full := fetchsession.Request{Epoch: fetchsession.EpochInitial, Partitions: []fetchsession.Partition{a, b}}
	if err := cache.Begin(now, full, &fetch); err != nil {
		panic(err)
	}
	listed := make([]bool, 2)
	id := fetch.Finish(now, []fetchsession.Result{{HighWatermark: 10}, {HighWatermark: 20}}, listed)
	fmt.Println("full:", len(fetch.Partitions), "read,", "listed", listed)

	next := fetchsession.Request{SessionID: id, Epoch: 1}
	if err := cache.Begin(now, next, &fetch); err != nil {
		panic(err)
	}
	fetch.Finish(now, []fetchsession.Result{{HighWatermark: 10}, {HighWatermark: 21, HasRecords: true}}, listed)
	fmt.Println("incremental:", len(fetch.Partitions), "read,", "listed", listed)
	fmt.Println("repeated:", cache.Begin(now, next, &fetch))
	// Output:
	// full: 2 read, listed [true true]
	// incremental: 2 read, listed [false true]
	// repeated: fetch session epoch is not the one expected
}

package batch_test

import (
	"fmt"

	"chronik/kafka/batch"
)

func Example() {
	var b batch.Builder
	b.Add(1_700_000_000_000, []byte("station"), []byte("12.5"), batch.Header{Key: []byte("unit"), Value: []byte("C")})
	b.Add(1_700_000_000_400, []byte("station"), nil) // a tombstone
	sent, err := b.Build(nil, batch.Plain(batch.LZ4))
	if err != nil {
		fmt.Println(err)
		return
	}

	// What a leader does with the records of a Produce request.
	v, refused := batch.First(sent, 9)
	if refused != nil {
		fmt.Println(refused)
		return
	}
	info, refused := batch.Validate(v, batch.Options{BytesMax: 1 << 20, SegmentBytes: 1 << 30, Now: 1_700_000_001_000,
		BeforeMaxMs: 3_600_000, AfterMaxMs: 3_600_000, Target: batch.Keep})
	if refused != nil {
		fmt.Println(refused)
		return
	}
	info.Batch.SetBaseOffset(41)
	info.Batch.SetLeaderEpoch(0)

	for r, err := range batch.Records(info.Batch, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %d %s %q %v\n", r.Offset, r.Timestamp, r.Key, r.Value, r.Value == nil)
	}
	// Output:
	// 41 1700000000000 station "12.5" false
	// 42 1700000000400 station "" true
}

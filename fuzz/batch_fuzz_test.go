package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"chronik/kafka/batch"
)

// batchSeeds are whole batches of every codec, and cut and bent ones.
func batchSeeds(f *testing.F, add func(b []byte)) {
	for codec := batch.None; codec <= batch.Zstd; codec++ {
		for _, n := range []int{1, 3, 300} {
			var build batch.Builder
			for i := range n {
				build.Add(1_700_000_000_000+int64(i), fmt.Appendf(nil, "key-%d", i), bytes.Repeat([]byte{byte(i)}, i%50),
					batch.Header{Key: []byte("h"), Value: nil}, batch.Header{Key: []byte{}, Value: []byte("v")})
			}
			b, err := build.Build(nil, batch.Plain(codec))
			if err != nil {
				f.Fatal(err)
			}
			add(b)
			add(b[:len(b)/2])
			add(slices.Concat(b, b))
		}
	}
	for i := range 8 { // few bytes that are more than a window when rebuilt, with records across its end
		var build batch.Builder
		for j, size := range []int{64<<10 - 24 + i, 100, 64<<10 - 100, 200_000, 10} {
			build.Add(1_690_000_000_000+int64(j)<<20, nil, make([]byte, size))
		}
		b, err := build.Build(nil, batch.Plain([]batch.Codec{batch.Gzip, batch.Zstd}[i%2]))
		if err != nil {
			f.Fatal(err)
		}
		add(b)
	}
	add(batch.AppendEndTxn(nil, batch.Commit, 4000, 1, 7, 1_700_000_000_000))
	add(make([]byte, batch.HeaderSize))
	add(nil)
}

// fuzzLimit bounds what one input may decompress to, so that memory can be
// held against it.
const fuzzLimit = 1 << 20

func fuzzScratch() *batch.Scratch {
	return &batch.Scratch{DecompressedBytesMax: fuzzLimit, ZstdWindowBytesMax: fuzzLimit}
}

func fuzzOptions(target int8) batch.Options {
	return batch.Options{BytesMax: 1 << 20, SegmentBytes: 1 << 20, Now: 1_700_000_000_000, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 3_600_000,
		Target: fuzzTargets[int(uint8(target))%len(fuzzTargets)], Levels: batch.DefaultLevels(), Scratch: fuzzScratch()}
}

var fuzzTargets = []batch.Codec{batch.Keep, batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

// FuzzBatch takes bytes as a producer's records.
//
// Invariants checked:
//   - nothing panics;
//   - what First gives is a prefix of the records, and is all of one batch;
//   - a refused batch is unchanged;
//   - an accepted one has a right CRC and header, holds Count records with
//     straight offsets, reads the same before and after (also when it was
//     rebuilt in another codec), and is accepted again unchanged;
//   - its maximum timestamp is that of its records.
func FuzzBatch(f *testing.F) {
	batchSeeds(f, func(b []byte) {
		for target := range int8(6) {
			f.Add(b, int16(9), target, false)
		}
		f.Add(b, int16(9), int8(5), true)
	})
	f.Fuzz(func(t *testing.T, records []byte, version int16, target int8, seal bool) {
		if seal {
			records = sealed(records)
		}
		v, err := batch.First(records, version)
		if err != nil {
			return
		}
		if len(v) > len(records) || int(v.Length())+12 != len(v) {
			t.Fatalf("First gives %d bytes of %d, which say %d", len(v), len(records), v.Length())
		}
		sent := slices.Clone(v)
		o := fuzzOptions(target)
		info, err := batch.Validate(v, o)
		if err != nil {
			if !bytes.Equal(v, sent) {
				t.Fatalf("a batch refused with %v was changed", err)
			}
			return
		}
		checkAccepted(t, sent, info, o)
	})
}

// sealed gives the bytes a length and a CRC that fit, so that the fuzzer gets
// past these two.
func sealed(records []byte) []byte {
	b := slices.Clone(records)
	if len(b) >= batch.HeaderSize {
		copy(b, make([]byte, 8))
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
		b[16] = 2
		binary.BigEndian.PutUint32(b[17:], batch.View(b).ComputeCRC())
	}
	return b
}

func checkAccepted(t *testing.T, sent batch.View, info batch.Info, o batch.Options) {
	t.Helper()
	got := info.Batch
	if parsed, err := batch.Parse(got); err != nil || !parsed.CheckCRC() || info.Count != got.Count() || got.LastOffsetDelta() != got.Count()-1 {
		t.Fatalf("accepted: %+v, %v", info, err)
	}
	want := got.Codec()
	if o.Target != batch.Keep {
		want = o.Target
	}
	if got.Codec() != want || !info.Rebuilt && len(got) != len(sent) {
		t.Fatalf("codec %v, want %v; rebuilt %v", got.Codec(), want, info.Rebuilt)
	}
	before, greatest := contents(t, sent, nil)
	after, _ := contents(t, got, func(i int, r *batch.Record) {
		if r.Offset != int64(i) {
			t.Fatalf("record %d has offset %d", i, r.Offset)
		}
	})
	if len(after) != int(info.Count) || !slices.Equal(before, after) || max(greatest, -1) != info.MaxTimestamp {
		t.Fatalf("%d records before, %d after, count %d; max timestamp %d and %d", len(before), len(after), info.Count, greatest, info.MaxTimestamp)
	}
	again, err := batch.Validate(slices.Clone(got), o)
	if err != nil || again.Rebuilt || !bytes.Equal(again.Batch, got) {
		t.Fatalf("accepted, then %v; rebuilt %v", err, again.Rebuilt)
	}
}

// contents are the records of a batch without their offsets.
func contents(t *testing.T, v batch.View, each func(int, *batch.Record)) (all []string, greatest int64) {
	t.Helper()
	greatest = -1 << 63
	for r, err := range batch.Records(v, fuzzScratch()) {
		if err != nil {
			t.Fatalf("an accepted batch does not read: %v", err)
		}
		if each != nil {
			each(len(all), r)
		}
		greatest = max(greatest, r.Timestamp)
		all = append(all, fmt.Sprintf("%d %v %x %v %x %x", r.Timestamp, r.Key == nil, r.Key, r.Value == nil, r.Value, r.Headers))
	}
	return all, greatest
}

// FuzzDecompress takes bytes as the compressed records of a batch.
//
// Invariants checked:
//   - nothing panics;
//   - memory stays under a fixed bound, whatever the bytes promise;
//   - no more comes out than the limit;
//   - looking for a time and reading every record agree on whether the batch
//     is whole, and on the first record.
func FuzzDecompress(f *testing.F) {
	batchSeeds(f, func(b []byte) {
		if len(b) > batch.HeaderSize {
			v := batch.View(b)
			f.Add(int8(v.Codec()), v.Count(), b[batch.HeaderSize:])
		}
	})
	f.Add(int8(batch.Snappy), int32(1), []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Add(int8(batch.Zstd), int32(1), []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 1, 0, 0})
	f.Add(int8(batch.Zstd), int32(1), []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0})
	f.Fuzz(func(t *testing.T, codec int8, count int32, payload []byte) {
		v := bare(batch.Codec(codec&7), max(count, 1), payload)

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n, size := 0, 0
		var first int64
		var readErr error
		for r, err := range batch.Records(v, fuzzScratch()) {
			if readErr = err; err != nil {
				break
			}
			if n == 0 {
				first = r.Offset
			}
			n++
			size += len(r.Key) + len(r.Value)
		}
		runtime.ReadMemStats(&after)
		// A window that doubles up to the limit, a decoder's window and tables,
		// and 4 MiB blocks of lz4; each a fixed number of times.
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20+uint64(len(payload))*64 {
			t.Fatalf("%d bytes allocated for a payload of %d", grown, len(payload))
		}
		if size > fuzzLimit && v.Codec() != batch.None || n > int(max(count, 1)) {
			t.Fatalf("%d records of %d bytes came out", n, size)
		}
		if readErr == nil && n != int(max(count, 1)) {
			t.Fatalf("%d records without an error, the header says %d", n, count)
		}
		offset, _, ok, err := batch.FirstAtOrAfter(v, -1<<63, -1<<63)
		if n > 0 && (err != nil || !ok || offset != first) {
			t.Fatalf("the first record is at %d, a lookup gives %d %v %v", first, offset, ok, err)
		}
	})
}

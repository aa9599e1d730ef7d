package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka/batch"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// recordRows are about record batches.
func recordRows() []row {
	rows := []row{validateRow()}
	const n = 64
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"plain", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
	} {
		raw, err := recordBatch(n), error(nil)
		if c.name != "plain" {
			raw, err = compressedBatch(n, c.codec)
		}
		name := fmt.Sprintf("records: Fetch response v12, read every record of 10 x 16 KiB, %s", c.name)
		rows = append(rows, readRow(name, fetched(10, 1, raw), 10*n, err))
	}
	return rows
}

var errRecords = errors.New("not the records that were put in")

// validateRow is what a leader does to a batch that a producer sent. Kmsg has
// no rules: it reads the header and every record, and the CRC is checked.
func validateRow() row {
	raw := recordBatch(64)
	return row{name: "records: check a batch of 16 KiB as a leader does", bytes: len(raw), contenders: func() ([]contender, error) {
		o := batch.Options{BytesMax: 1 << 20, SegmentBytes: 1 << 30, Now: recordAt, BeforeMaxMs: math.MaxInt64, AfterMaxMs: math.MaxInt64}
		given := bytes.Clone(raw)
		if info, err := batch.Validate(batch.View(given), o); err != nil || info.Count != 64 || info.Rebuilt || !bytes.Equal(given, raw) {
			return nil, fmt.Errorf("%w: %+v %v", errRecords, info, err)
		}
		var b kmsg.RecordBatch
		var r kmsg.Record
		return []contender{
			{codec: "chronik", op: func() error {
				if info, err := batch.Validate(batch.View(given), o); err != nil || info.Count != 64 {
					return errRecords
				}
				return nil
			}},
			{codec: "kmsg", way: "header, CRC, records", op: func() error {
				if err := b.ReadFrom(raw); err != nil {
					return err
				}
				if crc32.Checksum(raw[21:], castagnoli) != uint32(b.CRC) {
					return errRecords
				}
				return eachRecord(&b, &r)
			}},
		}, nil
	}}
}

// eachRecord reads the records of a batch with kmsg.
func eachRecord(b *kmsg.RecordBatch, r *kmsg.Record) error {
	in, n := b.Records, int32(0)
	for ; len(in) > 0; n++ {
		length, prefix := binary.Varint(in)
		size := prefix + int(length)
		if prefix <= 0 || length < 0 || size > len(in) {
			return errRecords
		}
		if err := r.ReadFrom(in[:size]); err != nil {
			return err
		}
		in = in[size:]
	}
	if n != b.NumRecords {
		return errRecords
	}
	return nil
}

// readRow decodes a Fetch response and reads all that is in it: each batch's
// CRC, each record's key and value.
func readRow(name string, m *msg.FetchResponse, records int, failed error) row {
	return row{name: name, bytes: size(m, 12), contenders: func() ([]contender, error) {
		if failed != nil {
			return nil, failed
		}
		b, err := body(m, 12, false)
		if err != nil {
			return nil, err
		}
		ours, again, theirs, used := new(msg.FetchResponse), new(msg.FetchResponse), kmsg.NewPtrFetchResponse(), new(batch.Scratch)
		theirs.Version = 12
		decompressor := kgo.DefaultDecompressor()
		all := []contender{
			{codec: "chronik", op: func() error { return readOurs(ours, b, used, records) }},
			{codec: "chronik", way: "new", fresh: true, op: func() error {
				again = new(msg.FetchResponse)
				return readOurs(again, b, new(batch.Scratch), records)
			}},
			{codec: "kmsg", way: "unsafe, reused; kgo", op: func() error { return readKgo(theirs, b, decompressor, records) }},
			{codec: "kmsg", way: "new; kgo", fresh: true, op: func() error {
				x := kmsg.NewPtrFetchResponse()
				x.Version = 12
				return readKgo(x, b, decompressor, records)
			}},
		}
		return with(all, saramaFetch(records), b)
	}}
}

func readOurs(x *msg.FetchResponse, body []byte, s *batch.Scratch, want int) error {
	r := wire.NewReader(body)
	x.Decode(&r, 12)
	if err := r.Done(); err != nil {
		return err
	}
	n := 0
	for i := range x.Responses {
		for j := range x.Responses[i].Partitions {
			for _, piece := range x.Responses[i].Partitions[j].Records {
				for v, err := range batch.All(piece) {
					if err != nil {
						return err
					}
					if !v.CheckCRC() {
						return errRecords
					}
					for rec, err := range batch.Records(v, s) {
						if err != nil {
							return err
						}
						if len(rec.Key) != 10 || len(rec.Value) != 230 {
							return errRecords
						}
						n++
					}
				}
			}
		}
	}
	if n != want {
		return fmt.Errorf("%w: %d of %d", errRecords, n, want)
	}
	return nil
}

func readKgo(x *kmsg.FetchResponse, body []byte, d kgo.Decompressor, want int) error {
	if err := x.UnsafeReadFrom(body); err != nil {
		return err
	}
	n := 0
	for i := range x.Topics {
		for j := range x.Topics[i].Partitions {
			p := &x.Topics[i].Partitions[j]
			got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: topicName, Partition: p.Partition}, p, d, nil)
			if got.Err != nil {
				return got.Err
			}
			for _, rec := range got.Records {
				if len(rec.Key) != 10 || len(rec.Value) != 230 {
					return errRecords
				}
				n++
			}
		}
	}
	if n != want {
		return fmt.Errorf("%w: %d of %d", errRecords, n, want)
	}
	return nil
}

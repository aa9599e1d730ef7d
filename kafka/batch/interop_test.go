package batch

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsgRead is what franz-go's decoder finds in a batch that is not compressed,
// in the words of show.
func kmsgRead(v View) (h kmsg.RecordBatch, records []string, err error) {
	if err := h.ReadFrom(v); err != nil {
		return h, nil, err
	}
	if sum := crc32.Checksum(v[posAttributes:], crc32.MakeTable(crc32.Castagnoli)); uint32(h.CRC) != sum || int(h.Length)+logOverhead != len(v) {
		return h, nil, fmt.Errorf("CRC %#x, want %#x; length %d of %d", h.CRC, sum, h.Length, len(v))
	}
	for raw := h.Records; len(raw) > 0; {
		n, size := varint(raw, varint32Max)
		if size <= 0 || n < 0 || int(n) > len(raw)-size {
			return h, nil, fmt.Errorf("a record of %d bytes where %d are left", n, len(raw)-size)
		}
		var r kmsg.Record
		if err := r.ReadFrom(raw[:size+int(n)]); err != nil {
			return h, nil, err
		}
		ours := Record{Offset: h.FirstOffset + int64(r.OffsetDelta), Timestamp: h.FirstTimestamp + r.TimestampDelta64, Key: r.Key, Value: r.Value}
		for _, header := range r.Headers {
			ours.Headers = append(ours.Headers, Header{Key: []byte(header.Key), Value: header.Value})
		}
		records = append(records, show(&ours))
		raw = raw[size+int(n):]
	}
	return h, records, nil
}

// What we build, franz-go reads: header, CRC and every record.
func TestKmsgReadsOurs(t *testing.T) {
	r := random(t)
	for i := range 100 {
		v, want := randomBatch(t, r, None, i%2 == 0)
		h, got, err := kmsgRead(v)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("batch %d: %d records of %d, %v", i, len(got), len(want), err)
		}
		theirs := fmt.Sprint(h.FirstOffset, h.PartitionLeaderEpoch, h.Magic, h.Attributes, h.LastOffsetDelta, h.FirstTimestamp, h.MaxTimestamp, h.ProducerID, h.ProducerEpoch, h.FirstSequence, h.NumRecords)
		ours := fmt.Sprint(v.BaseOffset(), v.LeaderEpoch(), v.Magic(), int16(v.Attributes()), v.LastOffsetDelta(), v.BaseTimestamp(), v.MaxTimestamp(), v.ProducerID(), v.ProducerEpoch(), v.BaseSequence(), v.Count())
		if theirs != ours {
			t.Fatalf("batch %d: header %s, want %s", i, theirs, ours)
		}
	}
}

// kmsgRecord is one record as franz-go writes it.
func kmsgRecord(delta int32, timestamp int64, key, value []byte, headers []Header) []byte {
	r := kmsg.Record{TimestampDelta64: timestamp - testNow, OffsetDelta: delta, Key: key, Value: value}
	for _, h := range headers {
		r.Headers = append(r.Headers, kmsg.Header{Key: string(h.Key), Value: h.Value})
	}
	body := r.AppendTo(nil)[1:] // after a length of 0
	r.Length = int32(len(body))
	return r.AppendTo(nil)
}

// What franz-go builds, we take as it is, whatever codec its records went
// through; and from the same records we build the same bytes.
func TestKmsgWritesOurs(t *testing.T) {
	r := random(t)
	for i := range 100 {
		codec := allCodecs[i%len(allCodecs)]
		var b Builder
		var records []byte
		var want []string
		count := 1 + r.Int32N(50)
		for delta := range count {
			rec := Record{Offset: int64(delta), Timestamp: testNow, Key: randomBytes(r, 20), Value: randomBytes(r, 300)}
			for range r.IntN(3) {
				rec.Headers = append(rec.Headers, Header{Key: append([]byte{}, randomBytes(r, 9)...), Value: randomBytes(r, 9)})
			}
			b.Add(rec.Timestamp, rec.Key, rec.Value, rec.Headers...)
			records = append(records, kmsgRecord(delta, rec.Timestamp, rec.Key, rec.Value, rec.Headers)...)
			want = append(want, show(&rec))
		}
		ours := finish(t, &b, Plain(codec))
		theirs := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: count - 1, FirstTimestamp: testNow,
			MaxTimestamp: testNow, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: count, Records: ours.Payload()}
		if codec == None {
			theirs.Records = records
		} else if plain := finish(t, &b, Plain(None)).Payload(); !bytes.Equal(plain, records) {
			t.Fatalf("batch %d: records\n  %x\nare written as\n  %x", i, records, plain)
		}
		theirs.Length = int32(len(theirs.AppendTo(nil)) - logOverhead)
		theirs.CRC = int32(crc32.Checksum(theirs.AppendTo(nil)[posAttributes:], crc32.MakeTable(crc32.Castagnoli)))
		sent := theirs.AppendTo(nil)
		if !bytes.Equal(sent, ours) {
			t.Fatalf("batch %d, %v: theirs\n  %x\nours\n  %x", i, codec, sent, ours)
		}
		info, err := produce(slices.Clone(sent), options(testNow))
		if err != nil || info.Rebuilt || !bytes.Equal(info.Batch, sent) || info.Count != count {
			t.Fatalf("batch %d, %v: %+v, %v", i, codec, info, err)
		}
		if got := recordLines(t, info.Batch, nil); !slices.Equal(got, want) {
			t.Fatalf("batch %d, %v: %d records of %d", i, codec, len(got), len(want))
		}
	}
}

// The golden batches that are not compressed are the bytes that we build from
// what is read in them.
func TestGoldenRebuilt(t *testing.T) {
	rebuilt := 0
	for _, line := range golden(t, "batches.jsonl") {
		if line.Expect != "" {
			continue
		}
		for v, err := range All(unhex(t, line.Hex)) {
			if err != nil {
				t.Fatal(err)
			}
			a := v.Attributes()
			if a.Codec() != None || a.LogAppendTime() || a.DeleteHorizon() || v.Count() == 0 {
				continue
			}
			b := Builder{}
			for r, err := range Records(v, nil) {
				if err != nil {
					t.Fatal(err)
				}
				b.AddAt(int32(r.Offset-v.BaseOffset()), r.Timestamp, r.Key, r.Value, r.Headers...)
			}
			o := BuildOptions{BaseOffset: v.BaseOffset(), LeaderEpoch: v.LeaderEpoch(), ProducerID: v.ProducerID(), ProducerEpoch: v.ProducerEpoch(),
				BaseSequence: v.BaseSequence(), Transactional: a.Transactional(), Control: a.Control()}
			ours := finish(t, &b, o)
			if !bytes.Equal(ours, v) {
				t.Errorf("%s\n  %x\nis built as\n  %x", line.Name, v, ours)
			}
			rebuilt++
		}
	}
	if rebuilt != 9 {
		t.Errorf("only %d batches were built again", rebuilt)
	}
}

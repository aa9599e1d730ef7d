package batch

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

type goldenBatch struct {
	Header struct {
		BaseOffset           int64
		BatchLength          int32
		PartitionLeaderEpoch int32
		Magic                int8
		CRC                  string
		Attributes           int16
		LastOffsetDelta      int32
		BaseTimestamp        int64
		MaxTimestamp         int64
		ProducerID           int64 `json:"producerId"`
		ProducerEpoch        int16
		BaseSequence         int32
		RecordsCount         int32
	}
	Codec                  string
	Transactional, Control bool
	Records                []goldenRecord
}

type goldenRecord struct {
	OffsetDelta    int64
	TimestampDelta int64
	KeyHex         *string
	ValueHex       *string
	Headers        [][2]*string `json:"headersKeyUtf8ValueHex"`
}

type goldenLine struct {
	Kind, Name, Hex, Expect string
	Fields                  json.RawMessage
	Batches                 []goldenBatch
}

func golden(t testing.TB, file string) []goldenLine {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []goldenLine
	for _, l := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		var line goldenLine
		if err := json.Unmarshal(l, &line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func goldenBytes(t testing.TB, name string) []byte {
	t.Helper()
	for _, l := range golden(t, "batches.jsonl") {
		if l.Name == name {
			return unhex(t, l.Hex)
		}
	}
	t.Fatalf("no golden batch %q", name)
	return nil
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// options are those of a topic with Kafka's defaults, except for the
// timestamp bounds: the golden batches are old.
func options(now int64) Options {
	return Options{BytesMax: 1048588, SegmentBytes: 1 << 30, Now: now, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 3600000,
		Target: Keep, Levels: DefaultLevels(), Scratch: new(Scratch)}
}

const goldenNow = 1700000100000

func text(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%x", b)
}

func show(r *Record) string {
	s := fmt.Sprintf("%d@%d %s=%s", r.Offset, r.Timestamp, text(r.Key), text(r.Value))
	for _, h := range r.Headers {
		s += fmt.Sprintf(" %s:%s", h.Key, text(h.Value))
	}
	return s
}

func (b *goldenBatch) lines() (all []string) {
	deref := func(p *string) string {
		if p == nil {
			return "null"
		}
		return *p
	}
	for _, r := range b.Records {
		ts := b.Header.BaseTimestamp + r.TimestampDelta
		if b.Header.Attributes&8 != 0 {
			ts = b.Header.MaxTimestamp
		}
		s := fmt.Sprintf("%d@%d %s=%s", b.Header.BaseOffset+r.OffsetDelta, ts, deref(r.KeyHex), deref(r.ValueHex))
		for _, h := range r.Headers {
			s += fmt.Sprintf(" %s:%s", *h[0], deref(h[1]))
		}
		all = append(all, s)
	}
	return all
}

func recordLines(t testing.TB, v View, s *Scratch) (all []string) {
	t.Helper()
	for r, err := range Records(v, s) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, show(r))
	}
	return all
}

// Every golden batch decodes to the header and the records that an
// independent encoder put into it.
func TestGoldenBatches(t *testing.T) {
	s := new(Scratch)
	batches, records := 0, 0
	for _, line := range golden(t, "batches.jsonl") {
		if line.Expect != "" {
			continue
		}
		i := 0
		for v, err := range All(unhex(t, line.Hex)) {
			if err != nil {
				t.Fatalf("%s: %v", line.Name, err)
			}
			want := line.Batches[i]
			h := want.Header
			crc, err := strconv.ParseUint(h.CRC, 0, 32)
			if err != nil {
				t.Fatal(err)
			}
			got := []any{v.BaseOffset(), v.Length(), v.LeaderEpoch(), v.Magic(), v.CRC(), v.ComputeCRC(), int16(v.Attributes()), v.LastOffsetDelta(),
				v.BaseTimestamp(), v.MaxTimestamp(), v.ProducerID(), v.ProducerEpoch(), v.BaseSequence(), v.Count(),
				v.Attributes().Transactional(), v.Attributes().Control(), strings.ReplaceAll(v.Codec().String(), "uncompressed", "none")}
			exp := []any{h.BaseOffset, h.BatchLength, h.PartitionLeaderEpoch, h.Magic, uint32(crc), uint32(crc), h.Attributes, h.LastOffsetDelta,
				h.BaseTimestamp, h.MaxTimestamp, h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.RecordsCount,
				want.Transactional, want.Control, want.Codec}
			if fmt.Sprint(got) != fmt.Sprint(exp) {
				t.Errorf("%s: header\n got %v\nwant %v", line.Name, got, exp)
			}
			decoded, listed := recordLines(t, v, s), want.lines() // long batches list their first records only
			if len(decoded) != int(h.RecordsCount) || len(listed) > len(decoded) {
				t.Fatalf("%s batch %d: %d records, want %d", line.Name, i, len(decoded), h.RecordsCount)
			}
			if g, w := strings.Join(decoded[:len(listed)], "\n"), strings.Join(listed, "\n"); g != w {
				t.Errorf("%s batch %d: records\n got %s\nwant %s", line.Name, i, g, w)
			}
			i++
			batches++
			records += len(decoded)
		}
		if i != len(line.Batches) {
			t.Errorf("%s: %d batches, want %d", line.Name, i, len(line.Batches))
		}
	}
	t.Logf("%d batches, %d records", batches, records)
	if batches != 25 || records != 801 {
		t.Errorf("only %d batches and %d records were compared", batches, records)
	}
}

// What a client produced passes as it is: the golden batches are stored
// byte for byte.
func TestGoldenProduce(t *testing.T) {
	for _, line := range golden(t, "batches.jsonl") {
		if line.Kind != "produce-batch" && line.Name != "batch-snappy-xerial" {
			continue
		}
		sent := unhex(t, line.Hex)
		v, err := First(bytes.Clone(sent), 9)
		if err != nil {
			t.Fatalf("%s: %v", line.Name, err)
		}
		info, err := Validate(v, options(goldenNow))
		if err != nil {
			t.Fatalf("%s: %v", line.Name, err)
		}
		h := line.Batches[0].Header
		want := Info{Batch: sent, Count: h.RecordsCount, MaxTimestamp: h.MaxTimestamp, AppendTime: -1, ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch,
			BaseSequence: h.BaseSequence, LastSequence: h.BaseSequence + h.LastOffsetDelta, Transactional: line.Batches[0].Transactional}
		if fmt.Sprint(info) != fmt.Sprint(want) {
			t.Errorf("%s:\n got %+v\nwant %+v", line.Name, info, want)
		}
	}
}

// Every golden negative case gives the error it names.
func TestGoldenRefused(t *testing.T) {
	want := map[string]Kind{
		"bad-crc": CorruptMessage, "bad-truncated": InvalidRecord, "bad-record-count": InvalidRecord, "bad-control-from-client": InvalidRecord,
		"bad-unknown-codec": InvalidRecord, "bad-trailing-garbage": 0, "bad-two-batches": InvalidRecord,
	}
	for _, line := range golden(t, "batches.jsonl") {
		if line.Expect == "" {
			continue
		}
		kind, ok := want[line.Name]
		if !ok {
			t.Errorf("%s: a new negative case without an expectation", line.Name)
		}
		delete(want, line.Name)
		v, err := First(unhex(t, line.Hex), 9)
		if err == nil {
			_, err = Validate(v, options(goldenNow))
		}
		if got := kindOf(err); got != kind {
			t.Errorf("%s: %v, want %v", line.Name, err, kind)
		}
	}
	if len(want) != 0 {
		t.Errorf("cases not found: %v", want)
	}
}

func kindOf(err *Error) Kind {
	if err == nil {
		return 0
	}
	return err.Kind
}

// Single records and the legacy formats.
func TestGoldenRecords(t *testing.T) {
	header := View(goldenBytes(t, "batch-single")[:HeaderSize])
	legacy, single := 0, 0
	for _, line := range golden(t, "records.jsonl") {
		b := unhex(t, line.Hex)
		if line.Kind == "legacy" {
			if _, err := First(b, 9); kindOf(err) != InvalidRecord {
				t.Errorf("%s: First gives %v, want it refused as an invalid record", line.Name, err)
			}
			legacy++
			continue
		}
		var f struct {
			Headers                     []struct{ Key, Value *string }
			KeyHex, ValueHex            *string
			OffsetDelta, TimestampDelta int64
		}
		if err := json.Unmarshal(line.Fields, &f); err != nil {
			t.Fatal(err)
		}
		var w window
		w.over(b)
		var r Record
		if err := decodeRecord(header, w.body(), &r); err != nil || w.err != nil {
			t.Fatal(err, w.err)
		}
		if r.Offset != f.OffsetDelta || r.Timestamp != header.BaseTimestamp()+f.TimestampDelta || len(r.Headers) != len(f.Headers) ||
			(f.KeyHex == nil) != (r.Key == nil) || f.KeyHex != nil && *f.KeyHex != text(r.Key) || f.ValueHex != nil && *f.ValueHex != text(r.Value) {
			t.Errorf("record %s reads as %s", line.Hex, show(&r))
		}
		if again := appendRecord(nil, f.TimestampDelta, int32(f.OffsetDelta), r.Key, r.Value, r.Headers); !bytes.Equal(again, b) {
			t.Errorf("record %x is written as %x", b, again)
		}
		single++
	}
	t.Logf("%d records, %d legacy message sets", single, legacy)
	if single != 3 || legacy != 2 {
		t.Errorf("only %d records and %d legacy sets were compared", single, legacy)
	}
}

func TestGoldenControlRecords(t *testing.T) {
	types := map[string]ControlType{"ABORT": Abort, "COMMIT": Commit, "QUORUM_REASSIGNMENT": LeaderChange}
	keys, values := 0, 0
	for _, line := range golden(t, "control-records.jsonl") {
		var f struct {
			Type             string
			Version          int16
			CoordinatorEpoch int32
		}
		if err := json.Unmarshal(line.Fields, &f); err != nil {
			t.Fatal(err)
		}
		switch line.Name {
		case "ControlRecordKey":
			version, typ, err := ParseControl(unhex(t, line.Hex))
			if err != nil || version != f.Version || typ != types[f.Type] {
				t.Errorf("%s: %d %d %v, want %d %s", line.Hex, version, typ, err, f.Version, f.Type)
			}
			keys++
		case "EndTxnMarker":
			epoch, err := ParseEndTxn(unhex(t, line.Hex))
			if err != nil || epoch != f.CoordinatorEpoch {
				t.Errorf("%s: %d %v, want %d", line.Hex, epoch, err, f.CoordinatorEpoch)
			}
			values++
		}
	}
	t.Logf("%d keys, %d values", keys, values)
	if keys != 3 || values != 1 {
		t.Errorf("%d keys and %d values were compared", keys, values)
	}
}

// The markers in the golden transaction log are the bytes that we write.
func TestGoldenMarkers(t *testing.T) {
	markers := 0
	for v, err := range All(goldenBytes(t, "log-txn")) {
		if err != nil {
			t.Fatal(err)
		}
		if !v.Attributes().Control() {
			continue
		}
		for r, err := range Records(v, nil) {
			if err != nil {
				t.Fatal(err)
			}
			_, typ, err := ParseControl(r.Key)
			if err != nil {
				t.Fatal(err)
			}
			epoch, err := ParseEndTxn(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours := View(AppendEndTxn(nil, typ, v.ProducerID(), v.ProducerEpoch(), epoch, r.Timestamp))
			ours.SetBaseOffset(v.BaseOffset())
			ours.SetLeaderEpoch(v.LeaderEpoch())
			if !bytes.Equal(ours, v) {
				t.Errorf("marker\n  %x\nis written as\n  %x", v, ours)
			}
			markers++
		}
	}
	if markers != 2 {
		t.Errorf("%d markers, want 2", markers)
	}
}

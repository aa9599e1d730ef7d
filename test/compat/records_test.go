package compat

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// record is what every client is asked to produce and reports to have consumed. nil bytes are null.
type record struct {
	Topic     string   `json:"topic,omitempty"`
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"`
	Timestamp int64    `json:"t"` // ms
	Key       []byte   `json:"k"`
	Value     []byte   `json:"v"`
	Headers   []header `json:"h"`
}

type header struct {
	Name  string `json:"n"`
	Value []byte `json:"v"`
}

// traits say what a client can express: once for what it writes (its dataset stays within them), once for what it
// reads (its view is compared through them). Each false has a reason beside it in the table of clients.
type traits struct {
	timestamps  bool // a record's timestamp
	nullKeys    bool // null apart from empty
	nullValues  bool // null apart from empty
	nullHeaders bool // null apart from empty
	nullBoth    bool // a null key with a null value
	empties     bool // empty keys and values
	dupHeaders  bool // order of headers, also when a name occurs twice
	manyHeaders bool // headers on most records, not on a few
	binary      bool // any byte in keys, values and headers
	binHeaders  bool // any byte in header values; without it they end at the first NUL
	offsets     bool // produce reports the offset of each record
}

var full = traits{
	timestamps: true, nullKeys: true, nullValues: true, nullHeaders: true, nullBoth: true, empties: true,
	dupHeaders: true, manyHeaders: true, binary: true, binHeaders: true, offsets: true,
}

// less returns full after f took something from it.
func less(f func(*traits)) traits {
	tr := full
	f(&tr)
	return tr
}

const (
	mib          = 1 << 20
	baseTime     = 1_700_000_000_000
	partitions   = 3
	recordsSmall = 90
)

// dataset makes the records of one topic: every combination of null, empty, one-byte and larger keys and values, up to
// four headers, and one 1-MiB value, over all partitions, the same for the same seed and traits.
func dataset(seed uint64, tr traits) []record {
	rng := rand.New(rand.NewPCG(seed, 7))
	records := make([]record, 0, recordsSmall+1)
	for i := range recordsSmall {
		r := record{Partition: int32(i % partitions), Timestamp: baseTime + int64(i)*1000}
		r.Key = blob(rng, tr, tr.nullKeys, []int{-1, 0, 1, 8, 40, 300}[rng.IntN(6)])
		r.Value = blob(rng, tr, tr.nullValues, []int{-1, 0, 1, 1, 10, 100, 1000, 20_000}[rng.IntN(8)])
		if r.Key == nil && r.Value == nil && !tr.nullBoth {
			r.Key = []byte("k")
		}
		if tr.manyHeaders || i%9 == 0 {
			r.Headers = headers(rng, tr)
		}
		records = append(records, r)
	}
	big := record{Partition: int32(rng.IntN(partitions)), Timestamp: baseTime + 999_999, Key: []byte("one mebibyte")}
	big.Value = blob(rng, tr, false, mib)
	return append(records, big)
}

func headers(rng *rand.Rand, tr traits) []header {
	var hs []header
	for range rng.IntN(4) {
		hs = append(hs, header{fmt.Sprintf("name-%d", rng.IntN(100)), blob(rng, tr, tr.nullHeaders, rng.IntN(40)-1)})
	}
	if tr.dupHeaders {
		if len(hs) > 1 {
			hs = append(hs, header{hs[0].Name, []byte("again")})
		}
		return hs
	}
	return slices.CompactFunc(sorted(hs), func(a, b header) bool { return a.Name == b.Name })
}

// blob makes n bytes, half of the time repetitive so that codecs have something to do; n = -1 asks for null.
func blob(rng *rand.Rand, tr traits, nullable bool, n int) []byte {
	if n < 0 && nullable {
		return nil
	}
	n = max(n, 0)
	if !tr.empties {
		n = max(n, 1)
	}
	b := make([]byte, n)
	repeat := rng.IntN(2) == 0 && n < mib
	for i := range b {
		switch {
		case repeat:
			b[i] = "chronik "[i%8]
		case tr.binary:
			b[i] = byte(rng.Uint32())
		default:
			b[i] = 'a' + byte(rng.IntN(26))
		}
	}
	return b
}

// byPartition groups records by topic and partition, in the order given.
func byPartition(records []record) map[string][]record {
	m := map[string][]record{}
	for _, r := range records {
		k := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
		m[k] = append(m[k], r)
	}
	return m
}

// digest is the SHA-256 over keys, values and headers of each partition in order, partitions sorted by name.
func digest(records []record) string {
	m := byPartition(records)
	h := sha256.New()
	put := func(b []byte) {
		n := int32(len(b))
		if b == nil {
			n = -1
		}
		binary.Write(h, binary.BigEndian, n)
		h.Write(b)
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, r := range m[name] {
			put(r.Key)
			put(r.Value)
			for _, hd := range r.Headers {
				put([]byte(hd.Name))
				put(hd.Value)
			}
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// diff compares what was produced with what was consumed, partition by partition, through the traits of both
// clients; nil means equal in count, order, offsets (dense from the first) and every field.
func diff(produced, consumed []record, writer, reader traits) error {
	want, got := byPartition(produced), byPartition(consumed)
	for name := range got {
		if want[name] == nil {
			return fmt.Errorf("%s: %d records that nobody produced", name, len(got[name]))
		}
	}
	for name, w := range want {
		g := got[name]
		for i := range min(len(w), len(g)) {
			if g[i].Offset != int64(i) {
				return fmt.Errorf("%s: record %d has offset %d", name, i, g[i].Offset)
			}
			if err := same(w[i], g[i], writer, reader); err != nil {
				return fmt.Errorf("%s offset %d (produced %d records, consumed %d): %w", name, i, len(w), len(g), err)
			}
		}
		if len(g) != len(w) {
			return fmt.Errorf("%s: produced %d records, consumed %d", name, len(w), len(g))
		}
	}
	return nil
}

func same(w, g record, writer, reader traits) error {
	eq := func(what string, a, b []byte, nulls bool) error {
		if !bytes.Equal(a, b) || (nulls && (a == nil) != (b == nil)) {
			return fmt.Errorf("%s: produced %s, consumed %s", what, short(a), short(b))
		}
		return nil
	}
	if err := eq("key", w.Key, g.Key, reader.nullKeys); err != nil {
		return err
	}
	if err := eq("value", w.Value, g.Value, reader.nullValues); err != nil {
		return err
	}
	if writer.timestamps && reader.timestamps && w.Timestamp != g.Timestamp {
		return fmt.Errorf("timestamp: produced %d, consumed %d", w.Timestamp, g.Timestamp)
	}
	wh, gh := w.Headers, g.Headers
	if !reader.dupHeaders { // such a consumer shows a map: order between names is lost, order within a name is kept
		wh, gh = sorted(wh), sorted(gh)
	}
	if len(wh) != len(gh) {
		return fmt.Errorf("headers: produced %d, consumed %d", len(wh), len(gh))
	}
	for i := range wh {
		want := wh[i].Value
		if i := bytes.IndexByte(want, 0); i >= 0 && !reader.binHeaders {
			want = want[:i]
		}
		if wh[i].Name != gh[i].Name {
			return fmt.Errorf("header %d: produced name %q, consumed %q", i, wh[i].Name, gh[i].Name)
		}
		if err := eq(fmt.Sprintf("header %q", wh[i].Name), want, gh[i].Value, reader.nullHeaders); err != nil {
			return err
		}
	}
	return nil
}

func sorted(hs []header) []header {
	return slices.SortedStableFunc(slices.Values(hs), func(a, b header) int { return strings.Compare(a.Name, b.Name) })
}

func short(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > 24 {
		return fmt.Sprintf("%d bytes %q...", len(b), b[:24])
	}
	return fmt.Sprintf("%d bytes %q", len(b), b)
}

package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/broker/group/record"
	"chronik/broker/transaction"
	"chronik/fuzz/corpus"
	"chronik/kafka/batch"
	"chronik/kafka/batch/compress"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// recordTables are the records of the coordinators.
var recordTables = [][]msg.RecordType{msg.GroupRecords, msg.TransactionRecords, msg.ShareRecords}

// FuzzCoordinatorRecord takes bytes as the key and the value of a coordinator's record.
//
// Properties checked:
//   - nothing panics, whatever the bytes;
//   - decode, encode, decode is identity for key and value, in every table that has the key's number;
//   - a group shard takes the record or calls it malformed; a classic group's record that the tables refuse, it refuses;
//   - so does a group shard that finds it in a transaction, whose end it then finds;
//   - a transaction shard likewise, and what it has loaded it writes and loads again the same;
//   - the bytes are not changed.
func FuzzCoordinatorRecord(f *testing.F) {
	corpus.GoldenRecords(f, func(key, value []byte) {
		f.Add(key, value)
		f.Add(key, []byte(nil))
	})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		sentKey, sentValue := bytes.Clone(key), bytes.Clone(value)
		if len(key) >= 2 {
			tableIdentity(t, key, value)
		}
		s := group.NewShard(group.DefaultConfig(func() string { return "id" }))
		err := s.Load(key, value)
		if err != nil && !errors.Is(err, record.ErrMalformed) {
			t.Fatalf("neither taken nor malformed: %v", err)
		}
		if err == nil && !classicDecodes(key, value) {
			t.Fatalf("taken, though it does not decode: %x %x", key, value)
		}
		inTxn := group.NewShard(group.DefaultConfig(func() string { return "id" }))
		if got := inTxn.LoadInTxn(group.Txn{ProducerID: 7}, key, value); (got == nil) != (err == nil) {
			t.Fatalf("in a transaction %v, else %v", got, err)
		}
		inTxn.LoadMarker(7, true)
		inTxn.Loaded(time.UnixMilli(0), &group.Effects{})
		transactionIdentity(t, key, value)
		if !bytes.Equal(key, sentKey) || !bytes.Equal(value, sentValue) {
			t.Fatal("the record was changed")
		}
	})
}

// transactionIdentity has a transaction shard load the record, write what it has, and load that.
func transactionIdentity(t *testing.T, key, value []byte) {
	t.Helper()
	shard := func() *transaction.Shard {
		return transaction.NewShard(transaction.Config{Expiration: time.Hour, RecordBytesMax: func() int { return 1 << 20 }})
	}
	s, again := shard(), shard()
	if err := s.Load(key, value); err != nil && !errors.Is(err, transaction.ErrMalformed) {
		t.Fatalf("neither taken nor malformed: %v", err)
	}
	var fx group.Effects
	s.Loaded(time.UnixMilli(0), &fx)
	for r := range s.Snapshot() {
		if err := again.Load(r.Key, r.Value); err != nil {
			t.Fatalf("what it wrote: %v", err)
		}
	}
	again.Loaded(time.UnixMilli(0), &fx)
	was, _ := s.List()
	is, _ := again.List()
	if !reflect.DeepEqual(was, is) || s.Bytes() != again.Bytes() || !reflect.DeepEqual(s.Ended(), again.Ended()) {
		t.Fatalf("loaded %+v, and again %+v", was, is)
	}
	s.Tick(time.UnixMilli(1<<50), &fx)
}

// tableIdentity checks key and value as the records of that number in every table.
func tableIdentity(t *testing.T, key, value []byte) {
	t.Helper()
	for _, table := range recordTables {
		r := msg.RecordByNumber(table, int16(binary.BigEndian.Uint16(key)))
		if r == nil {
			continue
		}
		identity(t, r.Key.New(), r.Key.New(), 0, key[2:])
		if len(value) >= 2 {
			identity(t, r.Value.New(), r.Value.New(), int16(binary.BigEndian.Uint16(value)), value[2:])
		}
	}
}

// classicDecodes says whether a record of a classic group's type decodes, as Kafka reads
// it: bytes may be left, and both numbers of offset commits have the same values. Other
// types are not looked into.
func classicDecodes(key, value []byte) bool {
	r := wire.NewReader(key)
	number := r.Int16()
	if number < 0 || number > 2 || r.Err() != nil {
		return r.Err() == nil
	}
	typ := msg.RecordByNumber(msg.GroupRecords, max(number, 1))
	if typ.Key.New().Decode(&r, 0); r.Err() != nil || value == nil {
		return r.Err() == nil
	}
	r.Reset(value)
	msg.DecodeVersioned(&r, typ.Value.New())
	return r.Err() == nil
}

// FuzzEmbedded decodes bytes as one of the messages that stand in fields of others or in
// records, each a number of msg.Embedded.
//
// Properties checked: those of FuzzRequest.
func FuzzEmbedded(f *testing.F) {
	for i, typ := range msg.Embedded {
		for v := typ.Min; v <= typ.Max; v++ {
			m := typ.New()
			m.Default()
			var w wire.Writer
			m.Encode(&w, v)
			f.Add(uint8(i), v, slices.Clone(w.Bytes()))
			f.Add(uint8(i), v, bytes.Repeat([]byte{0, 0, 0, 1}, 20))
		}
	}
	corpus.Golden(f, "embedded", func(_, version int16, body, _ []byte) {
		for i := range msg.Embedded {
			f.Add(uint8(i), version, body[2:])
		}
	})
	f.Fuzz(func(t *testing.T, which uint8, version int16, body []byte) {
		typ := msg.Embedded[int(which)%len(msg.Embedded)]
		identity(t, typ.New(), typ.New(), version, body)
		if !typ.Has(version) {
			r := wire.NewReader(body)
			if typ.New().Decode(&r, version); r.Err() == nil {
				t.Fatalf("%s has version %d, which it should not", typ.Name, version)
			}
		}
	})
}

// identity checks that decode, encode, decode is identity, and says whether body decodes.
func identity(t *testing.T, first, second msg.Message, version int16, body []byte) bool {
	t.Helper()
	r := wire.NewReader(body)
	first.Decode(&r, version)
	if r.Done() != nil {
		return false
	}
	var once, twice wire.Writer
	first.Encode(&once, version)
	if once.Err() != nil {
		t.Fatalf("decoded, but cannot be encoded: %v", once.Err())
	}
	r.Reset(once.Bytes())
	second.Decode(&r, version)
	if r.Done() != nil {
		t.Fatalf("what was encoded cannot be decoded: %v\n%x", r.Err(), once.Bytes())
	}
	second.Encode(&twice, version)
	if twice.Err() != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
		t.Fatalf("encoding again differs: %v\n%x\n%x", twice.Err(), once.Bytes(), twice.Bytes())
	}
	// NaN is the one value that does not equal itself; only quotas have floating point.
	if !reflect.DeepEqual(first, second) && !quotas(first) {
		t.Fatalf("decoding again differs:\n%+v\n%+v", first, second)
	}
	return true
}

func quotas(m msg.Message) bool {
	switch m.(type) {
	case *msg.AlterClientQuotasRequest, *msg.DescribeClientQuotasResponse:
		return true
	}
	return false
}

// FuzzControl takes bytes as the key and the value of a control record, in a control batch
// and by themselves.
//
// Properties checked:
//   - nothing panics, and no bytes are changed;
//   - a key and a value that parse have what msg's types read of their first bytes;
//   - what is read of the batch is what was put in; a producer's control batch is refused;
//   - a marker of these values reads back.
func FuzzControl(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 7}, int64(4000), int16(1))
	f.Add([]byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 7}, int64(1)<<62, int16(-1))
	f.Add([]byte{0, 0, 0, 2}, []byte{0, 1, 0, 0, 0, 1, 1, 1, 0}, int64(-1), int16(0))
	f.Add([]byte{0xff, 0xff, 0, 1, 9}, []byte{0xff, 0xff, 0, 0, 0, 0, 1}, int64(0), int16(0))
	f.Add([]byte{0, 0, 0}, []byte(nil), int64(0), int16(0))
	f.Fuzz(func(t *testing.T, key, value []byte, producer int64, epoch int16) {
		sentKey, sentValue := bytes.Clone(key), bytes.Clone(value)
		version, typ, keyErr := batch.ParseControl(key)
		coordinator, valueErr := batch.ParseEndTxn(value)
		r := wire.NewReader(key)
		if v := r.Int16(); keyErr == nil {
			var k msg.ControlRecordTypeSchema
			k.Decode(&r, 0)
			if r.Err() != nil || v != version || batch.ControlType(k.Type) != typ {
				t.Fatalf("%x parses as %d %d, decodes as %d %d, %v", key, version, typ, v, k.Type, r.Err())
			}
		} else if r.Err() == nil && len(key) >= 4 && v >= 0 {
			t.Fatalf("%x: %v", key, keyErr)
		}
		r = wire.NewReader(value)
		if v := r.Int16(); valueErr == nil {
			var m msg.EndTxnMarker
			m.Decode(&r, 0)
			if r.Err() != nil || v < 0 || m.CoordinatorEpoch != coordinator {
				t.Fatalf("%x parses as %d, decodes as %d of version %d, %v", value, coordinator, m.CoordinatorEpoch, v, r.Err())
			}
		} else if len(value) >= 6 && v >= 0 {
			t.Fatalf("%x: %v", value, valueErr)
		}
		o := batch.Plain(batch.None)
		o.ProducerID, o.ProducerEpoch, o.Transactional, o.Control = producer, epoch, true, true
		var build batch.Builder
		build.Add(1_700_000_000_000, key, value)
		b, err := build.Build(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		checkControl(t, b, key, value)
		if keyErr == nil && valueErr == nil {
			checkMarker(t, batch.AppendEndTxn(nil, typ, producer, epoch, coordinator, 1_700_000_000_000), typ, producer, epoch, coordinator)
		}
		if !bytes.Equal(key, sentKey) || !bytes.Equal(value, sentValue) {
			t.Fatal("the record was changed")
		}
	})
}

// checkControl reads one control record back, and sends it as a producer would.
func checkControl(t *testing.T, b batch.View, key, value []byte) {
	t.Helper()
	n := 0
	for r, err := range batch.Records(b, fuzzScratch()) {
		if err != nil || !bytes.Equal(r.Key, key) || !bytes.Equal(r.Value, value) {
			t.Fatalf("%x %x reads back as %x %x, %v", key, value, r.Key, r.Value, err)
		}
		n++
	}
	if n != 1 || !b.Attributes().Control() {
		t.Fatalf("%d records, attributes %v", n, b.Attributes())
	}
	if _, err := batch.Validate(b, fuzzOptions(0)); err == nil {
		t.Fatal("a control batch of a producer was taken")
	}
}

func checkMarker(t *testing.T, b batch.View, typ batch.ControlType, producer int64, epoch int16, coordinator int32) {
	t.Helper()
	v, err := batch.Parse(b)
	if err != nil || !v.CheckCRC() || !v.Attributes().Control() || !v.Attributes().Transactional() ||
		v.ProducerID() != producer || v.ProducerEpoch() != epoch || v.BaseSequence() != -1 || v.Count() != 1 {
		t.Fatalf("a marker is %x, %v", b, err)
	}
	for r, err := range batch.Records(v, fuzzScratch()) {
		if err != nil {
			t.Fatal(err)
		}
		_, gotType, keyErr := batch.ParseControl(r.Key)
		got, valueErr := batch.ParseEndTxn(r.Value)
		if keyErr != nil || valueErr != nil || gotType != typ || got != coordinator {
			t.Fatalf("type %d, epoch %d read back as %d, %d: %v, %v", typ, coordinator, gotType, got, keyErr, valueErr)
		}
	}
}

// FuzzRecords takes bytes as the records of a batch, before compression, and a number that
// says how many there are. They are compressed with every codec.
//
// Properties checked:
//   - nothing panics;
//   - the records are the same in every codec, and so is the end: whole, or broken behind the same record;
//   - a lookup of a time finds the first record that is not before it, in every codec.
func FuzzRecords(f *testing.F) {
	batchSeeds(f, func(b []byte) {
		if v := batch.View(b); len(b) > batch.HeaderSize && v.Codec() == batch.None {
			f.Add(v.Count(), b[batch.HeaderSize:], int64(1_700_000_000_001))
		}
	})
	f.Add(int32(2), []byte{12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0}, int64(1))
	var w compress.Writer // kept, as a broker keeps them: nothing of one batch may reach the next
	scratch := fuzzScratch()
	f.Fuzz(func(t *testing.T, count int32, plain []byte, at int64) {
		count = max(count, 1)
		if len(plain) > fuzzLimit {
			return
		}
		type found struct {
			offset, timestamp int64
			ok, failed        bool
		}
		var want []string
		var wantErr bool
		var wantAt found
		for codec := batch.None; codec <= batch.Zstd; codec++ {
			v := bare(codec, count, compressed(t, &w, codec, plain))
			got, err := readAll(v, scratch)
			var lookup found
			var lookupErr error
			lookup.offset, lookup.timestamp, lookup.ok, lookupErr = batch.FirstAtOrAfter(v, at, -1<<63)
			lookup.failed = lookupErr != nil
			if codec == batch.None {
				want, wantErr, wantAt = got, err != nil, lookup
				continue
			}
			if !slices.Equal(got, want) || (err != nil) != wantErr {
				t.Fatalf("%v: %d records, %v; uncompressed %d, broken %v", codec, len(got), err, len(want), wantErr)
			}
			if lookup != wantAt {
				t.Fatalf("%v: the first at or after %d is %+v; uncompressed %+v", codec, at, lookup, wantAt)
			}
		}
	})
}

// readAll is the records of a batch, as text, and the error behind them.
func readAll(v batch.View, s *batch.Scratch) (all []string, err error) {
	for r, err := range batch.Records(v, s) {
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%d %d %v %x %v %x %x", r.Offset, r.Timestamp, r.Key == nil, r.Key, r.Value == nil, r.Value, r.Headers))
	}
	return all, nil
}

// compressed is b as the payload of a batch.
func compressed(t *testing.T, c *compress.Writer, codec batch.Codec, b []byte) []byte {
	t.Helper()
	if codec == batch.None {
		return b
	}
	var out bytes.Buffer
	w, err := c.Open(codec, compress.DefaultLevels(), &out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// bare is a batch of that many records with that payload, whatever it holds.
func bare(codec batch.Codec, count int32, payload []byte) batch.View {
	v := make(batch.View, batch.HeaderSize, batch.HeaderSize+len(payload))
	v = append(v, payload...)
	v[22] = byte(codec) & 7
	binary.BigEndian.PutUint32(v[23:], uint32(count-1))
	binary.BigEndian.PutUint32(v[57:], uint32(count))
	return sealed(v)
}

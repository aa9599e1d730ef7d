package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

func read(b []byte, limit func(FrameType) int) (FrameType, []byte, error) {
	return ReadFrame(bufio.NewReader(bytes.NewReader(b)), limit)
}

// TestFrameExample is the frame of FORMAT.md, byte for byte.
func TestFrameExample(t *testing.T) {
	m := &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(7)), Commit: new(uint64(300))}
	got := frame(t, &Writer{}, grouped{16, m})
	want := "\xbe\x37\xa5\x70\xb9\x6d\x27\xbe" + "\x06\x00\x00\x00" + "\x04" + "\x00\x00\x00" +
		"\x10" + "\x08" + "\x03" + "\x07" + "\xac\x02"
	if string(got) != want {
		t.Errorf("\n% x, want\n% x", got, want)
	}
	if typ, body, err := read([]byte(want), bulkLimit); typ != FrameMessages || string(body) != want[headerLen:] || err != nil {
		t.Errorf("read as %d, %q, %v", typ, body, err)
	}
}

// TestEveryFlippedBitIsFound: no damage on the way passes, whichever bit it hits.
func TestEveryFlippedBitIsFound(t *testing.T) {
	good := AppendFrame(nil, FrameMessages, []byte("some "), []byte("messages"))
	if _, body, err := read(good, bulkLimit); err != nil || string(body) != "some messages" {
		t.Fatalf("%q, %v", body, err)
	}
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if typ, body, err := read(bad, bulkLimit); !errors.Is(err, ErrBadFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("bit %d: type %d, %q, %v", bit, typ, body, err)
		}
	}
}

func TestShortReads(t *testing.T) {
	good := AppendFrame(nil, FrameCall, []byte("body"))
	limit := func(typ FrameType) int { return Limit(Calls, typ) }
	for n := range good {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF // between frames
		}
		if _, _, err := read(good[:n], limit); err != want {
			t.Errorf("%d bytes of %d: %v, want %v", n, len(good), err, want)
		}
	}
}

// TestLimits: which frames may come on which connection, and how large.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		class Class
		typ   FrameType
		want  int
	}{
		{Small, FrameMessages, 1 << 20}, {Bulk, FrameMessages, 128 << 20}, {Calls, FrameMessages, -1},
		{Small, FrameCall, -1}, {Bulk, FrameAnswer, -1}, {Calls, FrameCall, 1<<20 + 13}, {Calls, FrameAnswer, 1<<20 + 9},
		{Small, FramePing, 0}, {Calls, FramePong, 0}, {Small, FrameHello, -1}, {Calls, 99, -1},
	} {
		if got := Limit(test.class, test.typ); got != test.want {
			t.Errorf("%s, type %d: %d, want %d", test.class, test.typ, got, test.want)
		}
		length := max(0, test.want+1)
		b := make([]byte, headerLen)
		putHeader(b, test.typ, length, nil)
		if _, _, err := read(b, func(typ FrameType) int { return Limit(test.class, typ) }); !errors.Is(err, ErrBadFrame) {
			t.Errorf("%s, type %d with %d bytes: %v", test.class, test.typ, length, err)
		}
	}
}

// TestAllocationFollowsTheBytes: a length field alone allocates little, and a
// frame beyond what is believed is read whole.
func TestAllocationFollowsTheBytes(t *testing.T) {
	b := make([]byte, headerLen+100)
	putHeader(b, FrameMessages, BulkBytesMax, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := read(b, bulkLimit)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; err != io.ErrUnexpectedEOF || took > 2*trustBytesMax {
		t.Errorf("%v, %d bytes allocated for 100 that came", err, took)
	}
	large := bytes.Repeat([]byte("0123456789"), trustBytesMax/4)
	if _, body, err := read(AppendFrame(nil, FrameMessages, large), bulkLimit); err != nil || !bytes.Equal(body, large) {
		t.Errorf("%d bytes of %d, %v", len(body), len(large), err)
	}
}

// TestMalformedMessages: each body lies in one place.
func TestMalformedMessages(t *testing.T) {
	uv := func(vs ...uint64) (s string) {
		for _, v := range vs {
			s += string(binary.AppendUvarint(nil, v))
		}
		return s
	}
	app, snap := string(rune(pb.MsgApp)), string(rune(pb.MsgSnap))
	for name, body := range map[string]string{
		"group without end":          strings.Repeat("\xff", 11),
		"no type":                    uv(1),
		"a local type":               uv(1) + string(rune(pb.MsgHup)) + uv(0),
		"a proposal":                 uv(1) + string(rune(pb.MsgProp)) + uv(0),
		"a type of raft's storage":   uv(1) + string(rune(pb.MsgStorageAppend)) + uv(0),
		"an unknown type":            uv(1) + "\x7f" + uv(0),
		"an unknown flag":            uv(1) + app + uv(1<<11),
		"a rejection that is absent": uv(1) + app + uv(isReject),
		"no term":                    uv(1) + app + uv(hasTerm),
		"context too long":           uv(1) + app + uv(hasContext, 5) + "1234",
		"context of 2^63":            uv(1) + app + uv(hasContext, 1<<63) + "1234",
		"no entries":                 uv(1) + app + uv(hasEntries, 0),
		"more entries than bytes":    uv(1) + app + uv(hasEntries, 4) + "\x00\x00\x00",
		"too many entries":           uv(1) + app + uv(hasEntries, EntriesMax+1) + strings.Repeat("\x00", EntriesMax+1),
		"an unknown entry flag":      uv(1) + app + uv(hasEntries, 1) + "\x80",
		"two terms":                  uv(1) + app + uv(hasEntries, 1) + string(rune(entryTerm|entryLastTerm)) + uv(1),
		"two indexes":                uv(1) + app + uv(hasEntries, 1) + string(rune(entryIndex|entryNext)) + uv(1),
		"two types":                  uv(1) + app + uv(hasEntries, 1) + string(rune(entryType|entryNormal)) + "\x01",
		"data too long":              uv(1) + app + uv(hasEntries, 1) + string(rune(entryData)) + uv(3) + "12",
		"an unknown snapshot flag":   uv(1) + snap + uv(hasSnapshot) + "\x04",
		"no snapshot":                uv(1) + snap + uv(hasSnapshot),
		"metadata is no protobuf":    uv(1) + snap + uv(hasSnapshot) + "\x01" + uv(1) + "\xff",
		"behind a good one":          uv(1) + app + uv(0) + uv(1),
	} {
		r := Messages([]byte(body), 1, 2)
		n := 0
		for {
			if _, _, ok := r.Next(); !ok {
				break
			}
			n++
		}
		want := 0
		if name == "behind a good one" {
			want = 1
		}
		if err := r.Err(); !errors.Is(err, ErrBadFrame) || n != want {
			t.Errorf("%s: %d messages, %v", name, n, err)
		}
	}
}

func TestCallsComeOutAsTheyWentIn(t *testing.T) {
	limit := func(typ FrameType) int { return Limit(Calls, typ) }
	for _, c := range []Call{
		{}, {ID: 1 << 63, Method: 255, Wait: time.Minute, Body: []byte("body")}, {ID: 3, Wait: 49 * 24 * time.Hour},
	} {
		typ, body, err := read(AppendCall(nil, c), limit)
		got, parse := ParseCall(body)
		if typ != FrameCall || err != nil || parse != nil || got.ID != c.ID || got.Method != c.Method || got.Wait != c.Wait || !bytes.Equal(got.Body, c.Body) {
			t.Errorf("%+v read as %+v, %v, %v", c, got, err, parse)
		}
	}
	for wait, want := range map[time.Duration]time.Duration{time.Nanosecond: time.Millisecond, 1 << 62: (1<<32 - 1) * time.Millisecond, 1500 * time.Microsecond: time.Millisecond} {
		_, body, _ := read(AppendCall(nil, Call{Wait: wait}), limit)
		if got, err := ParseCall(body); got.Wait != want || err != nil {
			t.Errorf("wait %v read as %v, %v", wait, got.Wait, err)
		}
	}
	for _, a := range []Answer{{}, {ID: 7, Outcome: Failed, Body: []byte("words")}} {
		typ, body, err := read(AppendAnswer(nil, a), limit)
		got, parse := ParseAnswer(body)
		if typ != FrameAnswer || err != nil || parse != nil || got.ID != a.ID || got.Outcome != a.Outcome || !bytes.Equal(got.Body, a.Body) {
			t.Errorf("%+v read as %+v, %v, %v", a, got, err, parse)
		}
	}
	if _, err := ParseCall(make([]byte, CallLen-1)); !errors.Is(err, ErrBadFrame) {
		t.Errorf("a short call: %v", err)
	}
	if _, err := ParseAnswer(make([]byte, AnswerLen-1)); !errors.Is(err, ErrBadFrame) {
		t.Errorf("a short answer: %v", err)
	}
}

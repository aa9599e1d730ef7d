package msg_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// allocFactor is the fixed multiple: a decode allocates at most this many bytes a byte of
// input. An element that takes one byte on the wire, such as a null string, takes 24 in
// memory, and what is believed at one level of nesting is spent at most once more at each
// level below.
const allocFactor = 64

// allocBase covers the message itself and what the measurement adds.
const allocBase = 4096

// allocated is the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// eachMessage calls f with every message and version. newMessage makes a fresh one.
func eachMessage(f func(name string, v int16, newMessage func() msg.Message)) {
	for _, a := range msg.APIs {
		for v := a.Min; v <= a.Max; v++ {
			f(fmt.Sprintf("%s request v%d", a.Name, v), v, func() msg.Message { return a.NewRequest() })
			f(fmt.Sprintf("%s response v%d", a.Name, v), v, func() msg.Message { return a.NewResponse() })
		}
	}
	each := func(x msg.Type) {
		for v := x.Min; v <= x.Max; v++ {
			f(fmt.Sprintf("%s v%d", x.Name, v), v, x.New)
		}
	}
	for _, x := range msg.Embedded {
		each(x)
	}
	for _, table := range recordTables {
		for _, x := range table {
			each(x.Key)
			each(x.Value)
		}
	}
}

// Inputs made of one byte or one number again and again: every count and every length is as
// large as can be, or just small enough to be believed.
func TestDecodeAllocatesInProportion(t *testing.T) {
	const size = 64 << 10
	var patterns [][]byte
	for _, b := range []byte{0, 1, 2, 3, 0x10, 0x7f, 0xff} {
		patterns = append(patterns, bytes.Repeat([]byte{b}, size))
	}
	for _, n := range []uint32{size / 4, size / 8, size / 16, size / 32, 1 << 30, 1<<31 - 1, 1 << 31} {
		flat := bytes.Repeat(binary.BigEndian.AppendUint32(nil, n), size/4)
		shifted := append([]byte{0, 0}, flat[:size-2]...)
		varint := bytes.Repeat(binary.AppendUvarint(nil, uint64(n)), size/5)
		patterns = append(patterns, flat, shifted, varint)
	}
	const limit = 2 * size
	worst, where, n, held := 0.0, "", 0, 0
	eachMessage(func(name string, v int16, newMessage func() msg.Message) {
		for i, in := range patterns {
			m := newMessage()
			r := wire.NewReader(in)
			got := allocated(func() { m.Decode(&r, v) })
			n++
			if ratio := float64(got) / float64(len(in)); ratio > worst {
				worst, where = ratio, fmt.Sprintf("%s, pattern %d", name, i)
			}
			if got > allocFactor*uint64(len(in))+allocBase {
				t.Errorf("%s, pattern %d: %d bytes for %d bytes of input", name, i, got, len(in))
			}
			m = newMessage()
			r.Reset(in)
			r.Limit(limit)
			limited := allocated(func() { m.Decode(&r, v) })
			if limited > limit*5/4+allocBase { // sizes are rounded up
				t.Errorf("%s, pattern %d: %d bytes with a limit of %d", name, i, limited, limit)
			}
			if limited < got {
				held++
			}
		}
	})
	t.Logf("%d decodes, at most %.1f bytes a byte (%s); %d took less with a limit of %d bytes", n, worst, where, held, limit)
	if held == 0 {
		t.Error("the limit held nothing back")
	}
}

// A few bytes that claim a lot allocate next to nothing.
func TestSmallInputWithHugeCounts(t *testing.T) {
	var inputs [][]byte
	for lead := range 24 {
		for _, count := range [][]byte{
			{0x7f, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0xff, 0xff, 0xff, 0xfe}, {0x00, 0x0f, 0xff, 0xff},
			{0xff, 0xff, 0xff, 0xff, 0x0f}, {0xff, 0xff, 0xff, 0xff, 0x07}, {0x80, 0x80, 0x80, 0x01},
		} {
			for _, fill := range []byte{0, 1, 2} {
				inputs = append(inputs, append(bytes.Repeat([]byte{fill}, lead), count...))
			}
		}
	}
	n := 0
	eachMessage(func(name string, v int16, newMessage func() msg.Message) {
		m := newMessage()
		got := allocated(func() {
			for _, in := range inputs {
				r := wire.NewReader(in)
				m.Decode(&r, v)
				n++
			}
		})
		var bytesIn uint64
		for _, in := range inputs {
			bytesIn += uint64(len(in))
		}
		// Each input that is wrong costs its error.
		if limit := allocFactor*bytesIn + allocBase; got > limit {
			t.Errorf("%s: %d bytes for %d bytes of input", name, got, bytesIn)
		}
	})
	t.Logf("%d decodes", n)
}

// Golden bodies, cut at each byte and with bytes overwritten at random: an error or a
// message, never a panic, never out of proportion.
func TestDamagedGoldenBodies(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed))
	cuts, damaged := 0, 0
	for _, file := range bodies {
		for _, v := range vectors(t, file) {
			a := msg.Lookup(v.Key)
			if a == nil || !a.Has(v.Version) {
				continue
			}
			var m msg.Message = a.NewRequest()
			if v.Direction == "response" {
				m = a.NewResponse()
			}
			body := unhex(t, v.Hex)
			for n := range body {
				r := wire.NewReader(body[:n])
				m.Decode(&r, v.Version)
				if r.Done() == nil {
					t.Fatalf("%s %s v%d %s: no error when cut to %d of %d bytes", v.API, v.Direction, v.Version, v.Variant, n, len(body))
				}
				cuts++
			}
			got := allocated(func() {
				for range 20 {
					bad := bytes.Clone(body)
					for range 1 + rng.IntN(3) {
						if at := rng.IntN(len(bad) + 1); at < len(bad) {
							bad[at] = []byte{0, 1, 0x7f, 0x80, 0xff, byte(rng.Uint32())}[rng.IntN(6)]
						}
					}
					r := wire.NewReader(bad)
					m.Decode(&r, v.Version)
					damaged++
				}
			})
			if limit := 20 * (allocFactor*uint64(len(body)) + allocBase); got > limit {
				t.Errorf("%s %s v%d %s: %d bytes for 20 damaged bodies of %d", v.API, v.Direction, v.Version, v.Variant, got, len(body))
			}
		}
	}
	t.Logf("%d cuts, %d damaged bodies, seed %d", cuts, damaged, seed)
}

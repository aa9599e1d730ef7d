package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"

	"github.com/cespare/xxhash/v2"
)

const fuzzSalt = 0xfeedbead

// segmentImage is the bytes of a segment of n frames, and its identity.
func segmentImage(t testing.TB, n int, seal bool) ([]byte, segment.Meta) {
	m := vfs.NewMem()
	a, err := segment.Create(segment.CreateOptions{FS: m, Path: "a", ID: 1, Salt: fuzzSalt, BaseIndex: 1, Now: 1, Capacity: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		e := segment.Entry{Index: segment.Index(i + 1), Term: segment.Term(1 + i/2), Kind: segment.KindData, BaseOffset: segment.Offset(2 * i),
			Count: 2, MaxTimestamp: int64(i), Payload: bytes.Repeat([]byte{byte(i + 1)}, 10+i*40)}
		if _, err := a.Append([]segment.Entry{e}, 1); err != nil {
			t.Fatal(err)
		}
		if err := a.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	meta := a.Meta()
	if seal {
		if meta, err = a.Seal(n, []byte("checkpoint")); err != nil {
			t.Fatal(err)
		}
	}
	b, err := vfs.ReadFile(m, "a", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b, meta
}

func memFile(t testing.TB, name string, b []byte) *vfs.Mem {
	m := vfs.NewMem()
	f, err := m.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return m
}

// FuzzFrameHeader feeds arbitrary bytes to the frame parser.
//
// Invariants checked: no panic; an accepted frame lies within the input, its
// length is a multiple of 8, its payload within the frame; an accepted frame
// with one flipped bit is not accepted.
func FuzzFrameHeader(f *testing.F) {
	b, _ := segmentImage(f, 3, false)
	f.Add(b[4096:4096+80], uint8(3), false)
	f.Add(b[4096+80:4096+300], uint8(200), true)
	f.Add([]byte{}, uint8(0), true)
	f.Fuzz(func(t *testing.T, in []byte, flip uint8, rehash bool) {
		b := bytes.Clone(in)
		if rehash && len(b) >= segment.FrameHeaderLen { // past the hash, so that the fields are reached
			binary.LittleEndian.PutUint32(b[8:], 0x464b4843)
			binary.LittleEndian.PutUint32(b[56:], fuzzSalt)
			if n := segment.FrameLen(int(binary.LittleEndian.Uint32(b[16:]))); n <= len(b) {
				binary.LittleEndian.PutUint64(b, xxhash.Sum64(b[8:n]))
			}
		}
		e, n, err := segment.ParseFrame(b, fuzzSalt)
		if err != nil {
			return
		}
		if n > len(b) || n%8 != 0 || n != segment.FrameLen(len(e.Payload)) || e.BaseOffset < 0 || e.Next() < e.BaseOffset {
			t.Fatalf("frame of %d in %d bytes: %+v", n, len(b), e)
		}
		b[int(flip)%n] ^= 1 << (flip % 8)
		if _, _, err := segment.ParseFrame(b, fuzzSalt); err == nil {
			t.Fatalf("a flip at %d was accepted", int(flip)%n)
		}
	})
}

// FuzzSegmentRecovery changes a good segment's bytes by arbitrary edits, or
// takes arbitrary bytes for one, and recovers it.
//
// Invariants checked: no panic, no hang, memory bounded by the input; the answer
// is a segment, corruption or a newer version; what is recovered reads back,
// takes an append, and recovers again as a clean one with the same frames.
func FuzzSegmentRecovery(f *testing.F) {
	good, meta := segmentImage(f, 6, false)
	f.Add([]byte{0, 0, 0}, []byte{}, false)
	f.Add([]byte{0x10, 0x10, 0xff, 0x11, 0x20, 1}, []byte{}, true)
	f.Add([]byte{}, good[:4500], false)
	f.Fuzz(func(t *testing.T, edits, raw []byte, rehash bool) {
		b := raw
		if len(raw) < 4096 {
			b = bytes.Clone(good)
			edit(b, edits, 4096, 5200)
		} else {
			b = bytes.Clone(raw)
			copy(b, good[:64])
		}
		if rehash {
			rehashFrames(b)
		}
		m := memFile(t, "a", b)
		var a *segment.Active
		var err error
		bounded(t, len(b), func() {
			a, _, err = segment.Recover(segment.RecoverOptions{FS: m, Path: "a", Meta: meta})
		})
		if err != nil {
			if !errors.Is(err, segment.ErrCorrupt) && !errors.Is(err, segment.ErrNewerVersion) {
				t.Fatalf("neither corrupt nor newer: %v", err)
			}
			return
		}
		frames := a.Frames()
		readFrames(t, a.Segment)
		e := segment.Entry{Index: a.NextIndex(), Term: a.LastTerm(), Kind: segment.KindData, BaseOffset: a.NextOffset(), Payload: []byte("on")}
		n, err := a.Append([]segment.Entry{e}, 1)
		if err != nil && a.NextOffset() < 1<<62 {
			t.Fatalf("append: %v", err)
		}
		if err := a.Sync(); err != nil {
			t.Fatal(err)
		}
		again, rec, err := segment.Recover(segment.RecoverOptions{FS: m, Path: "a", Meta: meta})
		if err != nil || rec.TornBytes != 0 || again.Frames() != frames+n {
			t.Fatalf("again: %+v, %v, %d frames, want %d", rec, err, rec.Frames, frames+n)
		}
	})
}

// edit applies triples of (position high, position low, xor) to b[from:to].
func edit(b, edits []byte, from, to int) {
	for ; len(edits) >= 3; edits = edits[3:] {
		at := from + (int(edits[0])<<8|int(edits[1]))%(to-from)
		b[at] ^= edits[2]
	}
}

// rehashFrames gives what stands at frame positions good hashes, as far as
// lengths lead.
func rehashFrames(b []byte) {
	for p := 4096; p+segment.FrameHeaderLen <= len(b); {
		n := segment.FrameLen(int(binary.LittleEndian.Uint32(b[p+16:])))
		if n > len(b)-p || binary.LittleEndian.Uint32(b[p+8:]) != 0x464b4843 {
			return
		}
		binary.LittleEndian.PutUint64(b[p:], xxhash.Sum64(b[p+8:p+n]))
		p += n
	}
}

func readFrames(t *testing.T, s *segment.Segment) {
	t.Helper()
	next := s.BaseOffset()
	for i := range s.Frames() {
		var e segment.Entry
		if err := s.Frame(i, &e); err != nil {
			t.Fatalf("frame %d of a recovered segment: %v", i, err)
		}
		if e.Index != s.BaseIndex()+segment.Index(i) || e.BaseOffset < next {
			t.Fatalf("frame %d: %+v", i, e)
		}
		next = e.Next()
	}
}

// FuzzSealedSegment edits a sealed segment and reads all of it.
//
// Invariants checked: no panic; whatever differs from what was written is
// corruption, a newer version or refused, never served.
func FuzzSealedSegment(f *testing.F) {
	good, meta := segmentImage(f, 6, true)
	clean := segment.OpenSealed(memFile(f, "a", good), nil, "a", meta)
	var want []segment.Entry
	for i := range 6 {
		var e segment.Entry
		if err := clean.Frame(i, &e); err != nil {
			f.Fatal(err)
		}
		want = append(want, e)
	}
	f.Add([]byte{0, 0, 0}, uint16(0))
	f.Add([]byte{0x01, 0x10, 0xff}, uint16(5000))
	f.Fuzz(func(t *testing.T, edits []byte, cut uint16) {
		b := bytes.Clone(good)
		edit(b, edits, 4096, int(meta.Footer)+128)
		if cut > 0 {
			b = b[:min(len(b), int(cut))]
		}
		s := segment.OpenSealed(memFile(t, "a", b), nil, "a", meta)
		defer s.Release()
		for i := range want {
			var e segment.Entry
			err := s.Frame(i, &e)
			if err != nil && !errors.Is(err, segment.ErrCorrupt) && !errors.Is(err, segment.ErrNewerVersion) {
				t.Fatal(err)
			}
			if err == nil && (e.Index != want[i].Index || e.BaseOffset != want[i].BaseOffset || !bytes.Equal(e.Payload, want[i].Payload)) {
				t.Fatalf("frame %d was served as %+v", i, e)
			}
		}
	})
}

package handover

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"testing"

	"chronik/segment"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random test; 0: a new one each time")

func example(r *rand.Rand) (b []byte, l *Log) {
	l = &Log{First: segment.Index(1 + r.Uint64N(5)), Base: segment.Offset(r.Int64N(100))}
	term := segment.Term(0)
	if l.First > 1 {
		term = 1 + segment.Term(r.Uint64N(4))
	}
	l.PrevTerm, l.Start = term, l.Base
	next := l.Base
	for i := range 1 + r.Uint64N(6) {
		term = max(1, term+segment.Term(r.Uint64N(2)))
		f := segment.Entry{Index: l.First + segment.Index(i), Term: term, Kind: segment.KindData, BaseOffset: next + segment.Offset(r.Int64N(2)), MaxTimestamp: r.Int64() - 1}
		if n := r.IntN(50); n > 0 {
			f.Payload, f.Count = make([]byte, n), r.Uint32N(5)
			f.Payload[0] = byte(n)
		}
		next = f.Next()
		l.Frames = append(l.Frames, f)
	}
	l.Start += segment.Offset(r.Int64N(int64(next-l.Base) + 1))
	b = Begin(l.First, l.PrevTerm, l.Base, l.Start)
	return End(Append(b, l.Frames), len(l.Frames)), l
}

// TestRoundTrip: what is encoded is decoded; a byte less or more, and another end, is refused.
func TestRoundTrip(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./raftstore/handover -run '^%s$' -seed %d", t.Name(), seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		b, l := example(r)
		last := l.Frames[len(l.Frames)-1]
		got, err := Decode(b, last.Index, last.Term)
		if err != nil {
			t.Fatal(err)
		}
		if got.First != l.First || got.PrevTerm != l.PrevTerm || got.Base != l.Base || got.Start != l.Start || len(got.Frames) != len(l.Frames) || got.Last() != last.Index {
			t.Fatalf("%+v, want %+v", got, l)
		}
		for i, f := range got.Frames {
			w := l.Frames[i]
			if f.Index != w.Index || f.Term != w.Term || f.Kind != w.Kind || f.BaseOffset != w.BaseOffset || f.Count != w.Count ||
				f.MaxTimestamp != w.MaxTimestamp || !bytes.Equal(f.Payload, w.Payload) || got.Term(f.Index) != w.Term {
				t.Fatalf("%+v, want %+v", f, w)
			}
		}
		for what, bad := range map[string][]byte{"short": b[:r.IntN(len(b))], "long": append(b[:len(b):len(b)], 0)} {
			if _, err := Decode(bad, last.Index, last.Term); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if _, err := Decode(b, last.Index+1, last.Term); !errors.Is(err, ErrMalformed) {
			t.Fatalf("another index: %v", err)
		}
		if _, err := Decode(b, last.Index, last.Term+1); !errors.Is(err, ErrMalformed) {
			t.Fatalf("another term: %v", err)
		}
	}
}

// FuzzDecode. Invariants checked: no panic; what is decoded follows itself, as an append demands, and encodes to the same bytes but
// for what is zero.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		b, l := example(r)
		last := l.Frames[len(l.Frames)-1]
		f.Add(b, uint64(last.Index), uint64(last.Term))
	}
	f.Fuzz(func(t *testing.T, b []byte, index, term uint64) {
		l, err := Decode(b, segment.Index(index), segment.Term(term))
		if err != nil {
			return
		}
		prev, next, i := l.PrevTerm, l.Base, l.First
		for _, e := range l.Frames {
			if e.Index != i || e.Term < prev || e.BaseOffset < next || e.Next() < e.BaseOffset {
				t.Fatalf("%+v behind entry %d of term %d, offset %d", e, i-1, prev, next)
			}
			prev, next, i = e.Term, e.Next(), i+1
		}
		if uint64(l.Last()) != index || uint64(prev) != term || l.Start < l.Base || l.Start > next {
			t.Fatalf("%+v ends with entry %d of term %d, want %d of %d", l, l.Last(), prev, index, term)
		}
		again := End(Append(Begin(l.First, l.PrevTerm, l.Base, l.Start), l.Frames), len(l.Frames))
		if len(again) != len(b) {
			t.Fatalf("%d bytes, from %d", len(again), len(b))
		}
	})
}

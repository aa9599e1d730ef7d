package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"chronik/segment"
)

// BytesMax is how large a log may be that is handed over in one piece.
const BytesMax = 64 << 20

const (
	magic      = 0x4e534843 // "CHSN", little-endian
	version    = 1
	headBytes  = 48
	frameBytes = 40
)

// ErrMalformed is bytes that are no log.
var ErrMalformed = errors.New("handover: malformed")

// Log is a log from its first entry on.
//
//	First == Frames[0].Index, if there is one
//	Base <= Start
type Log struct {
	First    segment.Index
	PrevTerm segment.Term   // of the entry before First
	Base     segment.Offset // of First
	Start    segment.Offset // logical start of the log
	Frames   []segment.Entry
}

// Last is the index of the last frame, First-1 when there is none.
func (l *Log) Last() segment.Index { return l.First + segment.Index(len(l.Frames)) - 1 }

// Term is the term of an entry of First-1 to Last.
func (l *Log) Term(i segment.Index) segment.Term {
	if i < l.First {
		return l.PrevTerm
	}
	return l.Frames[i-l.First].Term
}

// Begin encodes what comes before the frames; Append adds some, End finishes.
func Begin(first segment.Index, prev segment.Term, base, start segment.Offset) []byte {
	b := make([]byte, headBytes)
	binary.LittleEndian.PutUint32(b, magic)
	binary.LittleEndian.PutUint16(b[4:], version)
	binary.LittleEndian.PutUint64(b[8:], uint64(first))
	binary.LittleEndian.PutUint64(b[16:], uint64(prev))
	binary.LittleEndian.PutUint64(b[24:], uint64(base))
	binary.LittleEndian.PutUint64(b[32:], uint64(start))
	return b
}

// Append adds frames.
func Append(b []byte, frames []segment.Entry) []byte {
	for i := range frames {
		f := &frames[i]
		b = append(b, byte(f.Kind), 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Payload)))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.Term))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.BaseOffset))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.MaxTimestamp))
		b = binary.LittleEndian.AppendUint32(b, f.Count)
		b = append(b, 0, 0, 0, 0)
		b = append(b, f.Payload...)
	}
	return b
}

// End says how many frames there are.
func End(b []byte, frames int) []byte {
	binary.LittleEndian.PutUint32(b[40:], uint32(frames))
	return b
}

// Decode reads a log that ends with the entry of that index and term.
func Decode(b []byte, index segment.Index, term segment.Term) (*Log, error) {
	if len(b) < headBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if m, v := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]); m != magic || v != version {
		return nil, fmt.Errorf("%w: magic %#x, version %d", ErrMalformed, m, v)
	}
	l := &Log{First: segment.Index(binary.LittleEndian.Uint64(b[8:])), PrevTerm: segment.Term(binary.LittleEndian.Uint64(b[16:])),
		Base: segment.Offset(binary.LittleEndian.Uint64(b[24:])), Start: segment.Offset(binary.LittleEndian.Uint64(b[32:]))}
	n := uint64(binary.LittleEndian.Uint32(b[40:]))
	rest := b[headBytes:]
	if n > uint64(len(rest)/frameBytes) || l.First == 0 || (l.First == 1) != (l.PrevTerm == 0) || l.Base < 0 || l.Start < l.Base ||
		uint64(index)-uint64(l.First)+1 != n || l.PrevTerm > term {
		return nil, fmt.Errorf("%w: %d frames in %d bytes from entry %d of terms from %d, offset %d, start %d, to entry %d of term %d",
			ErrMalformed, n, len(rest), l.First, l.PrevTerm, l.Base, l.Start, index, term)
	}
	l.Frames = make([]segment.Entry, n)
	prev, next := l.PrevTerm, l.Base
	for i := range l.Frames {
		f := &l.Frames[i]
		f.Index = l.First + segment.Index(i)
		var err error
		if rest, err = decode(f, rest); err != nil {
			return nil, err
		}
		if f.Term < prev || f.Term == 0 || f.BaseOffset < next {
			return nil, fmt.Errorf("%w: entry %d of term %d at offset %d behind term %d, offset %d", ErrMalformed, f.Index, f.Term, f.BaseOffset, prev, next)
		}
		prev, next = f.Term, f.Next()
	}
	if len(rest) > 0 || prev != term || l.Start > next {
		return nil, fmt.Errorf("%w: ends with term %d, want %d; start %d, next offset %d; %d bytes are left", ErrMalformed, prev, term, l.Start, next, len(rest))
	}
	return l, nil
}

// decode reads a frame and returns what is behind it.
func decode(f *segment.Entry, b []byte) (rest []byte, err error) {
	if len(b) < frameBytes {
		return nil, fmt.Errorf("%w: entry %d: %d bytes", ErrMalformed, f.Index, len(b))
	}
	f.Kind = segment.Kind(b[0])
	size := binary.LittleEndian.Uint32(b[4:])
	f.Term = segment.Term(binary.LittleEndian.Uint64(b[8:]))
	f.BaseOffset = segment.Offset(binary.LittleEndian.Uint64(b[16:]))
	f.MaxTimestamp = int64(binary.LittleEndian.Uint64(b[24:]))
	f.Count = binary.LittleEndian.Uint32(b[32:])
	b = b[frameBytes:]
	known := f.Kind == segment.KindData || f.Kind == segment.KindConf || f.Kind == segment.KindConfV2
	if !known || uint64(size) > uint64(len(b)) || size > segment.PayloadBytesMax || f.BaseOffset < 0 || f.BaseOffset > math.MaxInt64-segment.Offset(f.Count) {
		return nil, fmt.Errorf("%w: entry %d of kind %d: %d bytes of %d, offset %d and %d more", ErrMalformed, f.Index, f.Kind, size, len(b), f.BaseOffset, f.Count)
	}
	if size > 0 {
		f.Payload = b[:size:size]
	}
	return b[size:], nil
}

package segment

import (
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Frames are gathered into one pwritev: headers and small payloads are copied
// side by side, larger payloads are pointed at.
const (
	stageBytes = 64 << 10
	copyMost   = 4 << 10 // payloads up to this are copied
	vectorMost = 256
)

type stage struct {
	buf    []byte
	run    int // where the part of buf that is not in bufs yet begins
	bufs   [][]byte
	bytes  int // in bufs and the run
	digest xxhash.Digest
}

var stages = sync.Pool{New: func() any {
	return &stage{buf: make([]byte, 0, stageBytes), bufs: make([][]byte, 0, vectorMost+4)}
}}

func (s *stage) reset() {
	clear(s.bufs)
	s.buf, s.bufs, s.run, s.bytes = s.buf[:0], s.bufs[:0], 0, 0
}

// closeRun moves the open run of buf to the vector.
func (s *stage) closeRun() {
	if s.run < len(s.buf) {
		s.bufs = append(s.bufs, s.buf[s.run:])
		s.run = len(s.buf)
	}
}

var padding [8]byte

func sealHash(frame []byte) { le.PutUint64(frame, xxhash.Sum64(frame[8:])) }

// add stages one frame; the caller has made sure that there is room.
func (s *stage) add(e *Entry, salt uint32, synced Pos) {
	length, at := FrameLen(len(e.Payload)), len(s.buf)
	pad := padding[:length-FrameHeaderLen-len(e.Payload)]
	s.buf = s.buf[:at+FrameHeaderLen]
	h := s.buf[at:]
	putHeader(h, e, salt, synced)
	s.bytes += length
	if len(e.Payload) <= copyMost {
		s.buf = append(s.buf, e.Payload...)
		s.buf = append(s.buf, pad...)
		sealHash(s.buf[at:])
		return
	}
	s.digest.Reset()
	s.digest.Write(h[8:])
	s.digest.Write(e.Payload)
	s.digest.Write(pad)
	le.PutUint64(h, s.digest.Sum64())
	s.closeRun()
	s.bufs = append(s.bufs, e.Payload)
	s.buf = append(s.buf, pad...)
}

func (s *stage) full(e *Entry) bool {
	need := FrameHeaderLen + 8
	if len(e.Payload) <= copyMost {
		need += len(e.Payload)
	}
	return len(s.buf)+need > cap(s.buf) || len(s.bufs)+3 > vectorMost
}

// write puts the frames of entries at pos, in as few system calls as fit.
func (a *Active) write(entries []Entry, pos Pos) error {
	s := stages.Get().(*stage)
	defer stages.Put(s)
	defer s.reset()
	synced := Pos(a.synced.Load())
	for i := range entries {
		if s.full(&entries[i]) {
			if err := s.flush(a, &pos); err != nil {
				return err
			}
		}
		s.add(&entries[i], a.meta.Salt, synced)
	}
	return s.flush(a, &pos)
}

func (s *stage) flush(a *Active, pos *Pos) error {
	s.closeRun()
	if s.bytes == 0 {
		return nil
	}
	err := a.file.Writev(s.bufs, int64(*pos))
	*pos += Pos(s.bytes)
	s.reset()
	return err
}

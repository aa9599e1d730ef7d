package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/pierrec/lz4/v4"
)

var lz4Magic = []byte{0x04, 0x22, 0x4d, 0x18}

func (r *Reader) openLZ4(payload []byte) (io.Reader, error) {
	if err := checkLZ4(payload); err != nil {
		return nil, err
	}
	if r.lz4 == nil {
		r.lz4 = lz4.NewReader(nil)
		if err := r.lz4.Apply(lz4.ConcurrencyOption(1)); err != nil {
			panic("BUG: lz4 reader options: " + err.Error())
		}
	}
	r.lz4.Reset(&r.in)
	return r.lz4, nil
}

// checkLZ4 walks the block sizes of an LZ4 frame. What Java consumers cannot
// read is refused: they know one frame, and in it only blocks that do not
// depend on each other. What the blocks hold is left to the decoder.
//
//	magic 4 | flags 1 | block size 1 | content size 8? | header checksum 1
//	then blocks: size 4, the high bit for "not compressed" | bytes | checksum 4?
//	then size 0 | content checksum 4?
func checkLZ4(b []byte) error {
	const (
		versionMask, version1, reserved          = 0xc0, 0x40, 0x03
		independent, blockSums, contentSize, sum = 0x20, 0x10, 0x08, 0x04
	)
	if len(b) < 7 || !bytes.HasPrefix(b, lz4Magic) || b[4]&versionMask != version1 {
		return errors.New("not an LZ4 frame of version 1")
	}
	flags := b[4]
	switch {
	case flags&independent == 0:
		return errors.New("LZ4 blocks depend on each other")
	case flags&reserved != 0 || b[5]&0x8f != 0:
		return errors.New("an LZ4 frame with a dictionary or reserved bits")
	}
	at := int64(7)
	if flags&contentSize != 0 {
		at += 8
	}
	for int64(len(b))-at >= 4 {
		size := int64(binary.LittleEndian.Uint32(b[at:]) & 0x7fffffff)
		at += 4 + size
		switch {
		case size > 0 && flags&blockSums != 0:
			at += 4
		case size == 0:
			if flags&sum != 0 {
				at += 4
			}
			if at < int64(len(b)) {
				return errors.New("bytes follow the LZ4 frame")
			}
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}

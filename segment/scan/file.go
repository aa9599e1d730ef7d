package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"chronik/internal/vfs"
	"chronik/segment"

	"github.com/cespare/xxhash/v2"
)

var le = binary.LittleEndian

const (
	windowBytes = 256 << 10
	wholeBytes  = 1 << 20 // frames up to this are read before their hash is known
)

// file is a file that is read front to back through a window. It may be
// appended to meanwhile: size is what it was when it was opened.
type file struct {
	vfs.File
	path string
	size segment.Pos
	buf  []byte
	from segment.Pos // position of buf[0]
}

func openFile(fsys vfs.FS, path string) (*file, error) {
	f, err := fsys.OpenReadOnly(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{File: f, path: path, size: segment.Pos(size)}, nil
}

// refresh forgets what has been read and how large the file was.
func (f *file) refresh() error {
	size, err := f.Size()
	f.size, f.buf = segment.Pos(size), nil
	return err
}

// at returns the n bytes at pos, valid until the next call. The caller has
// bounded n: pos+n is at most the size.
func (f *file) at(pos segment.Pos, n int) ([]byte, error) {
	b, err := f.some(pos, n)
	if err == nil && len(b) < n {
		err = fmt.Errorf("%s at %d: %w", f.path, pos, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	return b[:n:n], nil
}

// some returns what the window has from pos on: at least n bytes, or all there
// are before the end.
func (f *file) some(pos segment.Pos, n int) ([]byte, error) {
	n = int(max(0, min(segment.Pos(n), f.size-pos)))
	if pos >= f.from && pos+segment.Pos(n) <= f.from+segment.Pos(len(f.buf)) {
		return f.buf[pos-f.from:], nil
	}
	want := int(min(segment.Pos(max(n, windowBytes)), f.size-pos))
	if cap(f.buf) < want || (want <= windowBytes && cap(f.buf) > wholeBytes) {
		f.buf = make([]byte, want)
	}
	f.buf = f.buf[:want]
	got, err := f.ReadAt(f.buf, int64(pos))
	f.from, f.buf = pos, f.buf[:got]
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s at %d: %w", f.path, pos, err)
	}
	return f.buf, nil
}

// frame verifies the frame at pos, which must end at or before end. Its payload
// is valid until the next call.
func (f *file) frame(pos, end segment.Pos, salt uint32) (segment.Frame, error) {
	head, err := f.some(pos, int(min(segment.FrameHeaderLen, end-pos)))
	if err != nil {
		return segment.Frame{}, err
	}
	head = head[:min(segment.Pos(len(head)), max(0, end-pos))]
	n, ok := segment.FrameBytes(head)
	if !ok {
		return segment.VerifyFrame(f.path, pos, head, salt) // says what is wrong with it
	}
	if left := end - pos; segment.Pos(n) > left {
		return segment.Frame{}, Damage(f.path, pos, "frame's payload length", fmt.Sprint("<= ", left-segment.FrameHeaderLen), n-segment.FrameHeaderLen)
	}
	if n > wholeBytes {
		sum, err := f.hash(pos+8, pos+segment.Pos(n))
		if err != nil {
			return segment.Frame{}, err
		}
		if head, err = f.at(pos, segment.FrameHeaderLen); err != nil {
			return segment.Frame{}, err
		}
		if want := le.Uint64(head); want != sum {
			return segment.Frame{}, Damage(f.path, pos, "frame hash", fmt.Sprintf("%#x", want), fmt.Sprintf("%#x", sum))
		}
	}
	b, err := f.at(pos, n)
	if err != nil {
		return segment.Frame{}, err
	}
	return segment.VerifyFrame(f.path, pos, b, salt)
}

// hash is the xxh64 of the bytes from one position to another.
func (f *file) hash(from, to segment.Pos) (uint64, error) {
	d := xxhash.New()
	for pos := from; pos < to; {
		b, err := f.at(pos, int(min(windowBytes, to-pos)))
		if err != nil {
			return 0, err
		}
		d.Write(b)
		pos += segment.Pos(len(b))
	}
	return d.Sum64(), nil
}

// end returns where the last byte that is not zero between two positions ends,
// from if there is none.
func (f *file) end(from, to segment.Pos) (segment.Pos, error) {
	last := from
	for pos := from; pos < to; {
		b, err := f.at(pos, int(min(windowBytes, to-pos)))
		if err != nil {
			return 0, err
		}
		for i := len(b); i > 0; i-- {
			if b[i-1] != 0 {
				last = pos + segment.Pos(i)
				break
			}
		}
		pos += segment.Pos(len(b))
	}
	return last, nil
}

// search calls found for every position that is a multiple of 8, at or behind
// pos, where a frame's or a footer's magic stands in its place; it goes on where
// found says.
func (f *file) search(pos segment.Pos, found func(at segment.Pos, magic uint32) (next segment.Pos, err error)) error {
	const magicEnd = segment.MagicAt + 4
	for pos+magicEnd <= f.size {
		b, err := f.some(pos, magicEnd)
		if err != nil {
			return err
		}
		next, i := segment.Pos(0), 0
		for ; next == 0 && i+magicEnd <= len(b); i += 8 {
			if m := le.Uint32(b[i+segment.MagicAt:]); m == segment.FrameMagic || m == segment.FooterMagic {
				if next, err = found(pos+segment.Pos(i), m); err != nil {
					return err
				}
			}
		}
		if i == 0 {
			return fmt.Errorf("%s at %d: %w", f.path, pos, io.ErrUnexpectedEOF)
		}
		pos = max(next, pos+segment.Pos(i))
	}
	return nil
}

func Damage(path string, at segment.Pos, what string, want, got any) error {
	return &segment.CorruptError{Path: path, Offset: at, What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}

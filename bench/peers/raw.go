package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// rawLog is a file with payloads of one size back to back. It knows where each
// is only because it is told how large they are, which makes it no log.
type rawLog struct {
	f      *os.File
	fd     int
	sync   bool
	zero   bool  // write into room that was zeroed before, against at the end
	zeroed int64 // room up to here
	end    int64
	size   int64 // of a payload
	iov    []([]byte)
	buf    []byte
}

func openRaw(dir string, o options) (log, error)       { return newRaw(dir, o, true) }
func openRawAppend(dir string, o options) (log, error) { return newRaw(dir, o, false) }

func newRaw(dir string, o options, zero bool) (log, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &rawLog{f: f, fd: int(f.Fd()), sync: o.sync, zero: zero, buf: make([]byte, 1<<20)}, nil
}

// Prepare zeroes room for what comes, durably.
func (r *rawLog) Prepare(bytes int64) error {
	if !r.zero || r.zeroed >= r.end+bytes {
		return nil
	}
	clear(r.buf)
	for ; r.zeroed < r.end+bytes; r.zeroed += int64(len(r.buf)) {
		if _, err := unix.Pwrite(r.fd, r.buf, r.zeroed); err != nil {
			return err
		}
	}
	return r.f.Sync()
}

func (r *rawLog) Append(_ uint64, payloads [][]byte) error {
	r.size = int64(len(payloads[0]))
	total := r.size * int64(len(payloads))
	n, err := 0, error(nil)
	if len(payloads) == 1 {
		n, err = unix.Pwrite(r.fd, payloads[0], r.end)
	} else {
		n, err = unix.Pwritev(r.fd, payloads, r.end)
	}
	if err == nil && int64(n) < total {
		err = unix.EIO
	}
	if err != nil {
		return err
	}
	r.end += total
	if r.sync {
		return unix.Fdatasync(r.fd)
	}
	return nil
}

func (r *rawLog) Sync() error { return unix.Fdatasync(r.fd) }

func (r *rawLog) ReadAll(use func(uint64, []byte) error) error {
	index := uint64(1)
	chunk := max(int64(len(r.buf))/r.size, 1) * r.size
	for at := int64(0); at < r.end; at += chunk {
		b := r.buf[:min(chunk, r.end-at)]
		if _, err := unix.Pread(r.fd, b, at); err != nil {
			return err
		}
		for ; len(b) > 0; b = b[r.size:] {
			if err := use(index, b[:r.size]); err != nil {
				return err
			}
			index++
		}
	}
	return nil
}

func (r *rawLog) Read(index uint64, use func([]byte)) error {
	b := r.buf[:r.size]
	if _, err := unix.Pread(r.fd, b, int64(index-1)*r.size); err != nil {
		return err
	}
	use(b)
	return nil
}

func (r *rawLog) Close() error { return r.f.Close() }

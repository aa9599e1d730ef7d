package vfs

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageSize is that of the processor, a power of two.
var pageSize = int64(os.Getpagesize())

// askPages is how many pages one mincore is asked about.
const askPages = 1024

// loadOS brings the first n bytes of b, which begins a page of a mapping, into
// memory if they are not, and begins to with the others.
func loadOS(b []byte, n int) error {
	there := resident(b)
	if there >= len(b) {
		return nil
	}
	_ = unix.Madvise(b[there:], unix.MADV_WILLNEED) // all requests at once; a hint
	for there < n {
		err := unix.Madvise(b[there:n], unix.MADV_POPULATE_READ)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EINVAL): // before Linux 5.14
			return peek(b[there:n])
		case errors.Is(err, unix.EFAULT): // what would have been a SIGBUS
			return unix.EIO
		}
		return err
	}
	return nil
}

// resident is how many bytes at the front of b, in whole pages, are in the page
// cache. When the system does not tell, none are.
func resident(b []byte) int {
	var state [askPages]byte
	for at := 0; at < len(b); at += askPages * int(pageSize) {
		n := min(len(b)-at, askPages*int(pageSize))
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[at])), uintptr(n), uintptr(unsafe.Pointer(&state[0])))
		if errno != 0 {
			return 0
		}
		for i, s := range state[:(n+int(pageSize)-1)/int(pageSize)] {
			if s&1 == 0 {
				return at + i*int(pageSize)
			}
		}
	}
	return len(b)
}

// peekPages is how many pages one call of peek reads from; at most UIO_MAXIOV.
const peekPages = 512

// peek has the kernel read a byte of each page of b, as another process might.
func peek(b []byte) error {
	var to [peekPages]byte
	var from [peekPages]unix.RemoteIovec
	for len(b) > 0 {
		n := 0
		for ; n < peekPages && len(b) > 0; n++ {
			from[n] = unix.RemoteIovec{Base: uintptr(unsafe.Pointer(&b[0])), Len: 1}
			b = b[min(len(b), int(pageSize)):]
		}
		local := unix.Iovec{Base: &to[0]}
		local.SetLen(n)
		got, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{local}, from[:n], 0)
		switch {
		case errors.Is(err, unix.EFAULT) || err == nil && got < n:
			return unix.EIO
		case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS):
			return nil // a sandbox: the page fault has to do
		case err != nil:
			return err
		}
	}
	return nil
}

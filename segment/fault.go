package segment

import (
	"fmt"
	"io"
	"runtime/debug"
)

// Caught is for those who look into payloads that alias a mapping: it turns an
// I/O error under the mapping, which the system reports as a fault, into an
// error of the function that defers it, instead of the end of the process.
// what names the bytes in the error. Use it as
//
//	defer segment.Caught(debug.SetPanicOnFault(true), what, &err)
func Caught(before bool, what string, err *error) {
	debug.SetPanicOnFault(before)
	if r := recover(); r != nil {
		fault, ok := r.(interface{ Addr() uintptr })
		if !ok {
			panic(r)
		}
		*err = fmt.Errorf("segment: reading %s: fault under the mapping at %#x: %w", what, fault.Addr(), io.ErrUnexpectedEOF)
	}
}

package compress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"chronik/kafka/batch/compress"
)

func Example() {
	var out bytes.Buffer
	var w compress.Writer
	z, err := w.Open(compress.Zstd, compress.DefaultLevels(), &out)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = z.Write(make([]byte, 1_000_000))
	if err = errors.Join(err, z.Close()); err != nil {
		fmt.Println(err)
		return
	}

	var r compress.Reader
	for _, limit := range []int64{1_000_000, 999_999} {
		_, stream, err := r.Open(compress.Zstd, out.Bytes(), limit) // as a stream: zstd is never whole at once
		if err != nil {
			fmt.Println(err)
			return
		}
		n, err := io.Copy(io.Discard, stream)
		fmt.Println(n <= limit, errors.Is(err, compress.ErrTooLarge))
	}
	// Output:
	// true false
	// true true
}

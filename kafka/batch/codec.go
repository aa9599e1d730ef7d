package batch

import (
	"cmp"
	"errors"

	"chronik/kafka/batch/compress"
)

// Codec is a compression codec, numbered as in a batch's attributes, and
// Levels the compression levels of those that have them.
type (
	Codec  = compress.Codec
	Levels = compress.Levels
)

// The codecs, and Keep, which as a target leaves the one the producer chose.
const (
	None   = compress.None
	Gzip   = compress.Gzip
	Snappy = compress.Snappy
	LZ4    = compress.LZ4
	Zstd   = compress.Zstd
	Keep   = compress.Keep
)

// ParseCodec gives the codec that a compression.type setting names.
func ParseCodec(name string) (Codec, bool) { return compress.ParseCodec(name) }

// DefaultLevels are Kafka's.
func DefaultLevels() Levels { return compress.DefaultLevels() }

// open starts reading v's records through s.win.
func (s *Scratch) open(v View) {
	s.reader.WindowBytesMax = s.ZstdWindowBytesMax
	limit := cmp.Or(s.DecompressedBytesMax, DefaultDecompressedBytesMax)
	whole, stream, err := s.reader.Open(v.Codec(), v.Payload(), limit)
	if stream != nil {
		s.win.from(stream)
		return
	}
	s.win.over(whole)
	if err != nil {
		s.win.fail(decompressError(err))
	}
}

func decompressError(err error) *Error {
	if errors.Is(err, compress.ErrTooLarge) {
		return errorf(MessageTooLarge, "the records decompress to more than the limit")
	}
	return errorf(InvalidRecord, "the records do not decompress: %v", err)
}

// errOutTooLarge is boundedBuffer's: what is built outgrew its limit.
var errOutTooLarge = errors.New("over the limit")

// boundedBuffer is an append-only buffer that refuses to outgrow max bytes.
type boundedBuffer struct {
	b   []byte
	max int
}

func (o *boundedBuffer) Write(p []byte) (int, error) {
	if len(p) > o.max-len(o.b) {
		return 0, errOutTooLarge
	}
	o.b = append(o.b, p...)
	return len(p), nil
}

func compressError(err error) *Error {
	if errors.Is(err, errOutTooLarge) {
		return errorf(MessageTooLarge, "the rebuilt batch is over the limit")
	}
	return errorf(InvalidRecord, "the records cannot be compressed: %v", err)
}

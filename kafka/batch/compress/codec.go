package compress

import "fmt"

// Codec is a compression codec, numbered as in a batch's attributes.
type Codec int8

const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Keep, as a target codec, leaves the one the producer chose
// (compression.type=producer).
const Keep Codec = -1

var codecNames = [...]string{None: "uncompressed", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// String gives the name that the compression.type setting has for the codec.
func (c Codec) String() string {
	switch {
	case c == Keep:
		return "producer"
	case c.Valid():
		return codecNames[c]
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Valid reports whether the codec is one of the five; Keep is not.
func (c Codec) Valid() bool { return c >= None && c <= Zstd }

// ParseCodec is the inverse of String for Keep and the five codecs.
func ParseCodec(s string) (Codec, bool) {
	if s == Keep.String() {
		return Keep, true
	}
	for c, name := range codecNames {
		if name == s {
			return Codec(c), true
		}
	}
	return 0, false
}

// Levels are the compression levels of the codecs that have them, in the
// numbers of Kafka's compression.*.level settings.
type Levels struct {
	Gzip int // 1..9, -1 the library's default
	LZ4  int // 1..17; 9 is Kafka's default, which it runs as the fast compressor
	Zstd int // -131072..22
}

// DefaultLevels are Kafka's.
func DefaultLevels() Levels { return Levels{Gzip: -1, LZ4: 9, Zstd: 3} }

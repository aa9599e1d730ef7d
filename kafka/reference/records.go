package reference

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"chronik/kafka/batch"
	"chronik/kafka/batch/compress"
	"chronik/kafka/kerr"
)

// records writes how records are taken and refused. Each code is the one that
// kafka/batch gives for a sample.
func records(out *strings.Builder) error {
	var build batch.Builder
	build.Add(0, []byte("key"), []byte("value"))
	sample, err := build.Build(nil, batch.Plain(compress.None))
	if err != nil {
		return err
	}
	with := func(at int, b byte) []byte {
		s := append([]byte(nil), sample...)
		s[at] = b
		binary.BigEndian.PutUint32(s[17:], crc32.Checksum(s[21:], crc32.MakeTable(crc32.Castagnoli)))
		return s
	}
	broken := append([]byte(nil), sample...)
	broken[len(broken)-1]++
	out.WriteString(recordsHead)
	for _, c := range []struct {
		what    string
		records []byte
		version int16
	}{
		{"magic 0, the messages of Kafka 0.9 and before", with(16, 0), 3},
		{"magic 1, those of Kafka 0.10", with(16, 1), 3},
		{"a magic above 2", with(16, 3), 3},
		{"no whole batch", nil, 9},
		{"a second batch behind the first", append(with(16, 2), sample...), 9},
		{"a CRC that is not that of the bytes", broken, 9},
		{"a codec above 4", with(22, 5), 9},
		{"zstd below Produce 7", with(22, byte(compress.Zstd)), 6},
		{"records that the batch's codec cannot read", with(22, byte(compress.LZ4)), 9},
		{"a control batch", with(22, byte(batch.AttrControl)), 9},
		{"a base offset that is not 0", with(7, 1), 9},
	} {
		code, err := refusal(c.records, c.version)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		fmt.Fprintf(out, "| %s | %s (%d) |\n", c.what, code.Name(), int16(code))
	}
	fmt.Fprintf(out, "\nRecords of one batch may decompress to %d MiB; more is %s. A zstd frame may need a window of %d MiB, and ask for one of %d.\n",
		batch.DefaultDecompressedBytesMax>>20, kerr.MessageTooLarge.Name(), compress.DefaultWindowBytesMax>>20, compress.DeclaredWindowBytesMax>>20)
	out.WriteString(codecsHead)
	for c := compress.None; c.Valid(); c++ {
		fmt.Fprintf(out, "| %d | %s | %s |\n", int8(c), c, framings[c])
	}
	return nil
}

// refusal is the code with which records of that Produce version are refused.
func refusal(records []byte, version int16) (kerr.Code, error) {
	v, err := batch.First(records, version)
	if err == nil {
		_, err = batch.Validate(v, batch.Options{BytesMax: 1 << 20, SegmentBytes: 1 << 20, BeforeMaxMs: 1, AfterMaxMs: 1})
	}
	if err == nil {
		return kerr.None, fmt.Errorf("the sample is not refused")
	}
	return kerr.Code(err.Kind), nil
}

// framings say what is read and written of each codec.
var framings = [...]string{
	compress.None:   "",
	compress.Gzip:   "RFC 1952",
	compress.Snappy: "read: the framing of snappy-java, and one raw block; written: that framing",
	compress.LZ4:    "one LZ4 frame of independent blocks, and nothing after it",
	compress.Zstd:   "RFC 8878, without dictionaries",
}

package compress

import "testing"

func TestCodecNames(t *testing.T) {
	for _, c := range append([]Codec{Keep}, []Codec{None, Gzip, Snappy, LZ4, Zstd}...) {
		if got, ok := ParseCodec(c.String()); !ok || got != c {
			t.Errorf("%v parses as %v %v", c, got, ok)
		}
	}
	if _, ok := ParseCodec("none"); ok {
		t.Error(`"none" is no compression.type`)
	}
}

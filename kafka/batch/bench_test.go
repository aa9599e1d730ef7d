package batch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// benchBatch has about size bytes of records of 256 bytes that compress to
// about a half.
func benchBatch(b *testing.B, codec Codec, size int) View {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 500)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", r.Uint32()>>(8*r.IntN(3)))
	}
	var build Builder
	for build.Size() < size {
		value := make([]byte, 0, 256)
		for len(value) < 230 {
			value = append(value, words[r.IntN(len(words))]...)
		}
		build.Add(testNow, fmt.Appendf(nil, "key-%d", r.IntN(10000)), value)
	}
	return finish(b, &build, Plain(codec))
}

// BenchmarkValidate is what a leader does to each batch. Bytes are those of
// the batch as it is stored; raw-MB/s are those of its records.
func BenchmarkValidate(b *testing.B) {
	for _, codec := range allCodecs {
		for _, size := range []int{16 << 10, 1000 << 10} {
			v := benchBatch(b, codec, size)
			raw := 0
			for rec := range Records(v, nil) {
				raw += len(rec.Key) + len(rec.Value) + 10
			}
			b.Run(fmt.Sprintf("%v/%dKiB", codec, size>>10), func(b *testing.B) {
				o := options(testNow)
				b.SetBytes(int64(len(v)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Validate(v, o); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(raw)*float64(b.N)/1e6/b.Elapsed().Seconds(), "raw-MB/s")
			})
		}
	}
}

// BenchmarkCRC is the share of BenchmarkValidate that any broker must do.
func BenchmarkCRC(b *testing.B) {
	for _, size := range []int{16 << 10, 1000 << 10} {
		v := benchBatch(b, None, size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			for b.Loop() {
				if !v.CheckCRC() {
					b.Fatal("CRC")
				}
			}
		})
	}
}

func BenchmarkRecords(b *testing.B) {
	for _, codec := range allCodecs {
		v := benchBatch(b, codec, 1000<<10)
		s := new(Scratch)
		b.Run(codec.String(), func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for rec, err := range Records(v, s) {
					if err != nil {
						b.Fatal(err)
					}
					n += len(rec.Value)
				}
				if n == 0 {
					b.Fatal("no records")
				}
			}
		})
	}
}

func BenchmarkRecompress(b *testing.B) {
	v := benchBatch(b, None, 1000<<10)
	for _, codec := range allCodecs[1:] {
		b.Run(codec.String(), func(b *testing.B) {
			o := options(testNow)
			o.Target = codec
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Validate(slices.Clone(v), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Steady state: no allocation to validate what is not compressed, also when
// the timestamps are rewritten, to iterate its records, or to find its edges.
func TestNoAllocations(t *testing.T) {
	v := build(t, None, testNow, testNow)
	o := options(testNow)
	o.Scratch = nil
	s, now := new(Scratch), int64(testNow)
	for what, f := range map[string]func(){
		"Validate": func() {
			if _, err := Validate(v, o); err != nil {
				t.Fatal(err)
			}
		},
		"First": func() {
			if _, err := First(v, 9); err != nil {
				t.Fatal(err)
			}
		},
		"Next": func() {
			if _, _, err := Next(v); err != nil {
				t.Fatal(err)
			}
		},
		"Records": func() {
			for r, err := range Records(v, s) {
				if err != nil || len(r.Value) == 0 || len(r.Headers) != 1 {
					t.Fatal(r, err)
				}
			}
		},
		"All": func() {
			for v, err := range All(v) {
				if err != nil || v.NextOffset() != 2 {
					t.Fatal(v.NextOffset(), err)
				}
			}
		},
		"FirstAtOrAfter": func() {
			if _, _, ok, err := FirstAtOrAfter(v, testNow, 1); !ok || err != nil {
				t.Fatal(ok, err)
			}
		},
		"SetTimestamps": func() {
			now++
			v.SetTimestamps(false, now)
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
}

package fuzz

import (
	"bytes"
	"runtime"
	"testing"

	"chronik/fuzz/corpus"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// FuzzRequestFrame feeds a frame's bytes, without the size, to the request header and then
// to the decoder that the header names, as a server does.
//
// Properties checked:
//   - no panic, whatever the bytes;
//   - a decoder never changes the frame;
//   - allocation is at most 64 bytes a byte of input, and 64 KiB.
func FuzzRequestFrame(f *testing.F) {
	corpus.GoldenFrames(f, func(frame []byte) { f.Add(frame[4:]) })
	corpus.Traffic(f, func(_, _ int16, request, _ []byte) { f.Add(request[4:]) })
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		limit, got := 64*uint64(len(frame))+64<<10, uint64(0)
		for range 5 { // others in the process allocate too, but not each time
			var start, end runtime.MemStats
			runtime.ReadMemStats(&start)
			r := wire.NewReader(frame)
			var h msg.RequestHeader
			h.Decode(&r)
			if a := msg.Lookup(h.ApiKey); a != nil && a.Has(h.ApiVersion) && r.Err() == nil {
				a.NewRequest().Decode(&r, h.ApiVersion)
			}
			runtime.ReadMemStats(&end)
			if got = end.TotalAlloc - start.TotalAlloc; got <= limit {
				break
			}
		}
		if got > limit {
			t.Errorf("%d bytes allocated for %d bytes of input", got, len(frame))
		}
		if !bytes.Equal(frame, before) {
			t.Error("the frame was changed")
		}
	})
}

// FuzzRequest decodes a body as the request that key and version name.
//
// Properties checked:
//   - no panic, whatever the bytes;
//   - what decodes can be encoded in the same version;
//   - decode, encode, decode is identity: the second decode gives the first one's fields,
//     and encodes to the same bytes (the first input may have had unknown tags or wide
//     varints, which are not kept).
func FuzzRequest(f *testing.F) {
	for _, file := range []string{"requests", "requests-legacy"} {
		corpus.Golden(f, file, func(key, version int16, body, _ []byte) { f.Add(key, version, body) })
	}
	corpus.TrafficBodies(f, func(key, version int16, response bool, body []byte) {
		if !response {
			f.Add(key, version, body)
		}
	})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if a := msg.Lookup(key); a != nil {
			identity(t, a.NewRequest(), a.NewRequest(), version, body)
		}
	})
}

// FuzzResponse is FuzzRequest for responses, which we decode only in tests and tools.
//
// Properties checked: those of FuzzRequest.
func FuzzResponse(f *testing.F) {
	for _, file := range []string{"responses", "responses-legacy"} {
		corpus.Golden(f, file, func(key, version int16, body, _ []byte) { f.Add(key, version, body) })
	}
	corpus.TrafficBodies(f, func(key, version int16, response bool, body []byte) {
		if response {
			f.Add(key, version, body)
		}
	})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if a := msg.Lookup(key); a != nil {
			identity(t, a.NewResponse(), a.NewResponse(), version, body)
		}
	})
}

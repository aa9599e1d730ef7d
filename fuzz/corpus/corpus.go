package corpus

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// root is the repository's directory.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Golden calls add with each golden vector of a file in kafka/msg/testdata: the body, and the frame that holds it, if
// the vector has one. Both belong to the callee.
func Golden(tb testing.TB, file string, add func(key, version int16, body, frame []byte)) {
	tb.Helper()
	lines(tb, filepath.Join("kafka", "msg", "testdata", file+".jsonl.gz"), func(line []byte) error {
		if spare(line) {
			return nil
		}
		var v struct {
			Key, Version int16
			Hex, Frame   string
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		body, err := hex.DecodeString(v.Hex)
		if err != nil {
			return err
		}
		frame, err := hex.DecodeString(v.Frame)
		if err != nil {
			return err
		}
		add(v.Key, v.Version, body, frame)
		return nil
	})
}

// fuzzing says whether a target is fuzzed, not just run over its seeds. Before it makes an input of its own the fuzzer
// runs every seed by itself, which takes a busy machine longer than a smoke run has.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// spare picks three of four lines, those to go without while fuzzing.
func spare(line []byte) bool { return fuzzing() && crc32.ChecksumIEEE(line)%4 != 0 }

// lines calls f with each line of a compressed file of the repository.
func lines(tb testing.TB, path string, f func([]byte) error) {
	tb.Helper()
	in, err := os.Open(filepath.Join(root(), path))
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	r := bufio.NewReader(z)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			if err := f(line); err != nil {
				tb.Fatalf("%s: %v", path, err)
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
	}
}

// GoldenRecords calls add with each golden key of a coordinator's record, beside each golden value.
func GoldenRecords(tb testing.TB, add func(key, value []byte)) {
	tb.Helper()
	all := map[string][][]byte{}
	lines(tb, filepath.Join("kafka", "msg", "testdata", "coordinator-records.jsonl.gz"), func(line []byte) error {
		var v struct{ Kind, Hex string }
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		b, err := hex.DecodeString(v.Hex)
		all[v.Kind] = append(all[v.Kind], b)
		return err
	})
	keys, values := all["coordinator-key"], all["coordinator-value"]
	if len(keys) == 0 || len(values) == 0 {
		tb.Fatalf("%d golden keys and %d values of coordinators' records", len(keys), len(values))
	}
	for _, key := range keys {
		for _, value := range values {
			add(key, value)
		}
	}
}

// GoldenFrames calls add with each golden request, "requests" and "requests-legacy", as a whole frame: size, header, body.
func GoldenFrames(tb testing.TB, add func(frame []byte)) {
	tb.Helper()
	for _, file := range []string{"requests", "requests-legacy"} {
		Golden(tb, file, func(key, version int16, body, frame []byte) {
			if len(frame) == 0 {
				var w wire.Writer
				w.BeginFrame()
				h := msg.RequestHeader{ApiKey: key, ApiVersion: version, CorrelationId: int32(key)<<8 | int32(version), ClientId: wire.Str("golden")}
				h.Encode(&w)
				w.Raw(body)
				frame = w.Bytes()
			}
			add(frame)
		})
	}
}

// Traffic calls add with each recorded exchange: a request of a real client as a whole frame, with its size, and the
// frame that it was answered with, nil if there was none.
func Traffic(tb testing.TB, add func(key, version int16, request, response []byte)) {
	tb.Helper()
	n := 0
	lines(tb, filepath.Join("fuzz", "testdata", "traffic.jsonl.gz"), func(line []byte) error {
		if spare(line) {
			return nil
		}
		var v struct {
			Key, Version      int16
			Request, Response string
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		request, err := hex.DecodeString(v.Request)
		if err != nil {
			return err
		}
		response, err := hex.DecodeString(v.Response)
		if err != nil {
			return err
		}
		n++
		if len(response) == 0 {
			add(v.Key, v.Version, sized(request), nil)
			return nil
		}
		add(v.Key, v.Version, sized(request), sized(response))
		return nil
	})
	if n == 0 {
		tb.Fatal("no recorded traffic")
	}
}

// TrafficBodies calls add with the bodies of the recorded exchanges, of APIs and versions that kafka/msg has.
func TrafficBodies(tb testing.TB, add func(key, version int16, response bool, body []byte)) {
	tb.Helper()
	Traffic(tb, func(key, version int16, request, response []byte) {
		if a := msg.Lookup(key); a == nil || !a.Has(version) {
			return
		}
		r := wire.NewReader(request[4:])
		var h msg.RequestHeader
		h.Decode(&r)
		if r.Err() != nil {
			tb.Fatalf("recorded request %x: %v", request, r.Err())
		}
		add(key, version, false, r.Rest())
		if len(response) == 0 {
			return
		}
		r = wire.NewReader(response[4:])
		msg.DecodeResponseHeader(&r, key, version)
		add(key, version, true, r.Rest())
	})
}

// sized puts its size in front of a frame.
func sized(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

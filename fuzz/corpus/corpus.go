package corpus

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
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

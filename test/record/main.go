// Command record makes a fuzzing corpus of what harness's tap has written: requests of real clients, each with the
// response that it got.
//
//	record -from DIR -out FILE.jsonl.gz
//
// Of each client (its id without a number at the end), API key and version it takes the smallest, a middle and the largest exchange of at most 4 KiB. An
// exchange that names the machine it was recorded on (its host, directories of tests and homes) is left out.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// exchangeBytesMax is the most that a request and its response take.
const exchangeBytesMax = 4096

// exchange is a line of the output; frames are without their size.
type exchange struct {
	Client   string `json:"client"` // its id, without a number at the end
	Key      int16  `json:"key"`
	Version  int16  `json:"version"`
	Request  string `json:"request"`            // hex, of the frame
	Response string `json:"response,omitempty"` // hex, of the frame; "" if there was none

	correlation int32
	size        int
}

func main() {
	from := flag.String("from", "", "directory that the tap wrote to")
	out := flag.String("out", "", "file to write")
	flag.Parse()
	if err := run(*from, *out); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(from, out string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.requests"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no recording in %q", from)
	}
	var all []exchange
	for _, f := range files {
		one, err := connection(f)
		if err != nil {
			return err
		}
		all = append(all, one...)
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	kept := choose(all, [][]byte{[]byte(host), []byte("/tmp/"), []byte("/root"), []byte("/home"), []byte(filepath.Dir(from))})
	if err := write(out, kept); err != nil {
		return err
	}
	clients := map[string]int{}
	for _, e := range kept {
		clients[e.Client]++
	}
	fmt.Printf("%d connections, %d exchanges, %d kept: %v\n", len(files), len(all), len(kept), clients)
	return nil
}

// connection pairs the requests of one connection with its responses, by their correlation ids.
func connection(requests string) ([]exchange, error) {
	asked, err := os.ReadFile(requests)
	if err != nil {
		return nil, err
	}
	answered, err := os.ReadFile(requests[:len(requests)-len("requests")] + "responses")
	if err != nil {
		return nil, err
	}
	var all []exchange
	for _, f := range frames(asked) {
		if e, ok := parse(f); ok {
			all = append(all, e)
		}
	}
	next := 0
	for _, f := range frames(answered) {
		if len(f) < 4 {
			continue
		}
		id := int32(binary.BigEndian.Uint32(f))
		at := slices.IndexFunc(all[next:], func(e exchange) bool { return e.correlation == id })
		if at < 0 {
			continue // of a request that is no Kafka frame
		}
		next += at + 1
		all[next-1].Response = hex.EncodeToString(f)
		all[next-1].size += len(f)
	}
	return all, nil
}

// frames are the whole frames of a stream.
func frames(b []byte) (all [][]byte) {
	for len(b) >= 4 {
		n := int(int32(binary.BigEndian.Uint32(b)))
		if n < 0 || n > len(b)-4 {
			break // cut short, or not Kafka: tests send such things too
		}
		all = append(all, b[4:4+n])
		b = b[4+n:]
	}
	return all
}

// parse reads the header of a request.
func parse(f []byte) (e exchange, ok bool) {
	if len(f) < 10 {
		return e, false
	}
	e = exchange{Key: int16(binary.BigEndian.Uint16(f)), Version: int16(binary.BigEndian.Uint16(f[2:])), correlation: int32(binary.BigEndian.Uint32(f[4:])),
		Request: hex.EncodeToString(f), size: len(f)}
	if n := int(int16(binary.BigEndian.Uint16(f[8:]))); n > 0 && n <= len(f)-10 {
		if bytes.Contains(f[10:10+n], []byte("segmentio/kafka-go")) { // its id names program and host
			const id = "kafka-go"
			f = slices.Concat(f[:8], []byte{0, byte(len(id))}, []byte(id), f[10+n:])
			e.Request, e.size, n = hex.EncodeToString(f), len(f), len(id)
		}
		e.Client = strings.TrimRight(string(f[10:10+n]), "-0123456789.")
	}
	return e, true
}

// choose takes three exchanges of each client, key and version.
func choose(all []exchange, private [][]byte) (kept []exchange) {
	all = slices.DeleteFunc(all, func(e exchange) bool {
		raw, err := hex.DecodeString(e.Request + e.Response)
		return err != nil || e.size > exchangeBytesMax || slices.ContainsFunc(private, func(p []byte) bool { return bytes.Contains(raw, p) })
	})
	slices.SortFunc(all, func(a, b exchange) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Client, b.Client), cmp.Compare(a.size, b.size), cmp.Compare(a.Request, b.Request))
	})
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(e exchange) bool {
			return e.Key != all[0].Key || e.Version != all[0].Version || e.Client != all[0].Client
		})
		if n < 0 {
			n = len(all)
		}
		for i, at := range []int{0, n / 2, n - 1} {
			if i == 0 || all[at].size != kept[len(kept)-1].size {
				kept = append(kept, all[at])
			}
		}
		all = all[n:]
	}
	return kept
}

func write(name string, kept []exchange) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(z)
	for _, e := range kept {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

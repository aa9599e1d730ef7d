package msg_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// vector is one line of the golden files: bytes made by an implementation independent of
// this one, and what Kafka's schemas say they mean.
type vector struct {
	API, Kind, Name, Direction, Variant string
	Key, Version                        int16
	Fields                              any
	Hex, Frame                          string
	// unknownTags: the bytes hold tags that Kafka's schema does not have in this version.
	unknownTags bool
}

func vectors(tb testing.TB, name string) []vector {
	tb.Helper()
	f, err := os.Open("testdata/" + name + ".jsonl.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var out []vector
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v vector
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			tb.Fatal(err)
		}
		v.unknownTags = bytes.Contains(s.Bytes(), []byte(`"_unknownTags"`))
		out = append(out, v)
	}
	if err := s.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// same compares a decoded Go value with the vector's fields.
func same(path string, got reflect.Value, want any) error {
	switch x := got.Interface().(type) {
	case wire.UUID:
		return differ(path, x.String(), want)
	case wire.NullString:
		if !x.Valid {
			return differ(path, nil, want)
		}
		return differ(path, x.String, want)
	case wire.Records:
		if x == nil {
			return differ(path, nil, want)
		}
		return differ(path, hex.EncodeToString(bytes.Join(x, nil)), want)
	case []byte:
		if x == nil {
			return differ(path, nil, want)
		}
		return differ(path, hex.EncodeToString(x), want)
	}
	switch got.Kind() {
	case reflect.Pointer:
		if got.IsNil() {
			return differ(path, nil, want)
		}
		return same(path, got.Elem(), want)
	case reflect.Slice:
		return sameSlice(path, got, want)
	case reflect.Struct:
		return sameStruct(path, got, want)
	case reflect.String, reflect.Bool:
		return differ(path, got.Interface(), want)
	}
	return differ(path, json.Number(fmt.Sprint(got.Interface())), want)
}

func differ(path string, got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: got %#v, want %#v", path, got, want)
	}
	return nil
}

func sameSlice(path string, got reflect.Value, want any) error {
	if got.IsNil() {
		return differ(path, nil, want)
	}
	list, ok := want.([]any)
	if !ok || len(list) != got.Len() {
		return fmt.Errorf("%s: got %d elements, want %v", path, got.Len(), want)
	}
	for i := range list {
		if err := same(fmt.Sprintf("%s[%d]", path, i), got.Index(i), list[i]); err != nil {
			return err
		}
	}
	return nil
}

func sameStruct(path string, got reflect.Value, want any) error {
	fields, ok := want.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: got a struct, want %v", path, want)
	}
	defaults := reflect.New(got.Type())
	defaults.Interface().(interface{ Default() }).Default()
	left := len(fields)
	if _, ok := fields["_unknownTags"]; ok {
		left--
	}
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		w, ok := fields[name]
		if !ok {
			w, ok = fields[strings.ToLower(name[:1])+name[1:]]
		}
		if !ok { // the version lacks it, or it is tagged and has its default
			if d := defaults.Elem().Field(i); !reflect.DeepEqual(got.Field(i).Interface(), d.Interface()) {
				return fmt.Errorf("%s.%s: got %v, want the default %v", path, name, got.Field(i), d)
			}
			continue
		}
		left--
		if err := same(path+"."+name, got.Field(i), w); err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("%s: %d fields of the vector have no counterpart: %v", path, left, fields)
	}
	return nil
}

// checkBody decodes v's bytes into m, compares, and encodes again.
func checkBody(tb testing.TB, m msg.Message, v vector) error {
	body := unhex(tb, v.Hex)
	r := wire.NewReader(body)
	m.Decode(&r, v.Version)
	if err := r.Done(); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if err := same(v.API+v.Name, reflect.ValueOf(m).Elem(), v.Fields); err != nil {
		return err
	}
	var w wire.Writer
	m.Encode(&w, v.Version)
	if w.Err() != nil {
		return w.Err()
	}
	got := w.Bytes()
	if v.unknownTags {
		// The unknown tags are dropped: what is left must mean the same.
		r.Reset(got)
		again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(msg.Message)
		again.Decode(&r, v.Version)
		if err := r.Done(); err != nil {
			return fmt.Errorf("decode again: %w", err)
		}
		return same(v.API, reflect.ValueOf(again).Elem(), v.Fields)
	}
	if !bytes.Equal(got, body) {
		return fmt.Errorf("encode:\n got %x\nwant %x", got, body)
	}
	return nil
}

func TestGoldenBodies(t *testing.T) {
	passed, undefined := 0, 0
	apis := map[string]bool{}
	for _, file := range []string{"requests", "responses", "requests-legacy", "responses-legacy"} {
		for _, v := range vectors(t, file) {
			a := msg.Lookup(v.Key)
			if a == nil || !a.Has(v.Version) {
				undefined++
				continue
			}
			var m msg.Message = a.NewRequest()
			if v.Direction == "response" {
				m = a.NewResponse()
			}
			if err := checkBody(t, m, v); err != nil {
				t.Errorf("%s %s v%d %s: %v", v.API, v.Direction, v.Version, v.Variant, err)
				continue
			}
			if v.Frame != "" {
				checkFrame(t, v)
			}
			passed++
			apis[fmt.Sprint(v.Key, v.Direction, v.Version)] = true
		}
	}
	t.Logf("%d golden bodies pass, %d are of APIs and versions without a definition", passed, undefined)
	for _, a := range msg.APIs {
		for v := a.Min; v <= a.Max; v++ {
			for _, d := range []string{"request", "response"} {
				if !apis[fmt.Sprint(a.Key, d, v)] {
					t.Errorf("no golden vector for %s %s v%d", a.Name, d, v)
				}
			}
		}
	}
}

// checkFrame reads a whole frame: size, header, body.
func checkFrame(t *testing.T, v vector) {
	t.Helper()
	frame := unhex(t, v.Frame)
	r := wire.NewReader(frame)
	if n := int(r.Int32()); n != r.Len() {
		t.Errorf("%s v%d: frame says %d bytes, has %d", v.API, v.Version, n, r.Len())
	}
	var h msg.RequestHeader
	h.Decode(&r)
	if h.ApiKey != v.Key || h.ApiVersion != v.Version || h.ClientId != wire.Str("golden-client") {
		t.Errorf("%s v%d: header %+v", v.API, v.Version, h)
	}
	req := msg.Lookup(h.ApiKey).NewRequest()
	req.Decode(&r, h.ApiVersion)
	if err := r.Done(); err != nil {
		t.Errorf("%s v%d: frame: %v", v.API, v.Version, err)
	}
	var w wire.Writer
	msg.EncodeRequest(&w, req, h.ApiVersion, h.CorrelationId, h.ClientId)
	if w.Err() != nil || !v.unknownTags && !bytes.Equal(w.Bytes(), frame) {
		t.Errorf("%s v%d: frame (%v)\n got %x\nwant %x", v.API, v.Version, w.Err(), w.Bytes(), frame)
	}
}

func TestGoldenHeaders(t *testing.T) {
	for _, v := range vectors(t, "headers") {
		want := unhex(t, v.Hex)
		f := v.Fields.(map[string]any)
		var w wire.Writer
		if v.Name == "RequestHeader" {
			r := wire.NewReader(want)
			var h msg.RequestHeader
			h.Decode(&r)
			if err := r.Done(); err != nil {
				t.Fatal(err)
			}
			got := map[string]any{"RequestApiKey": num(h.ApiKey), "RequestApiVersion": num(h.ApiVersion), "CorrelationId": num(h.CorrelationId), "ClientId": nil}
			if h.ClientId.Valid {
				got["ClientId"] = h.ClientId.String
			}
			if !reflect.DeepEqual(got, f) {
				t.Errorf("got %v, want %v", got, f)
			}
			h.Encode(&w)
			if !bytes.Equal(w.Bytes(), want) {
				t.Errorf("%v: got %x, want %x", f, w.Bytes(), want)
			}
			continue
		}
		// Metadata is flexible from 9; ApiVersions never has tags in the response header.
		key, version := msg.KeyMetadata, int16(8+v.Version)
		msg.EncodeResponseHeader(&w, key, version, 7)
		if !bytes.Equal(w.Bytes(), want) {
			t.Errorf("response header %d: got %x, want %x", v.Version, w.Bytes(), want)
		}
		r := wire.NewReader(want)
		if id := msg.DecodeResponseHeader(&r, key, version); id != 7 || r.Done() != nil {
			t.Errorf("response header %d: got %d, %v", v.Version, id, r.Err())
		}
	}
	var w wire.Writer
	msg.EncodeResponseHeader(&w, msg.KeyApiVersions, 4, 7)
	if got := hex.EncodeToString(w.Bytes()); got != "00000007" {
		t.Errorf("ApiVersions v4 response header: %s", got)
	}
}

func num(v any) json.Number { return json.Number(fmt.Sprint(v)) }

func TestGoldenEmbedded(t *testing.T) {
	n := 0
	for _, v := range vectors(t, "embedded") {
		var m msg.Message
		switch v.Name {
		case "ConsumerProtocolSubscription":
			m = new(msg.ConsumerProtocolSubscription)
		case "ConsumerProtocolAssignment":
			m = new(msg.ConsumerProtocolAssignment)
		default:
			t.Fatalf("unknown vector %s", v.Name)
		}
		version, body := v.Hex[:4], v.Hex[4:] // the version stands in front
		if version != fmt.Sprintf("%04x", v.Version) {
			t.Fatalf("%s starts with %s", v.Name, version)
		}
		v.Hex = body
		if err := checkBody(t, m, v); err != nil {
			t.Errorf("%s v%d: %v", v.Name, v.Version, err)
		}
		n++
	}
	t.Logf("%d embedded vectors", n)
}

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

// goldenFiles are the files of testdata and how many vectors each has.
var goldenFiles = map[string]int{
	"requests": 778, "responses": 778, "requests-legacy": 135, "responses-legacy": 135,
	"requests-4.4": 21, "responses-4.4": 21, "headers": 5, "embedded": 5,
	"coordinator-records": 16, "control-records": 5,
}

// bodies are those of goldenFiles that hold requests or responses.
var bodies = []string{"requests", "responses", "requests-legacy", "responses-legacy", "requests-4.4", "responses-4.4"}

// ran reports how many vectors of a file a test has checked, and fails if that is not all.
func ran(t *testing.T, name string, n int) {
	t.Helper()
	t.Logf("%s: %d vectors", name, n)
	if n != goldenFiles[name] {
		t.Errorf("%s: %d vectors checked, want %d", name, n, goldenFiles[name])
	}
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

// renamed holds the fields whose name in Kafka 4.3, which most vectors have, is not that of
// 4.4, which the definitions have.
var renamed = map[string][2]string{
	"TxnOffsetCommit request":        {"GenerationId", "GenerationIdOrMemberEpoch"},
	"StreamsGroupHeartbeat response": {"AcceptableRecoveryLag", "AcceptableRecoveryLagLegacy"},
}

// unseen are the versions without a vector: InitProducerId 6 is unstable in Kafka 4.4.
var unseen = map[string]bool{"InitProducerId request v6": true, "InitProducerId response v6": true}

func TestGoldenBodies(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range bodies {
		n := 0
		for _, v := range vectors(t, file) {
			what := fmt.Sprintf("%s %s v%d", v.API, v.Direction, v.Version)
			a := msg.Lookup(v.Key)
			if a == nil || !a.Has(v.Version) {
				t.Errorf("no definition of %s", what)
				continue
			}
			if names, ok := renamed[v.API+" "+v.Direction]; ok && !strings.HasSuffix(file, "4.4") {
				f := v.Fields.(map[string]any)
				if value, ok := f[names[0]]; ok {
					delete(f, names[0])
					f[names[1]] = value
				}
			}
			var m msg.Message = a.NewRequest()
			if v.Direction == "response" {
				m = a.NewResponse()
			}
			if err := checkBody(t, m, v); err != nil {
				t.Errorf("%s %s: %v", what, v.Variant, err)
				continue
			}
			if v.Frame != "" {
				checkFrame(t, v)
			}
			n++
			seen[what] = true
		}
		ran(t, file, n)
	}
	for _, a := range msg.APIs {
		for v := a.Min; v <= a.Max; v++ {
			for _, d := range []string{"request", "response"} {
				if what := fmt.Sprintf("%s %s v%d", a.Name, d, v); seen[what] == unseen[what] {
					t.Errorf("%s: there is a golden vector: %v", what, seen[what])
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
	all := vectors(t, "headers")
	ran(t, "headers", len(all))
	for _, v := range all {
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

// newType is a fresh message of a type in Embedded or a value in a table of records.
func newType(name string) msg.Message {
	for _, x := range msg.Embedded {
		if x.Name == name {
			return x.New()
		}
	}
	for _, table := range recordTables {
		for _, x := range table {
			switch name {
			case x.Key.Name:
				return x.Key.New()
			case x.Value.Name:
				return x.Value.New()
			}
		}
	}
	return nil
}

var recordTables = [][]msg.RecordType{msg.GroupRecords, msg.TransactionRecords, msg.ShareRecords}

// What consumers embed, and the values of coordinators' records, stand behind their version.
func checkVersioned(v vector) func(t *testing.T) {
	return func(t *testing.T) {
		body := unhex(t, v.Hex)
		m := newType(v.Name)
		if m == nil {
			t.Fatal("no definition")
		}
		r := wire.NewReader(body)
		if got := msg.DecodeVersioned(&r, m); got != v.Version || r.Done() != nil {
			t.Fatalf("decodes as version %d, %v", got, r.Err())
		}
		var w wire.Writer
		msg.EncodeVersioned(&w, v.Version, m)
		if w.Err() != nil || !bytes.Equal(w.Bytes(), body) {
			t.Errorf("encode: %v\n got %x\nwant %s", w.Err(), w.Bytes(), v.Hex)
		}
		if err := same(v.Name, reflect.ValueOf(m).Elem(), v.Fields); err != nil {
			t.Error(err)
		}
	}
}

func TestGoldenEmbedded(t *testing.T) {
	all := vectors(t, "embedded")
	ran(t, "embedded", len(all))
	for _, v := range all {
		t.Run(fmt.Sprintf("%s_v%d", v.Name, v.Version), checkVersioned(v))
	}
}

func TestGoldenCoordinatorRecords(t *testing.T) {
	all := vectors(t, "coordinator-records")
	ran(t, "coordinator-records", len(all))
	for _, v := range all {
		if v.Kind == "coordinator-value" {
			t.Run(fmt.Sprintf("%s_v%d", v.Name, v.Version), checkVersioned(v))
			continue
		}
		t.Run(fmt.Sprintf("%s_%d", v.Name, v.Version), func(t *testing.T) { // the version is the type's number
			table := msg.GroupRecords
			if v.Name == "TransactionLogKey" {
				table = msg.TransactionRecords
			}
			body := unhex(t, v.Hex)
			r := wire.NewReader(body)
			number := r.Int16()
			x := msg.RecordByNumber(table, number)
			if x == nil || number != v.Version || x.Key.Name != v.Name && x.Key.Name != "Legacy"+v.Name {
				t.Fatalf("number %d: %+v", number, x)
			}
			key := x.Key.New()
			key.Decode(&r, 0)
			if r.Done() != nil {
				t.Fatal(r.Err())
			}
			if err := same(v.Name, reflect.ValueOf(key).Elem(), v.Fields); err != nil {
				t.Error(err)
			}
			var w wire.Writer
			msg.EncodeRecordKey(&w, number, key)
			if !bytes.Equal(w.Bytes(), body) {
				t.Errorf("encode: got %x, want %s", w.Bytes(), v.Hex)
			}
		})
	}
}

// Control records: key and marker stand behind a version, a leader change has one inside.
func TestGoldenControlRecords(t *testing.T) {
	all := vectors(t, "control-records")
	ran(t, "control-records", len(all))
	types := map[any]int16{"ABORT": 0, "COMMIT": 1, "QUORUM_REASSIGNMENT": 2}
	for _, v := range all {
		switch v.Name {
		case "ControlRecordKey":
			v.Name = "ControlRecordTypeSchema"
			v.Fields = map[string]any{"Type": num(types[v.Fields.(map[string]any)["Type"]])}
			t.Run(v.Name, checkVersioned(v))
		case "EndTxnMarker":
			t.Run(v.Name, checkVersioned(v))
		default:
			if err := checkBody(t, newType(v.Name), v); err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
		}
	}
}

package differential

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fromEnv is a number from the environment, or def.
func fromEnv(tb testing.TB, name string, def int) int {
	tb.Helper()
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestDifferential holds our codec against franz-go's kmsg, message by message
// and version by version. Of the values of each, the first is full and the second
// is all defaults; the others are random.
//
// Properties checked, both for values made for our types and for kmsg's:
//   - what one encodes the other decodes, and encodes to the same bytes;
//   - the decoded values are the same, field by field;
//   - tagged fields that nobody knows are skipped;
//   - every field of ours has been something else than its default.
func TestDifferential(t *testing.T) {
	seed, values := fromEnv(t, "CHRONIK_SEED", 1), fromEnv(t, "CHRONIK_VALUES", 12)
	replay := fmt.Sprintf("CHRONIK_SEED=%d CHRONIK_VALUES=%d go test ./fuzz/differential -count=1 -run 'TestDifferential$'", seed, values)
	messages, versions := 0, 0
	for _, p := range pairs() {
		seen := map[string]bool{}
		messages++
		for v := p.min; v <= p.max; v++ {
			versions++
			rnd := rand.New(rand.NewPCG(uint64(seed), uint64(v)<<16|uint64(uint16(p.key))))
			for i := range values {
				f := &filler{Rand: rnd, full: i == 0}
				if err := oursToTheirs(&p, v, f, i == 1, seen, nil); err != nil {
					t.Errorf("%s v%d value %d, ours to theirs: %v\nreplay: %s", p.name, v, i, err, replay)
					break
				}
				f.tags = i%2 == 0
				if err := theirsToOurs(&p, v, f, i == 1, nil); err != nil {
					t.Errorf("%s v%d value %d, theirs to ours: %v\nreplay: %s", p.name, v, i, err, replay)
					break
				}
			}
		}
		for _, e := range exceptions {
			if e.message == p.name {
				delete(seen, e.ours)
			}
		}
		for name, set := range seen {
			if !set {
				t.Errorf("%s: %s was its default throughout", p.name, name)
			}
		}
	}
	t.Logf("%d messages, %d versions of them, %d values each, both ways: %d comparisons; seed %d", messages, versions, values, 2*versions*values, seed)
}

func oursToTheirs(p *pair, v int16, f *filler, empty bool, seen map[string]bool, but *exception) error {
	m := p.ours()
	m.Default()
	if !empty {
		f.fill(reflect.ValueOf(m).Elem())
		except(p, v, m, false, but)
	}
	if p.telling {
		reflect.ValueOf(m).Elem().Field(0).SetInt(int64(v))
	}
	b, err := p.encodeOurs(m, v)
	if err != nil {
		return fmt.Errorf("ours cannot encode: %w", err)
	}
	back, err := p.decodeOurs(b, v)
	if err != nil {
		return fmt.Errorf("ours cannot decode its own: %w", err)
	}
	leaves(reflect.ValueOf(back).Elem(), func(name string, set bool) { seen[name] = seen[name] || set })
	return agree(p, v, back, b)
}

func theirsToOurs(p *pair, v int16, f *filler, empty bool, but *exception) error {
	m := p.newTheirs(v)
	if !empty {
		f.fill(reflect.ValueOf(m).Elem())
		except(p, v, m, true, but)
	}
	b := m.AppendTo(nil)
	got, err := p.decodeOurs(b, v)
	if err != nil {
		return fmt.Errorf("ours cannot decode: %w\n%x", err, b)
	}
	if f.tags {
		clearTags(reflect.ValueOf(m).Elem())
		b = m.AppendTo(nil)
	}
	return agree(p, v, got, b)
}

// TestHeaders holds the headers of requests and responses against kmsg, whole frames of
// every version of every API, with and without a client id.
func TestHeaders(t *testing.T) {
	frames := 0
	for _, p := range pairs() {
		for v := p.min; v <= p.max && p.key >= 0; v++ {
			theirs := p.newTheirs(v)
			ours, err := p.decodeOurs(theirs.AppendTo(nil), v)
			if err != nil {
				t.Fatal(err)
			}
			id := int32(p.key)<<16 | int32(v) | 1<<30
			var w wire.Writer
			if resp, ok := theirs.(kmsg.Response); ok {
				msg.EncodeResponse(&w, ours.(msg.Response), v, id)
				want := binary.BigEndian.AppendUint32(nil, uint32(id))
				if resp.IsFlexible() && p.key != msg.KeyApiVersions { // as kgo has it
					want = append(want, 0)
				}
				want = resp.AppendTo(want)
				want = append(binary.BigEndian.AppendUint32(nil, uint32(len(want))), want...)
				if !bytes.Equal(w.Bytes(), want) {
					t.Errorf("%s v%d\n  ours %x\ntheirs %x", p.name, v, w.Bytes(), want)
				}
				frames++
				continue
			}
			for _, client := range []wire.NullString{{}, wire.Str(""), wire.Str("client \xff")} {
				var f kmsg.RequestFormatter
				if client.Valid {
					f = *kmsg.NewRequestFormatter(kmsg.FormatterClientID(client.String))
				}
				msg.EncodeRequest(&w, ours.(msg.Request), v, id, client)
				want := f.AppendRequest(nil, theirs.(kmsg.Request), id)
				if p.key == msg.KeyControlledShutdown && v == 0 {
					// kmsg stops behind the header of this one, which has no client id: neither body nor size.
					if len(want) != 12 || want[3] != 0 {
						t.Errorf("kmsg now writes %x: no longer an exception", want)
					}
					want = theirs.AppendTo(want)
					want[3] = byte(len(want) - 4)
				}
				if !bytes.Equal(w.Bytes(), want) {
					t.Errorf("%s v%d\n  ours %x\ntheirs %x", p.name, v, w.Bytes(), want)
				}
				frames++
			}
		}
	}
	t.Logf("%d frames", frames)
}

// agree checks that both encode to b what they decoded of it, and that it is the same.
func agree(p *pair, v int16, ours msg.Message, b []byte) error {
	theirs, err := p.decodeTheirs(b, v)
	if err != nil {
		return fmt.Errorf("theirs cannot decode: %w\n%x", err, b)
	}
	again, err := p.encodeOurs(ours, v)
	if err != nil {
		return err
	}
	if other := theirs.AppendTo(nil); !bytes.Equal(b, again) || !bytes.Equal(b, other) {
		return fmt.Errorf("bytes differ\n  sent %x\n  ours %x\ntheirs %x", b, again, other)
	}
	return compare(p.name, reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem())
}

// clearTags takes away the tagged fields that nobody knows.
func clearTags(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clearTags(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clearTags(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == tagsType {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				clearTags(v.Field(i))
			}
		}
	}
}

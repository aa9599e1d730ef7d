package differential

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"chronik/fuzz/corpus"
	"chronik/kafka/wire"
)

// lenient are the reasons for which ours refuses what kmsg takes.
var lenient = []struct {
	err error
	why string
}{
	{wire.ErrTrailing, "kmsg leaves bytes behind a message unread"},
	{wire.ErrNull, "kmsg reads null as empty where the version has no null"},
	{wire.ErrLength, "kmsg reads lengths below -1 as null, and strings of more than 32767 bytes"},
	{wire.ErrVarint, "kmsg lets the bits beyond 32 go"},
	{wire.ErrTag, "kmsg leaves bytes within a tagged field unread"},
}

// FuzzKmsg decodes a body with our codec and with franz-go's kmsg.
//
// Properties checked:
//   - what both take is the same, field by field, and both encode it to the same bytes
//     (but for the fields in exceptions);
//   - what kmsg refuses, ours refuses;
//   - the tags of later versions are unknown to ours, and kmsg reads them in every version:
//     where the two differ, they do not once ours has left such tags out;
//   - what ours alone refuses, it refuses for a reason that stands in lenient, and is not
//     what kmsg would write.
func FuzzKmsg(f *testing.F) {
	all := pairs()
	for _, p := range all {
		for full := range 2 { // the last version has the most; the fuzzer finds the others
			m := p.newTheirs(p.max)
			(&filler{Rand: rand.New(rand.NewPCG(1, uint64(p.key))), full: full == 0, tags: full == 1}).fill(reflect.ValueOf(m).Elem())
			b := m.AppendTo(nil)
			if p.prefixed {
				b = b[2:]
			}
			f.Add(p.key, p.max, p.response, b)
		}
	}
	corpus.TrafficBodies(f, func(key, version int16, response bool, body []byte) { f.Add(key, version, response, body) })
	f.Fuzz(func(t *testing.T, key, version int16, response bool, body []byte) {
		if p := find(all, key, response); p != nil && version >= p.min && version <= p.max {
			if p.prefixed {
				body = slices.Concat(p.versionPrefix(version), body)
			}
			if p.telling && len(body) >= 2 { // kmsg believes the version in the message
				body = slices.Concat(p.versionPrefix(version), body[2:])
			}
			judge(t, p, version, body)
		}
	})
}

func judge(t *testing.T, p *pair, v int16, body []byte) {
	t.Helper()
	ours, ourErr := p.decodeOurs(body, v)
	theirs, theirErr := p.decodeTheirs(body, v)
	if theirErr != nil {
		if ourErr == nil {
			b, err := p.encodeOurs(ours, v)
			if err == nil {
				_, err = p.decodeTheirs(b, v)
			}
			if err != nil {
				t.Fatalf("%s v%d: kmsg refuses what ours takes: %v", p.name, v, theirErr)
			}
		}
		return
	}
	clearTags(reflect.ValueOf(theirs).Elem())
	except(p, v, theirs, true, nil)
	written := theirs.AppendTo(nil)
	if ourErr != nil {
		for _, l := range lenient {
			if errors.Is(ourErr, l.err) {
				if bytes.Equal(written, body) && len(body) < 1<<15 {
					t.Fatalf("%s v%d: ours refuses what kmsg writes: %v", p.name, v, ourErr)
				}
				return
			}
		}
		t.Fatalf("%s v%d: kmsg takes what ours refuses: %v", p.name, v, ourErr)
	}
	except(p, v, ours, false, nil)
	b, err := p.encodeOurs(ours, v)
	if err == nil && !bytes.Equal(b, written) && !bytes.Equal(b, body) {
		if theirs, err = p.decodeTheirs(b, v); err == nil {
			except(p, v, theirs, true, nil)
			written = theirs.AppendTo(nil)
		}
	}
	if err != nil || !bytes.Equal(b, written) {
		t.Fatalf("%s v%d: bytes differ (%v)\n  ours %x\ntheirs %x", p.name, v, err, b, written)
	}
	if err := compare(p.name, reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem()); err != nil {
		t.Fatalf("v%d: %v", v, err)
	}
}

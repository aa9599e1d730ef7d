package proto

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// size is a frame's length prefix.
func size(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// header is a request header v1 with an empty client id, in a frame with a body.
func header(key, version int16, body ...byte) []byte {
	b := size(int32(10 + len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 9, 0, 0)
	return append(b, body...)
}

// TestG1G2 lists what must close the connection without a response, and leave the broker well.
func TestG1G2(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it allocates whatever the prefix says and panics on an unknown key")
	b := broker(t)
	cases := []struct {
		rule  string
		bytes []byte
	}{
		{"G1 negative size", size(-1)},
		{"G1 least size", size(-1 << 31)},
		{"G1 size over socket.request.max.bytes", size(104857601)},
		{"G1 greatest size", size(1<<31 - 1)},
		{"G2 size zero", size(0)},
		{"G2 header cut short", append(size(3), 0, 18, 0)},
		{"G2 unknown key", header(999, 0)},
		{"G2 negative key", header(-1, 0)},
		{"G2 removed key 4", header(4, 0)},
		{"G2 version above the maximum", header(3, 99)},
		{"G2 version below the minimum", header(1, 0)},
		{"G2 negative version", header(3, -1)},
		{"G2 Produce v2", header(0, 2, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0)},
		{"G2 body cut short", header(3, 1, 0, 0)},
		{"G2 array longer than the frame", header(3, 1, 0x7f, 0xff, 0xff, 0xff)},
		{"G2 array of negative length", header(19, 2, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0)},
		{"G2 string longer than the frame", header(3, 1, 0, 0, 0, 1, 0x7f, 0xff)},
		{"G2 compact array longer than the frame", header(3, 9, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)},
		{"G2 varint without end", header(3, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"G2 client id longer than the frame", append(size(10), 0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff)},
		{"G2 client id of negative length", append(size(10), 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xfe)},
		{"G2 not Kafka at all", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			other := dial(t, b)
			other.alive()
			cn := dial(t, b)
			cn.write(c.bytes)
			cn.closed()
			other.alive()
		})
	}
	t.Run("G2 answered before", func(t *testing.T) {
		// The response to a good request arrives even if garbage follows at once.
		cn := dial(t, b)
		req := kmsg.NewPtrApiVersionsRequest()
		good := cn.frame(req)
		cn.write(append(good, header(999, 0)...))
		cn.receive(req, cn.corr)
		cn.closed()
	})
	t.Run("G1 half a frame", func(t *testing.T) {
		cn := dial(t, b)
		cn.write(append(size(1000), 0, 3))
		cn.net.Close()
		dial(t, b).alive()
	})
	t.Run("G2 trailing bytes are ignored", func(t *testing.T) {
		cn := dial(t, b)
		req := kmsg.NewPtrMetadataRequest()
		req.Version = 1
		req.Topics = []kmsg.MetadataRequestTopic{}
		f := append(cn.frame(req), "left over"...)
		binary.BigEndian.PutUint32(f, uint32(len(f)-4))
		cn.write(f)
		cn.receive(req, cn.corr)
		cn.alive()
	})
}

// TestG1Setting holds the limit to the setting that names it.
func TestG1Setting(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it has no limit")
	b := harness.Start(t, harness.Config{Set: map[string]string{"socket.request.max.bytes": "2000000"}})
	tp := newTopic(t, b, 1, "max.message.bytes", "10000000")
	cn := dial(t, b)
	r := cn.produce(tp, 0, batch{records: []rec{{value: make([]byte, 1_900_000)}}})
	code(t, "a request below the limit", r.ErrorCode, nil)
	cn.write(size(2_000_001))
	cn.closed()
}

// TestG3 pipelines: responses come in the order of the requests, also when the first one waits.
func TestG3(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	slow := fetchRequest(12, tp, part{})
	slow.MaxWaitMillis = 400
	quick := kmsg.NewPtrApiVersionsRequest()
	var out []byte
	var order []kmsg.Request
	for range 5 {
		for _, req := range []kmsg.Request{slow, quick, quick} {
			out = append(out, cn.frame(req)...)
			order = append(order, req)
		}
	}
	start := time.Now()
	cn.write(out)
	for i, req := range order {
		cn.receive(req, int32(i+1))
	}
	if d := time.Since(start); d < 5*400*time.Millisecond-50*time.Millisecond {
		t.Errorf("five fetches that each wait 400 ms with nothing to read were answered within %v", d)
	}
}

// TestG3Many pipelines many requests at once: each is answered, in order.
func TestG3Many(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	const n = 500
	var out []byte
	for i := range n {
		out = append(out, cn.frame(produceRequest(9, -1, tp, 0, batch{records: texts(fmt.Sprint(i))}.bytes()))...)
	}
	go cn.net.Write(out)
	for i := range n {
		r := cn.receive(produceRequest(9, -1, tp, 0, nil), int32(i+1)).(*kmsg.ProduceResponse)
		p := r.Topics[0].Partitions[0]
		code(t, "produce", p.ErrorCode, nil)
		equal(t, "base offset", p.BaseOffset, int64(i))
	}
}

// TestG8 closes idle connections.
func TestG8(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it does not know the setting")
	b := harness.Start(t, harness.Config{Set: map[string]string{"connections.max.idle.ms": "1000"}})
	cn := dial(t, b)
	cn.alive()
	cn.closed()
}

// TestG9 accepts a null and an empty client id.
func TestG9(t *testing.T) {
	b := broker(t)
	for name, id := range map[string]*string{"null": nil, "empty": ptr("")} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []int16{1, 9} { // header v1 and v2
				cn := dial(t, b)
				cn.id = id
				req := kmsg.NewPtrMetadataRequest()
				req.Version = version
				req.Topics = []kmsg.MetadataRequestTopic{}
				cn.do(req)
			}
		})
	}
}

// TestG10 checks names on creation, and in Metadata, which must refuse rather than create.
func TestG10(t *testing.T) {
	b := broker(t)
	cn := dial(t, b)
	long := strings.Repeat("x", 249)
	for _, name := range []string{long, "a", "A.b_c-9", "...", "_"} {
		code(t, "create "+name[:min(len(name), 20)], createTopic(cn, name, 1).ErrorCode, nil)
	}
	for _, name := range []string{"", ".", "..", long + "x", "a b", "a/b", "ä", "a\x00"} {
		t.Run(fmt.Sprintf("%.10q", name), func(t *testing.T) {
			cn := dial(t, b)
			code(t, "create", createTopic(cn, name, 1).ErrorCode, kerr.InvalidTopicException)
		})
	}
}

// TestApiVersions holds rules 2 to 4 of the handshake and the advertised table.
func TestApiVersions(t *testing.T) {
	b := broker(t)
	t.Run("above the maximum: v0 body with 35, connection stays", func(t *testing.T) {
		cn := dial(t, b)
		cn.write(header(18, 127, 0x99, 0x99, 0x99)) // the body is of a future version
		body, err := cn.readFrame(answerMax)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "correlation id", binary.BigEndian.Uint32(body), 9)
		r := kmsg.NewPtrApiVersionsResponse()
		decode(t, r, body[4:])
		code(t, "ApiVersions v127", r.ErrorCode, kerr.UnsupportedVersion)
		found := false
		for _, k := range r.ApiKeys {
			found = found || k.ApiKey == 18 && k.MaxVersion >= 3
		}
		if !found {
			t.Errorf("the answer does not name ApiVersions' own range: %+v", r.ApiKeys)
		}
		cn.alive()
	})
	for _, name := range []string{"", " ", "a b", "-a", "a-", "ä"} {
		t.Run(fmt.Sprintf("v3 software name %q: 42", name), func(t *testing.T) {
			harness.SkipOnPeer(t, "kfake", "it does not check")
			cn := dial(t, b)
			req := kmsg.NewPtrApiVersionsRequest()
			req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 3, name, "1.0"
			r := ask[*kmsg.ApiVersionsResponse](cn, req)
			code(t, "ApiVersions", r.ErrorCode, kerr.InvalidRequest)
			cn.alive()
		})
	}
	t.Run("advertised", func(t *testing.T) { advertised(t, b) })
}

// ranges are the versions that this broker must advertise: Kafka 4.3's, with the lower ends that old clients look for.
var ranges = map[int16][2]int16{
	0: {0, 13}, 1: {4, 18}, 2: {1, 11}, 3: {0, 13}, 8: {2, 10}, 9: {1, 10}, 10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5},
	14: {0, 5}, 15: {0, 6}, 16: {0, 5}, 18: {0, 4}, 19: {0, 7}, 20: {0, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4}, 32: {0, 4},
	33: {0, 2}, 35: {0, 5}, 37: {0, 3}, 42: {0, 2}, 44: {0, 1}, 47: {0, 0}, 60: {0, 2}, 75: {0, 0},
}

func advertised(t *testing.T, b *harness.Broker) {
	harness.SkipOnPeer(t, "kfake", "it advertises what it serves, from higher minima")
	var first map[int16][2]int16
	for version := range int16(5) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "proto", "1"
		r := ask[*kmsg.ApiVersionsResponse](dial(t, b), req)
		got := map[int16][2]int16{}
		last := int16(-1)
		for _, k := range r.ApiKeys {
			if k.ApiKey <= last {
				t.Errorf("v%d: key %d follows %d", version, k.ApiKey, last)
			}
			last = k.ApiKey
			got[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		if first == nil {
			first = got
		}
		if len(got) != len(first) {
			t.Errorf("v%d lists %d keys, v0 lists %d", version, len(got), len(first))
		}
	}
	for key, want := range ranges {
		if got, ok := first[key]; !ok || got[1] < want[1] || got[0] > want[0] {
			t.Errorf("%s: advertised %v (there: %v), want at least %v", kmsg.NameForKey(key), got, ok, want)
		}
	}
	sweep(t, b, first)
}

// sweep sends every advertised version of every API with default fields: each must be answered with a response of that
// version, whole, so that nothing is advertised that does not work.
func sweep(t *testing.T, b *harness.Broker, have map[int16][2]int16) {
	for key, vs := range have {
		for version := vs[0]; version <= vs[1]; version++ {
			if key == 0 && version < 3 {
				continue // advertised for librdkafka's sake, refused when sent
			}
			t.Run(fmt.Sprintf("%s v%d", kmsg.NameForKey(key), version), func(t *testing.T) {
				req := kmsg.RequestForKey(key)
				if req == nil || req.MaxVersion() < version {
					t.Fatalf("kmsg does not know %d v%d", key, version)
				}
				req.SetVersion(version)
				fillIn(req)
				cn := dial(t, b)
				cn.do(req)
				cn.alive()
			})
		}
	}
}

// fillIn gives a default request what it needs to be answered at once.
func fillIn(req kmsg.Request) {
	switch r := req.(type) {
	case *kmsg.ApiVersionsRequest:
		r.ClientSoftwareName, r.ClientSoftwareVersion = "proto", "1"
	case *kmsg.ProduceRequest:
		r.Acks = 1
	case *kmsg.FetchRequest:
		r.SessionEpoch = -1
	}
}

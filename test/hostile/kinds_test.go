package hostile

import (
	"bytes"
	"encoding/binary"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Settings of the broker under attack: small enough for the hostile to reach them.
const (
	frameBytesMax   = 8 << 20
	requestBytesMax = 64 << 20
)

// kind is one way to be hostile.
type kind struct {
	name string
	rule string // of the protocol, or of kafka/server, that says what becomes of the connection
	want fate
	run  func(p *peer) fate
	// receiveBytes is the peer's receive buffer, 0 for the system's.
	receiveBytes int
}

const unreadBytes = 4 << 10

const (
	// servedMetadataBytes is about the largest Metadata of a weight that is served, 48 times its bytes.
	servedMetadataBytes = weightBytesMin/48 - 500
	// partitionsRefused take more memory than their bytes, and too little for their weight to be refused.
	partitionsRefused = 40_000
)

// kinds are all of them.
func kinds() []kind {
	return append(append(slow(), broken()...), greedy()...)
}

// slow are those that send little or nothing.
func slow() []kind {
	return []kind{
		{name: "nothing", rule: "G8", want: alive, run: (*peer).untilStop},
		{name: "half a size", rule: "G8", want: alive, run: func(p *peer) fate {
			b := p.request(kmsg.NewPtrApiVersionsRequest())
			p.send(b[:2])
			<-p.stop
			return p.ask(b[2:])
		}},
		{name: "slow in the header", rule: "stall", want: closed, run: func(p *peer) fate {
			p.send(sized(1000))
			return p.trickle()
		}},
		{name: "slow in the body", rule: "stall", want: closed, run: func(p *peer) fate {
			p.send(p.header(p.anyKey(), 0, 1<<20))
			return p.trickle()
		}},
		{name: "just below the limit, then silence", rule: "stall", want: closed, run: func(p *peer) fate {
			p.send(sized(frameBytesMax - uint32(p.rng.IntN(2))))
			return p.untilClosed()
		}},
		{name: "some of a large produce, then silence", rule: "stall", want: closed, run: func(p *peer) fate {
			p.send(append(p.header(0, 9, frameBytesMax-100), p.garbage(p.rng.IntN(100<<10))...))
			return p.untilClosed()
		}},
	}
}

// broken are those whose bytes are no requests.
func broken() []kind {
	return []kind{
		{name: "negative size", rule: "G1", want: closed, run: func(p *peer) fate {
			p.send(sized(1<<31 | p.rng.Uint32()))
			return p.untilClosed()
		}},
		{name: "size over the limit", rule: "G1", want: closed, run: func(p *peer) fate {
			p.send(sized(frameBytesMax + 1 + p.rng.Uint32N(1<<30)))
			return p.untilClosed()
		}},
		{name: "size 0", rule: "G2", want: closed, run: func(p *peer) fate {
			p.send(sized(0))
			return p.untilClosed()
		}},
		{name: "unknown key", rule: "G2", want: closed, run: func(p *peer) fate {
			p.send(p.header(int16(p.rng.IntN(30000)+1000), int16(p.rng.IntN(10)), 0))
			return p.untilClosed()
		}},
		{name: "version that is not served", rule: "G2", want: closed, run: func(p *peer) fate {
			key, _ := p.anyAPI()
			if key == 18 {
				key = 3
			}
			p.send(p.header(key, 99, 0))
			return p.untilClosed()
		}},
		{name: "ApiVersions of a version to come", rule: "G2", want: alive, run: func(p *peer) fate {
			p.send(p.header(18, int16(5+p.rng.IntN(1000)), 0))
			if _, err := p.answer(); err != nil {
				return closed
			}
			return p.untilStop()
		}},
		{name: "valid header, body of garbage", rule: "G2", want: either, run: func(p *peer) fate {
			n := 1 + p.rng.IntN(2000)
			key, version := p.anyAPI()
			p.send(append(p.header(key, version, n), p.garbage(n)...))
			return p.untilGone()
		}},
		{name: "valid header, huge counts", rule: "G2", want: either, run: func(p *peer) fate {
			key, version := p.anyAPI()
			b := p.header(key, version, 64)
			for range 64 {
				b = append(b, []byte{0x7f, 0xff, 0xff, 0x00}[p.rng.IntN(4)])
			}
			p.send(b)
			return p.untilGone()
		}},
		{name: "body cut short", rule: "G2", want: closed, run: func(p *peer) fate {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Version, r.Group = int16(1+p.rng.IntN(5)), "a group whose name is cut off"
			r.Topics = append(r.Topics, kmsg.OffsetFetchRequestTopic{Topic: "topic", Partitions: []int32{1, 2, 3}})
			b := p.request(r)
			b = b[:len(b)-1-p.rng.IntN(30)]
			copy(b, sized(uint32(len(b)-4)))
			p.send(b)
			return p.untilClosed()
		}},
		{name: "half a request, then the end", rule: "end of stream", want: closed, run: func(p *peer) fate {
			b := p.request(kmsg.NewPtrApiVersionsRequest())
			p.send(b[:4+p.rng.IntN(len(b)-4)])
			p.CloseWrite()
			return p.untilClosed()
		}},
		{name: "a request, then the end", rule: "end of stream", want: closed, run: func(p *peer) fate {
			p.send(p.request(kmsg.NewPtrApiVersionsRequest()))
			p.CloseWrite()
			return p.untilClosed()
		}},
		{name: "reset", rule: "end of stream", want: left, run: func(p *peer) fate {
			p.send(append(p.header(0, 9, 1<<20), p.garbage(p.rng.IntN(200<<10))...))
			p.SetLinger(0)
			p.Close()
			return left
		}},
		{name: "come and go", rule: "end of stream", want: left, run: func(p *peer) fate {
			for range 30 {
				if nc, err := dial(p.addr, 0); err == nil {
					nc.SetDeadline(time.Now().Add(time.Second))
					nc.Write(p.request(kmsg.NewPtrApiVersionsRequest())[:p.rng.IntN(10)])
					nc.Close()
				}
			}
			p.Close()
			return left
		}},
	}
}

// greedy are those that ask for much.
func greedy() []kind {
	return []kind{
		{name: "metadata of empty names", rule: "memory", want: closed, run: func(p *peer) fate {
			p.SetWriteDeadline(time.Now().Add(closeMax))
			p.Write(p.metadata(servedMetadataBytes, 0))
			return p.untilClosed()
		}},
		{name: "metadata of all the short names there may be", rule: "G3", want: alive, run: func(p *peer) fate {
			for range 3 {
				if got := p.ask(p.metadata(servedMetadataBytes, 3)); got != alive {
					return got
				}
			}
			return p.untilStop()
		}},
		{name: "metadata of more names than may be", rule: "memory", want: closed, run: func(p *peer) fate {
			p.SetWriteDeadline(time.Now().Add(closeMax))
			p.Write(p.metadata(servedMetadataBytes+1000, 3))
			return p.untilClosed()
		}},
		{name: "produce of empty partitions", rule: "memory", want: closed, run: func(p *peer) fate {
			body := p.header(0, 3, 17+8*partitionsRefused)
			body = append(body, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, 'x')
			body = binary.BigEndian.AppendUint32(body, partitionsRefused)
			body = append(body, make([]byte, 8*partitionsRefused-2)...)
			p.SetWriteDeadline(time.Now().Add(closeMax))
			p.Write(body)
			return p.untilClosed()
		}},
		{name: "metadata, unread", rule: "stall", want: closed, receiveBytes: unreadBytes, run: func(p *peer) fate {
			r := kmsg.NewPtrMetadataRequest()
			r.Version, r.Topics = 8, nil
			return p.unread(p.request(r))
		}},
		{name: "fetches of much, unread", rule: "stall", want: closed, receiveBytes: unreadBytes, run: func(p *peer) fate {
			return p.unread(p.request(fetchAll(0, 8)))
		}},
		{name: "ApiVersions without end, unread", rule: "stall", want: closed, receiveBytes: unreadBytes, run: func(p *peer) fate {
			return p.unread(p.request(kmsg.NewPtrApiVersionsRequest()))
		}},
		{name: "many ApiVersions, read", rule: "G3", want: alive, run: func(p *peer) fate {
			for range 200 {
				if got := p.ask(p.request(kmsg.NewPtrApiVersionsRequest())); got != alive {
					return got
				}
			}
			return p.untilStop()
		}},
		{name: "long polls with padding", rule: "F3", want: alive, run: func(p *peer) fate {
			r := fetchAll(0, 12)
			r.MaxWaitMillis, r.MinBytes = 1<<31-1, 1<<30
			r.UnknownTags.Set(1000, p.garbage(900<<10))
			r.Topics[0].Topic = quietTopic
			p.SetWriteDeadline(time.Now().Add(closeMax))
			p.Write(p.request(r))
			return p.untilGone()
		}},
		{name: "pipelined groups, produces and topics of garbage", rule: "G2", want: either, run: func(p *peer) fate {
			for range 300 {
				p.SetWriteDeadline(time.Now().Add(closeMax))
				if _, err := p.Write(p.request(p.nonsense())); err != nil {
					return closed
				}
			}
			return p.untilGone()
		}},
	}
}

// metadata is a request of so many bytes that asks for topics whose names have so many letters.
func (p *peer) metadata(bytes, letters int) []byte {
	n := bytes / (2 + letters)
	b := binary.BigEndian.AppendUint32(p.header(3, 1, 4+n*(2+letters)), uint32(n))
	for range n {
		b = binary.BigEndian.AppendUint16(b, uint16(letters))
		for range letters {
			b = append(b, 'a'+byte(p.rng.IntN(26)))
		}
	}
	return b
}

func (p *peer) anyKey() int16 { key, _ := p.anyAPI(); return key }

// untilGone reads until the broker closes, or stop: garbage can be a request by chance.
func (p *peer) untilGone() fate {
	p.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	go func() { io.Copy(io.Discard, p.TCPConn); close(gone) }()
	select {
	case <-gone:
		return closed
	case <-p.stop:
		p.Close()
		<-gone
		return alive
	}
}

// unread sends a request over and over and reads no answer, so that sooner or later the broker can neither write nor read.
func (p *peer) unread(b []byte) fate {
	many := bytes.Repeat(b, 1+(64<<10)/len(b))
	for end := time.Now().Add(closeMax); time.Now().Before(end); {
		p.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := p.Write(many); err != nil {
			break
		}
	}
	return p.untilReset(many)
}

func fetchAll(offset int64, version int16) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.MaxBytes, r.MaxWaitMillis = version, 2<<20, 100
	t, pt := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	pt.FetchOffset, pt.PartitionMaxBytes = offset, 2<<20
	t.Topic, t.Partitions = bigTopic, append(t.Partitions, pt)
	r.Topics = append(r.Topics, t)
	return r
}

// nonsense is a request that parses and that the broker must refuse, or answer, without keeping anything.
func (p *peer) nonsense() kmsg.Request {
	word := string(p.garbage(20))
	switch p.rng.IntN(4) {
	case 0:
		r := kmsg.NewPtrJoinGroupRequest()
		r.Version, r.Group, r.MemberID, r.SessionTimeoutMillis, r.ProtocolType = 5, word, word, 10000, word
		return r
	case 1:
		r := kmsg.NewPtrProduceRequest()
		t, pt := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		pt.Records = p.garbage(p.rng.IntN(200))
		t.Topic, t.Partitions = bigTopic, append(t.Partitions, pt)
		r.Version, r.Acks, r.Topics = 8, -1, append(r.Topics, t)
		return r
	case 2:
		r := kmsg.NewPtrCreateTopicsRequest()
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = "!"+word, 1<<30, 1
		r.Version, r.Topics = 4, append(r.Topics, t)
		return r
	}
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.MemberID, r.Generation = 3, word, word, 7
	return r
}

package raftstore

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

// The bytes of a hard-state file; FORMAT.md has the tables and the reasons.
const (
	fileMagic      = "CHRKHST\n"
	fileVersion    = 1
	fileHeaderSize = 32

	recordMagic      = 0x5348 // "HS", little-endian
	recordHeaderSize = 24
	recordBodyMax    = 64 << 10
)

// recordKind says what a record states.
type recordKind uint8

const (
	kindState   recordKind = 1 // term, vote and commit of a group
	kindConf    recordKind = 2 // the members of a group
	kindRemoved recordKind = 3 // the group is gone
	kindSynced  recordKind = 4 // nothing but its "synced through"
)

// record is a decoded record. Only the fields of its kind are set.
type record struct {
	kind          recordKind
	group         uint64
	syncedThrough int64
	state         State
	confIndex     uint64
	conf          *pb.ConfState
	ahead         bool
}

// Flags of a record of members.
const (
	flagAutoLeave = 1 << iota
	flagAhead
)

func appendFileHeader(b []byte, generation uint64) []byte {
	at := len(b)
	b = append(b, fileMagic...)
	b = binary.LittleEndian.AppendUint32(b, fileVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, generation)
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b[at:]))
}

// beginRecord appends a record header whose length and hash endRecord fills in.
func beginRecord(b []byte, kind recordKind, syncedThrough int64) []byte {
	b = binary.LittleEndian.AppendUint16(b, recordMagic)
	b = append(b, byte(kind), 0)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(syncedThrough))
	return binary.LittleEndian.AppendUint64(b, 0)
}

func endRecord(b []byte, at int, generation uint64) []byte {
	binary.LittleEndian.PutUint32(b[at+4:], uint32(len(b)-at-recordHeaderSize))
	binary.LittleEndian.PutUint64(b[at+16:], recordHash(b[at:], generation))
	return b
}

// recordHash covers the generation of the file, so that a record of another
// file never verifies here, the header and the body.
func recordHash(rec []byte, generation uint64) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(generation)
	d.Write(rec[:16])
	d.Write(rec[recordHeaderSize:])
	return d.Sum64()
}

func appendState(b []byte, generation uint64, synced int64, group uint64, s State) []byte {
	at := len(b)
	b = beginRecord(b, kindState, synced)
	for _, v := range [...]uint64{group, s.Term, s.Vote, s.Commit} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return endRecord(b, at, generation)
}

func appendConf(b []byte, generation uint64, synced int64, group uint64, g *Group) []byte {
	at := len(b)
	b = beginRecord(b, kindConf, synced)
	b = binary.LittleEndian.AppendUint64(b, group)
	b = binary.LittleEndian.AppendUint64(b, g.ConfIndex)
	flags := uint64(0)
	if g.Conf.GetAutoLeave() {
		flags |= flagAutoLeave
	}
	if g.Ahead {
		flags |= flagAhead
	}
	b = binary.LittleEndian.AppendUint64(b, flags)
	lists := confLists(g.Conf)
	for _, l := range lists {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(*l)))
	}
	for _, l := range lists {
		for _, id := range *l {
			b = binary.LittleEndian.AppendUint64(b, id)
		}
	}
	return endRecord(b, at, generation)
}

func appendRemoved(b []byte, generation uint64, synced int64, group uint64) []byte {
	at := len(b)
	b = beginRecord(b, kindRemoved, synced)
	b = binary.LittleEndian.AppendUint64(b, group)
	return endRecord(b, at, generation)
}

func appendSynced(b []byte, generation uint64, synced int64) []byte {
	at := len(b)
	return endRecord(beginRecord(b, kindSynced, synced), at, generation)
}

// confLists are the member lists in the order in which they stand in a record.
func confLists(cs *pb.ConfState) [4]*[]uint64 {
	return [4]*[]uint64{&cs.Voters, &cs.Learners, &cs.VotersOutgoing, &cs.LearnersNext}
}

// parseRecord reads the record at the start of b and says how long it is. An
// error says why there is none; nothing is allocated before the hash matched.
func parseRecord(b []byte, generation uint64) (r record, n int, err error) {
	if len(b) < recordHeaderSize {
		return r, 0, fmt.Errorf("record header: want %d bytes, got %d", recordHeaderSize, len(b))
	}
	if m := binary.LittleEndian.Uint16(b); m != recordMagic {
		return r, 0, fmt.Errorf("record magic: want %#04x, got %#04x", recordMagic, m)
	}
	body := int(binary.LittleEndian.Uint32(b[4:]))
	if body > recordBodyMax || body%8 != 0 || body > len(b)-recordHeaderSize {
		return r, 0, fmt.Errorf("record body: %d bytes cannot be, %d follow", body, len(b)-recordHeaderSize)
	}
	n = recordHeaderSize + body
	b = b[:n]
	if want, got := binary.LittleEndian.Uint64(b[16:]), recordHash(b, generation); want != got {
		return r, 0, fmt.Errorf("record hash: want %016x, got %016x", want, got)
	}
	r.kind = recordKind(b[2])
	r.syncedThrough = int64(binary.LittleEndian.Uint64(b[8:]))
	return r, n, r.parseBody(b[recordHeaderSize:])
}

func (r *record) parseBody(b []byte) error {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	switch {
	case r.kind == kindSynced && len(b) == 0:
	case r.kind == kindRemoved && len(b) == 8:
		r.group = word(0)
	case r.kind == kindState && len(b) == 32:
		r.group, r.state = word(0), State{Term: word(1), Vote: word(2), Commit: word(3)}
	case r.kind == kindConf && len(b) >= 32:
		r.group, r.confIndex, r.conf = word(0), word(1), &pb.ConfState{}
		if word(2)&flagAutoLeave != 0 {
			r.conf.AutoLeave = new(true)
		}
		r.ahead = word(2)&flagAhead != 0
		counts, rest := b[24:32], b[32:]
		for i, l := range confLists(r.conf) {
			count := int(binary.LittleEndian.Uint16(counts[2*i:]))
			if count*8 > len(rest) {
				return fmt.Errorf("members: want %d ids, %d bytes follow", count, len(rest))
			}
			for ; count > 0; count-- {
				*l = append(*l, binary.LittleEndian.Uint64(rest))
				rest = rest[8:]
			}
		}
		if len(rest) != 0 {
			return fmt.Errorf("members: %d bytes too many", len(rest))
		}
	default:
		return fmt.Errorf("record kind %d with a body of %d bytes is unknown", r.kind, len(b))
	}
	return nil
}

package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"

	"github.com/cespare/xxhash/v2"
)

// hardPatient is a file of hard states of which all but the end is known to
// have been durable.
type hardPatient struct {
	t       *testing.T
	name    string
	b       []byte
	records []hardRecord
	n       map[string]int
}

// hardRecord is a part of the file: the header first.
type hardRecord struct {
	from, to int
	synced   int64
}

func newHardPatient(t *testing.T) *hardPatient {
	m := vfs.NewMem()
	h, _ := openHard(t, m)
	for i := range uint64(12) {
		id := 1 + i%3
		if i%4 == 0 {
			wait(t, func(done func(error)) { h.SaveConf(id, i, voters(1, 2, 3, 10+i), done) })
		}
		wait(t, func(done func(error)) { h.Save(id, State{Term: 1 + i, Vote: id, Commit: 2 * i}, done) })
		settle(h)
	}
	h.Remove(2)
	for i := range uint64(4) { // nobody waits for these
		h.Save(1, State{Term: 20 + i, Vote: 1}, nil)
	}
	h.Checkpoint(nil)
	settle(h)
	p := &hardPatient{t: t, n: map[string]int{}}
	p.name, p.b = hardFile(t, m)
	p.records = []hardRecord{{0, fileHeaderSize, 0}}
	for at := fileHeaderSize; at < len(p.b); {
		r, n, err := parseRecord(p.b[at:], 1)
		if err != nil {
			t.Fatal(err)
		}
		p.records = append(p.records, hardRecord{at, at + n, r.syncedThrough})
		at += n
	}
	return p
}

// try opens a damaged file: corruption at a record that was touched when that
// lies before what the others say was durable; else all that stands before it.
func (p *hardPatient) try(what string, b []byte, newer, moved bool) {
	if bytes.Equal(b, p.b) || p.t.Failed() {
		return
	}
	p.n[what]++
	first, synced := hardRecord{len(p.b), math.MaxInt, 0}, int64(0)
	touched := func(at int) bool { return at == len(b) || at >= len(p.b) }
	for i := len(p.records) - 1; i >= 0; i-- {
		r := p.records[i]
		if len(b) >= r.to && bytes.Equal(b[r.from:r.to], p.b[r.from:r.to]) {
			synced = max(synced, r.synced)
			continue
		}
		before := touched
		touched = func(at int) bool { return at >= r.from && at <= r.to || before(at) }
		first = r
	}
	m := memWith(p.t, p.name, b)
	h, rec, err := OpenHardStates(HardStatesOptions{FS: m, Dir: "hs", Logger: quiet})
	var c *segment.CorruptError
	var v *segment.VersionError
	switch {
	case newer:
		if !errors.As(err, &v) {
			p.t.Errorf("%s: %v, want a newer version", what, err)
		}
	case errors.As(err, &c):
		if first.from > 0 && int64(first.from) >= synced && !moved || c.Path != "hs/"+p.name || !touched(int(c.Offset)) {
			p.t.Errorf("%s: first touched %+v, durable to %d: %v", what, first, synced, err)
		}
		if _, now := hardFile(p.t, m); !bytes.Equal(now, b) {
			p.t.Errorf("%s: a refused file was changed", what)
		}
	case err != nil:
		p.t.Errorf("%s: %v", what, err)
	case moved && reflect.DeepEqual(h.groups, p.groups(len(p.b))): // it took the place of one that said nothing else
	case first.from == 0 || int64(first.from) < synced:
		p.t.Errorf("%s: opened (%+v), first touched %+v, durable to %d", what, rec, first, synced)
	default:
		if want := p.groups(first.from); !moved && !reflect.DeepEqual(h.groups, want) {
			p.t.Errorf("%s: groups %v, want %v", what, h.groups, want)
		}
	}
}

// groups are what the records before a position say.
func (p *hardPatient) groups(end int) map[uint64]*Group {
	groups := map[uint64]*Group{}
	if _, _, err := scan("x", p.b[:end], 1, groups); err != nil {
		p.t.Fatal(err)
	}
	return groups
}

func TestCorruptionCampaign(t *testing.T) {
	p := newHardPatient(t)
	thorough := os.Getenv("CHRONIK_CRASHES") != ""
	change := func(do func(b []byte)) []byte {
		b := bytes.Clone(p.b)
		do(b)
		return b
	}
	for at := range p.b {
		for bit := range 8 {
			if thorough || bit == at%8 {
				p.try(fmt.Sprint("flip"), change(func(b []byte) { b[at] ^= 1 << bit }), false, false)
			}
		}
		p.try("cut", p.b[:at:at], false, false)
	}
	p.try("longer", append(bytes.Clone(p.b), "garbage that is no record"...), false, false)
	for i, x := range p.records {
		for j, y := range p.records[i:] {
			p.try("zeroes", change(func(b []byte) { clear(b[x.from:y.to]) }), false, false)
			if j == 0 || i == 0 || x.synced == y.synced { // of one round: only their order would tell
				continue
			}
			if x.to-x.from == y.to-y.from {
				p.try("swapped", change(func(b []byte) { copy(b[x.from:], p.b[y.from:y.to]); copy(b[y.from:], p.b[x.from:x.to]) }), false, true)
			}
			p.try("replayed", change(func(b []byte) { copy(b[y.from:], p.b[x.from:x.to]) }), false, true)
			p.try("of another generation", change(func(b []byte) {
				copy(b[y.from:], p.b[x.from:x.to])
				if n := x.to - x.from; y.from+n <= len(b) {
					binary.LittleEndian.PutUint64(b[y.from+16:], recordHash(b[y.from:y.from+n], 2))
				}
			}), false, false)
		}
	}
	p.try("newer", change(func(b []byte) {
		b[8]++
		binary.LittleEndian.PutUint64(b[24:], xxhash.Sum64(b[:24]))
	}), true, false)
	t.Logf("damages: %v", p.n)
}

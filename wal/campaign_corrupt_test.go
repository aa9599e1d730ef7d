package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
	"chronik/wal/inspect"

	"github.com/cespare/xxhash/v2"
)

// A small log is damaged in every way there is. Whoever opens and reads it, and
// whoever verifies it, must say where the damage is or have all that was
// written: no wrong byte is served, and nothing is cut that is known to have
// been durable.

// piece is a part of a file that has a hash of its own, or none.
type piece struct {
	from, to int
	what     string        // "manifest", "header", "frame", "mark", "trailer", "room"
	index    segment.Index // of a frame
	synced   int           // it says that everything before was durable
}

// patient is a log and what is known of it.
type patient struct {
	files   map[string][]byte
	pieces  map[string][]piece
	active  string
	known   int // durable in the active segment, says the manifest
	entries map[segment.Index]segment.Entry
	last    segment.Index
	salts   map[string]uint32
}

// newPatient makes a log of three sealed segments, one of them cut, and an
// unsealed one with an end that is not known to be durable. Closed, it has a
// mark that knows.
func newPatient(t testing.TB, closed bool) *patient {
	fsys := vfs.NewMem()
	checkpoint := func(end wal.Offset) []byte { return fmt.Append(nil, "as of ", end) }
	l, _, err := wal.Open(wal.Options{FS: fsys, Dir: "/log", SegmentBytes: func() int64 { return 16 << 10 }, Rand: rand.New(rand.NewPCG(7, 7)), Checkpoint: checkpoint})
	must(t, err)
	p := &patient{files: map[string][]byte{}, pieces: map[string][]piece{}, entries: map[segment.Index]segment.Entry{}, salts: map[string]uint32{}}
	add := func(n, size int, sync bool) {
		for range n {
			i := l.LastIndex() + 1
			e := segment.Entry{Index: i, Term: segment.Term(1 + i/3), Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: uint32(i % 3),
				MaxTimestamp: int64(1000 + i), Payload: bytes.Repeat([]byte{byte(i)}, size+int(i%2)*8)}
			must(t, l.Append([]segment.Entry{e}))
			p.entries[i] = e
			if sync {
				must(t, l.SyncWait())
			}
		}
	}
	add(4, 40, false)
	must(t, l.Roll())
	add(6, 30, true)
	must(t, l.TruncateFrom(l.LastIndex()-1))
	add(3, 50, true)
	must(t, l.Roll())
	add(3, 100, true)
	add(3, 100, false)
	p.last = l.LastIndex()
	if closed {
		must(t, l.Close())
	} else {
		must(t, l.SyncWait()) // nothing in the files says so
	}
	p.read(t, fsys)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read notes the files and what they are made of.
func (p *patient) read(t testing.TB, fsys vfs.FS) {
	m, _, err := wal.ReadManifest(fsys, "/log")
	must(t, err)
	b, err := vfs.ReadFile(fsys, "/log/"+wal.ManifestName, 1<<20)
	must(t, err)
	p.files[wal.ManifestName], p.pieces[wal.ManifestName] = b, []piece{{0, len(b), "manifest", 0, 0}}
	for i, meta := range m.Segments {
		name := wal.SegmentName(meta.ID)
		b, err := vfs.ReadFile(fsys, path.Join("/log", name), 1<<20)
		must(t, err)
		p.files[name], p.salts[name] = b, meta.Salt
		all := []piece{{0, segment.HeaderBytes, "header", 0, 0}, {segment.HeaderBytes, int(segment.DataStart), "room", 0, 0}}
		at, sealed := int(segment.DataStart), i < len(m.Segments)-1
		for !sealed || at < int(meta.DataEnd) {
			f, err := segment.VerifyFrame(name, segment.Pos(at), b[at:], meta.Salt)
			if err != nil {
				break
			}
			pc := piece{at, at + f.Length, "frame", f.Index, int(f.SyncedThrough)}
			if f.Mark {
				pc.what = "mark"
			}
			all, at = append(all, pc), pc.to
		}
		if sealed {
			footer, err := segment.ParseFooter(name, b[meta.Footer:], meta.Footer)
			must(t, err)
			from, end := int(meta.Footer-footer.BodyBytes()), int(meta.Footer+segment.FooterBytes)
			all, at = append(all, piece{at, from, "room", 0, 0}, piece{from, end, "trailer", 0, 0}), end // before it what was cut
		} else {
			p.active, p.known = name, int(meta.DataEnd)
		}
		p.pieces[name] = append(all, piece{at, len(b), "room", 0, 0})
	}
}

// damage is a change of one file.
type damage struct {
	what  string
	name  string
	b     []byte // nil: the file is gone
	moved bool   // whole frames stand where they do not belong: they may be refused as such
	newer bool   // a good hash over a version to come
}

// touched are the pieces of the file that are not as they were.
func (p *patient) touched(d *damage) []piece {
	var out []piece
	was := p.files[d.name]
	for _, pc := range p.pieces[d.name] {
		if pc.from < pc.to && (len(d.b) < pc.to || !bytes.Equal(was[pc.from:pc.to], d.b[pc.from:pc.to])) {
			out = append(out, pc)
		}
	}
	if len(d.b) > len(was) {
		last := p.pieces[d.name][len(p.pieces[d.name])-1]
		last.to = len(d.b)
		out = append(out, last)
	}
	return out
}

// outcome is what a reader makes of a damaged log.
type outcome struct {
	state inspect.State
	path  string
	at    int
}

func (o outcome) String() string { return fmt.Sprintf("%v %s at %d", o.state, o.path, o.at) }

func (o *outcome) fromError(err error) bool {
	var c *segment.CorruptError
	var v *segment.VersionError
	switch {
	case errors.As(err, &c):
		*o = outcome{inspect.Corrupt, c.Path, int(c.Offset)}
	case errors.As(err, &v):
		*o = outcome{inspect.NewerMade, v.Path, int(v.Offset)}
	default:
		return false
	}
	return true
}

// put is the damaged log on a disk.
func (p *patient) put(t testing.TB, d *damage) *vfs.Mem {
	m := vfs.NewMem()
	must(t, m.MkdirAll("/log"))
	for name, b := range p.files {
		if name == d.name {
			if b = d.b; b == nil {
				continue
			}
		}
		f, err := m.Create(path.Join("/log", name))
		must(t, err)
		_, err = f.WriteAt(b, 0)
		must(t, err)
		must(t, f.Datasync())
	}
	must(t, m.SyncDir("/log"))
	return m
}

// try opens and reads the damaged log, and says what is wrong with what that
// gave.
func (p *patient) try(t testing.TB, d *damage) error {
	touched := p.touched(d)
	if len(touched) == 0 {
		return nil
	}
	m := p.put(t, d)
	got, err := p.open(t, m, d, touched)
	if err != nil {
		return err
	}
	if err := p.judge(d, got, touched); err != nil {
		return fmt.Errorf("%v: %w", got, err)
	}
	return p.verify(t, d, got, touched)
}

// open is what a broker does: Open, and read every entry in every way.
func (p *patient) open(t testing.TB, m *vfs.Mem, d *damage, touched []piece) (outcome, error) {
	l, rec, err := wal.Open(wal.Options{FS: m, Dir: "/log", SegmentBytes: func() int64 { return 16 << 10 }})
	var got outcome
	if err != nil {
		if !got.fromError(err) {
			return got, err
		}
		for name, was := range p.files {
			if name == d.name {
				was = d.b
			}
			if now, err := vfs.ReadFile(m, path.Join("/log", name), 1<<20); was != nil && (err != nil || !bytes.Equal(now, was)) {
				return got, fmt.Errorf("%s of a refused log was changed", name)
			}
		}
		return got, nil
	}
	defer l.Close()
	got.state = inspect.Clean
	if rec.TornBytes > 0 {
		got = outcome{inspect.Torn, rec.TornPath, int(rec.TornAt)}
	}
	if err := p.cut(d, l.LastIndex(), touched); err != nil {
		return got, err
	}
	bad := outcome{state: inspect.Clean}
	for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
		es, err := l.Entries(i, i+1, 1, nil)
		if err != nil && !bad.fromError(err) {
			return got, fmt.Errorf("entry %d: %w", i, err)
		} else if err == nil && !same(es[0], p.entries[i]) {
			return got, fmt.Errorf("entry %d was served as %+v", i, es[0])
		}
		if err == nil && slices.ContainsFunc(touched, func(pc piece) bool { return pc.index == i }) {
			return got, fmt.Errorf("entry %d is damaged and was served", i)
		}
	}
	es, ref, err := l.Read(l.StartOffset(), l.NextOffset(), 1<<20, nil)
	if err != nil && !bad.fromError(err) {
		return got, fmt.Errorf("read: %w", err)
	}
	for _, e := range es {
		if !same(e, p.entries[e.Index]) {
			return got, fmt.Errorf("read serves %+v", e)
		}
	}
	ref.Release()
	if e, ref, ok, err := l.LastMaxTimestamp(); err != nil && !bad.fromError(err) {
		return got, fmt.Errorf("greatest timestamp: %w", err)
	} else if ok {
		if !same(e, p.entries[e.Index]) {
			return got, fmt.Errorf("greatest timestamp serves %+v", e)
		}
		ref.Release()
	}
	if blob, end, ok := l.Checkpoint(); ok && string(blob) != fmt.Sprint("as of ", int64(end)) {
		return got, fmt.Errorf("checkpoint of %d is %q", end, blob)
	}
	if bad.state != inspect.Clean {
		got = bad
	}
	return got, nil
}

func same(a, b segment.Entry) bool {
	x, y := a.Payload, b.Payload
	a.Payload, b.Payload = nil, nil
	return fmt.Sprint(a) == fmt.Sprint(b) && bytes.Equal(x, y)
}

// cut checks how much of the unsealed segment is left.
func (p *patient) cut(d *damage, last segment.Index, touched []piece) error {
	if d.name != p.active {
		if last != p.last {
			return fmt.Errorf("ends at %d, and the end at %d was not touched", last, p.last)
		}
		return nil
	}
	for _, pc := range touched {
		if pc.what == "frame" {
			if last != pc.index-1 {
				return fmt.Errorf("ends at %d, and the first entry that was touched is %d", last, pc.index)
			}
			return nil
		}
	}
	if last != p.last {
		return fmt.Errorf("ends at %d, and no entry to %d was touched", last, p.last)
	}
	return nil
}

// judge holds the outcome against what is known.
func (p *patient) judge(d *damage, got outcome, touched []piece) error {
	if got.state == inspect.NewerMade && !d.newer {
		return errors.New("nothing is of a newer version")
	}
	if got.state != inspect.Clean {
		if got.path != path.Join("/log", d.name) {
			return fmt.Errorf("%s was damaged", d.name)
		}
		if !slices.ContainsFunc(touched, func(pc piece) bool { return pc.from <= got.at && got.at <= pc.to }) && got.at != len(d.b) {
			return fmt.Errorf("touched were %+v", touched)
		}
	}
	want := p.want(d, touched)
	if !slices.Contains(want, got.state) {
		return fmt.Errorf("want one of %v; touched were %+v", want, touched)
	}
	return nil
}

// want is what may be said of the damage.
func (p *patient) want(d *damage, touched []piece) []inspect.State {
	first := touched[0]
	if d.newer {
		return []inspect.State{inspect.NewerMade}
	}
	if d.name != p.active {
		for _, pc := range touched {
			if pc.what == "frame" || pc.what == "trailer" || pc.what == "manifest" {
				return []inspect.State{inspect.Corrupt}
			}
		}
		return []inspect.State{inspect.Clean} // what no reader looks at
	}
	if first.what == "header" || d.b == nil || len(d.b) < int(segment.DataStart) {
		return []inspect.State{inspect.Corrupt}
	}
	if first.what == "room" && first.from == segment.HeaderBytes {
		if touched = touched[1:]; len(touched) == 0 {
			return []inspect.State{inspect.Clean}
		}
		first = touched[0]
	}
	known := p.known
	for _, pc := range p.pieces[p.active] {
		if !slices.Contains(touched, pc) {
			known = max(known, pc.synced)
		}
	}
	switch {
	case first.from < known:
		return []inspect.State{inspect.Corrupt}
	case d.moved:
		return []inspect.State{inspect.Torn, inspect.Clean, inspect.Corrupt}
	case len(bytes.Trim(d.b[min(first.from, len(d.b)):], "\x00")) == 0:
		return []inspect.State{inspect.Clean}
	}
	return []inspect.State{inspect.Torn}
}

// instant is a clock on which no time passes.
type instant struct{ clock.Clock }

func (instant) AfterFunc(_ time.Duration, f func()) clock.Timer { return clock.Real.AfterFunc(0, f) }

// verify has the same damage looked at by the tool: it says the same, or more,
// since it looks at what no reader does.
func (p *patient) verify(t testing.TB, d *damage, got outcome, touched []piece) error {
	reports, err := inspect.Verify(t.Context(), "/log", inspect.Options{FS: p.put(t, d), Clock: instant{clock.Real}, FramesOnly: true})
	var bad *inspect.Damage
	if err != nil && !errors.As(err, &bad) {
		return fmt.Errorf("verify: %w", err)
	}
	if len(reports) != 1 {
		return fmt.Errorf("verify: %d reports", len(reports))
	}
	r := reports[0]
	said := outcome{state: r.State}
	if r.Damage != nil {
		said.path, said.at = r.Damage.Path, int(r.Damage.Position)
	}
	switch {
	case got.state != inspect.Corrupt && got.state != inspect.NewerMade && r.State == inspect.Corrupt:
		if strings.HasSuffix(said.path, d.name) && slices.ContainsFunc(touched, func(pc piece) bool { return pc.from <= said.at && said.at <= pc.to }) {
			return nil
		}
	case r.State != got.state:
	case got.state == inspect.Torn && said.at != got.at:
	case said.path != got.path:
	default:
		return nil
	}
	return fmt.Errorf("verify says %v, and opening and reading %v; touched were %+v", said, got, touched)
}

// thorough tells that CHRONIK_CRASHES asks for every byte, and not only one in
// some of those that matter less.
func thorough() bool { return os.Getenv("CHRONIK_CRASHES") != "" }

// each tries damages and counts them.
type ward struct {
	t *testing.T
	p *patient
	n map[string]int
}

func (w *ward) try(d damage) {
	if w.t.Failed() {
		return
	}
	kind, _, _ := strings.Cut(d.what, ":")
	w.n[kind]++
	if err := w.p.try(w.t, &d); err != nil {
		w.t.Errorf("%s of %s: %v", d.what, d.name, err)
	}
}

// change is a copy of the file after do.
func (p *patient) change(name string, do func(b []byte)) []byte {
	b := bytes.Clone(p.files[name])
	do(b)
	return b
}

func TestCorruptionCampaign(t *testing.T) {
	for _, closed := range []bool{false, true} {
		t.Run(map[bool]string{false: "killed", true: "closed"}[closed], func(t *testing.T) {
			t.Parallel()
			w := &ward{t, newPatient(t, closed), map[string]int{}}
			if d := (&damage{name: "none"}); len(w.p.touched(d)) != 0 {
				t.Fatal("nothing was touched")
			}
			for _, name := range slices.Sorted(maps.Keys(w.p.files)) {
				if closed && name != w.p.active {
					continue // they are as they were
				}
				w.flips(name)
				w.ranges(name)
				w.lengths(name)
			}
			w.frames()
			w.versions()
			t.Logf("damages: %v", w.n)
		})
	}
}

// flips changes every byte, and of headers every bit.
func (w *ward) flips(name string) {
	for _, pc := range w.p.pieces[name] {
		step := 1
		if !thorough() {
			step = map[string]int{"room": 1021, "frame": 5, "manifest": 7, "trailer": 11}[pc.what]
		}
		for at := pc.from; at < pc.to; at += max(1, step) {
			masks := []byte{1 << (at % 8)}
			if thorough() && (pc.what == "header" || pc.what == "mark" || pc.what == "frame" && at < pc.from+segment.FrameHeaderLen) {
				masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 255}
			}
			for _, mask := range masks {
				w.try(damage{what: fmt.Sprintf("flip: %d with %#x", at, mask), name: name, b: w.p.change(name, func(b []byte) { b[at] ^= mask })})
			}
		}
	}
}

// ranges zeroes and fills pieces, pages and what lies across them.
func (w *ward) ranges(name string) {
	b := w.p.files[name]
	var cuts []int
	for _, pc := range w.p.pieces[name] {
		cuts = append(cuts, pc.from, (pc.from+pc.to)/2&^7, pc.to)
	}
	for at := 0; at <= len(b); at += vfs.PageSize {
		cuts = append(cuts, at)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i, from := range cuts {
		for _, to := range cuts[i+1:] {
			if !thorough() && (from+to)/8%5 != 0 {
				continue
			}
			w.try(damage{what: fmt.Sprintf("zeroes: [%d, %d)", from, to), name: name, b: w.p.change(name, func(b []byte) { clear(b[from:to]) })})
			if to-from <= vfs.PageSize {
				w.try(damage{what: fmt.Sprintf("garbage: [%d, %d)", from, to), name: name, b: w.p.change(name, func(b []byte) {
					for k := from; k < to; k++ {
						b[k] = byte(0xa5 + k)
					}
				})})
			}
		}
	}
	for x := 0; x+vfs.PageSize <= len(b); x += vfs.PageSize {
		for y := x + vfs.PageSize; y+vfs.PageSize <= len(b); y += vfs.PageSize {
			w.try(damage{what: fmt.Sprintf("pages swapped: %d, %d", x, y), name: name, moved: true, b: w.p.change(name, func(b []byte) {
				page := bytes.Clone(b[x : x+vfs.PageSize])
				copy(b[x:], b[y:y+vfs.PageSize])
				copy(b[y:], page)
			})})
		}
	}
}

// lengths cuts the file at every length, makes it longer and takes it away.
func (w *ward) lengths(name string) {
	b := w.p.files[name]
	room := w.p.pieces[name][len(w.p.pieces[name])-1]
	for n := 0; n < len(b); n++ {
		if thorough() || n%509 == 0 || n < room.from && n%29 == 0 {
			w.try(damage{what: fmt.Sprintf("cut: to %d", n), name: name, b: b[:n:n]})
		}
	}
	w.try(damage{what: "longer: by garbage", name: name, b: append(bytes.Clone(b), "garbage"...)})
	if name == wal.ManifestName {
		w.gone(name)
	} else {
		w.try(damage{what: "gone", name: name})
	}
}

// gone is a manifest that is missing beside segments with frames.
func (w *ward) gone(name string) {
	_, _, err := wal.Open(wal.Options{FS: w.p.put(w.t, &damage{name: name}), Dir: "/log"})
	var c *segment.CorruptError
	if !errors.As(err, &c) || path.Base(c.Path) != name {
		w.t.Errorf("without %s: %v", name, err)
	}
}

// frames puts whole frames where they do not belong.
func (w *ward) frames() {
	type where struct {
		name string
		piece
	}
	var all []where
	for name, pieces := range w.p.pieces {
		for _, pc := range pieces {
			if pc.what == "frame" {
				all = append(all, where{name, pc})
			}
		}
	}
	for _, from := range all {
		frame := w.p.files[from.name][from.from:from.to]
		for _, to := range all {
			if !thorough() && (from.index+to.index)%4 != 0 {
				continue
			}
			if from == to || len(frame) > len(w.p.files[to.name])-to.from {
				continue
			}
			w.try(damage{what: fmt.Sprintf("frame replayed: %d of %s over %d", from.index, from.name, to.index), name: to.name, moved: true,
				b: w.p.change(to.name, func(b []byte) { copy(b[to.from:], frame) })})
			// The same with the other's salt: an earlier life of the same log.
			w.try(damage{what: fmt.Sprintf("frame of another life: %d of %s over %d", from.index, from.name, to.index), name: to.name,
				b: w.p.change(to.name, func(b []byte) {
					copy(b[to.from:], frame)
					binary.LittleEndian.PutUint32(b[to.from+56:], w.p.salts[to.name]+1)
					rehash(b[to.from : to.from+len(frame)])
				})})
			if from.name == to.name && from.from < to.from && from.to-from.from == to.to-to.from {
				w.try(damage{what: fmt.Sprintf("frames swapped: %d, %d", from.index, to.index), name: to.name, moved: true, b: w.p.change(to.name, func(b []byte) {
					copy(b[from.from:], w.p.files[to.name][to.from:to.to])
					copy(b[to.from:], frame)
				})})
			}
		}
	}
}

func rehash(b []byte) { binary.LittleEndian.PutUint64(b, xxhash.Sum64(b[8:])) }

// versions says a version to come, under a good hash.
func (w *ward) versions() {
	for name, pieces := range w.p.pieces {
		for _, pc := range pieces {
			from, to := pc.from, pc.to
			switch pc.what {
			case "room", "mark":
				continue
			case "header":
				if name != w.p.active {
					continue // no reader looks at it
				}
			case "trailer":
				from = to - int(segment.FooterBytes)
			}
			w.try(damage{what: fmt.Sprintf("newer: %s at %d", pc.what, from), name: name, newer: true, b: w.p.change(name, func(b []byte) {
				b[from+12]++
				rehash(b[from:to])
			})})
		}
	}
}

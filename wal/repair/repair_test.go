package repair

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/wal"
	"chronik/wal/inspect"

	"github.com/cespare/xxhash/v2"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	seg1 = "0000000000000001.seg" // indexes 1-4, offsets 0-5, a checkpoint
	seg2 = "0000000000000002.seg" // indexes 5-6, offsets 6-9; index 7 was cut off
	seg3 = "0000000000000003.seg" // indexes 7-9, offsets 10-15, term 3, active
)

// build makes the log of these tests: entries of two records, of which the
// first is empty, in three segments. start is the start offset.
func build(t testing.TB, fsys vfs.FS, dir string, start wal.Offset) {
	t.Helper()
	l, _, err := wal.Open(wal.Options{FS: fsys, Dir: dir, Clock: clock.NewManual(time.UnixMilli(1700000000000)),
		Rand: rand.New(rand.NewPCG(1, 2)), Checkpoint: func(end wal.Offset) []byte { return fmt.Append(nil, "as of ", end) }})
	must(t, err)
	term := segment.Term(1)
	add := func(n int) {
		for ; n > 0; n-- {
			e := segment.Entry{Index: l.LastIndex() + 1, Term: term, Kind: segment.KindData, BaseOffset: l.NextOffset(), MaxTimestamp: -1}
			if e.Index > 1 {
				var b batch.Builder
				e.Count, e.MaxTimestamp = 2, 1700000000000+int64(e.Index)
				b.Add(e.MaxTimestamp, []byte("k"), fmt.Append(nil, "value of ", e.Index))
				b.Add(e.MaxTimestamp, nil, bytes.Repeat([]byte{byte(e.Index)}, 100))
				o := batch.Plain(batch.None)
				o.BaseOffset = int64(e.BaseOffset)
				e.Payload, err = b.Build(nil, o)
				must(t, err)
			}
			must(t, l.Append([]segment.Entry{e}))
		}
	}
	add(4)
	must(t, l.Roll())
	add(3)
	must(t, l.TruncateFrom(7))
	term = 3
	add(2)
	must(t, l.SyncWait())
	must(t, l.SetStart(start))
	add(1)
	must(t, l.SyncWait())
	must(t, l.Close())
}

func files(t testing.TB, fsys vfs.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	must(t, err)
	out := map[string][]byte{}
	for _, name := range names {
		b, err := vfs.ReadFile(fsys, path.Join(dir, name), 1<<30)
		must(t, err)
		out[name] = b
	}
	return out
}

func store(t testing.TB, dir string, content map[string][]byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, m.MkdirAll(dir))
	for name, b := range content {
		f, err := m.Create(path.Join(dir, name))
		must(t, err)
		_, err = f.WriteAt(b, 0)
		must(t, err)
		must(t, f.Close())
	}
	return m
}

// guarded fails the test when a file below dir is opened for writing, or a name
// there changes.
type guarded struct {
	vfs.FS
	t   *testing.T
	dir string
}

func (g guarded) check(op, name string) {
	if name == g.dir || strings.HasPrefix(name, g.dir+"/") {
		g.t.Errorf("%s of %s", op, name)
	}
}
func (g guarded) Open(name string) (vfs.File, error) {
	g.check("open for writing", name)
	return g.FS.Open(name)
}
func (g guarded) Create(name string) (vfs.File, error) {
	g.check("create", name)
	return g.FS.Create(name)
}
func (g guarded) Rename(from, to string) error { g.check("rename", from); return g.FS.Rename(from, to) }
func (g guarded) Remove(name string) error     { g.check("remove", name); return g.FS.Remove(name) }
func (g guarded) MkdirAll(dir string) error    { g.check("mkdir", dir); return g.FS.MkdirAll(dir) }

// frameAt is the position of the nth frame of a segment file.
func frameAt(b []byte, n int) int {
	at := int(segment.DataStart)
	for ; n > 0; n-- {
		length, _ := segment.FrameBytes(b[at:])
		at += length
	}
	return at
}

// footerAt is the position of the footer that the manifest names.
func footerAt(t *testing.T, content map[string][]byte, i int) int {
	t.Helper()
	m, _, err := wal.ReadManifest(store(t, "/log", content), "/log")
	must(t, err)
	return int(m.Segments[i].Footer)
}

type change map[string]func(t *testing.T, all map[string][]byte, b []byte) []byte

func flip(at func(t *testing.T, all map[string][]byte, b []byte) int) func(*testing.T, map[string][]byte, []byte) []byte {
	return func(t *testing.T, all map[string][]byte, b []byte) []byte { b[at(t, all, b)] ^= 0x40; return b }
}

func inFrame(n, off int) func(*testing.T, map[string][]byte, []byte) []byte {
	return flip(func(_ *testing.T, _ map[string][]byte, b []byte) int { return frameAt(b, n) + off })
}

func at(pos int) func(*testing.T, map[string][]byte, []byte) []byte {
	return flip(func(*testing.T, map[string][]byte, []byte) int { return pos })
}

func beforeFooter(i, off int) func(*testing.T, map[string][]byte, []byte) []byte {
	return flip(func(t *testing.T, all map[string][]byte, _ []byte) int { return footerAt(t, all, i) - off })
}

func gone(*testing.T, map[string][]byte, []byte) []byte { return nil }

// afterMark writes bytes behind the mark of a clean close.
func afterMark(t *testing.T, _ map[string][]byte, b []byte) []byte {
	copy(b[frameAt(b, 3)+segment.FrameHeaderLen+8:], "torn")
	return b
}

// badBatch changes a record and puts the frame's hash right.
func badBatch(t *testing.T, _ map[string][]byte, b []byte) []byte {
	from, to := frameAt(b, 2), frameAt(b, 3)
	b[to-20] ^= 1
	binary.LittleEndian.PutUint64(b[from:], xxhash.Sum64(b[from+8:to]))
	return b
}

// repairs: what is damaged, what is told, what comes out.
var repairs = []struct {
	name   string
	change change
	file   string // "": the directory
	o      Options
	state  inspect.State
	done   string // of steps, joined
	lost   string
	copied string // first index - last index, start offset - next offset
	err    string // contained
}{
	{name: "clean", state: inspect.Clean, copied: "1-9 1-16"},
	{name: "torn tail", change: change{seg3: afterMark}, state: inspect.Torn, done: "torn tail cut, 12 bytes",
		lost: "indexes 10-unknown, offsets 16-unknown, unknown records, 12 bytes", copied: "1-9 1-16"},
	{name: "sealed frame", change: change{seg1: inFrame(1, 80)}, state: inspect.Corrupt, err: "1.seg at 4160: frame hash"},
	{name: "sealed frame, cut", change: change{seg1: inFrame(1, 80)}, file: seg1, o: Options{CutFrom: 4160}, state: inspect.Corrupt,
		done: "start offset set to the end, 0; cut from here to the end of the log", lost: "indexes 2-9, offsets 0-15, 16 records, 2048 bytes", copied: "1-1 0-0"},
	{name: "sealed frame, dropped", change: change{seg1: inFrame(1, 80)}, file: seg1, o: Options{DropThrough: true}, state: inspect.Corrupt,
		done: "the log begins here", lost: "indexes 1-4, offsets 1-5, 5 records, 832 bytes", copied: "5-9 6-16"},
	{name: "sealed frame, cut too late", change: change{seg1: inFrame(1, 80)}, file: seg1, o: Options{CutFrom: 4161}, state: inspect.Corrupt, err: "frame hash"},
	{name: "two sealed frames, one dropped", change: change{seg1: inFrame(1, 80), seg2: inFrame(1, 80)}, file: seg1, o: Options{DropThrough: true},
		state: inspect.Corrupt, err: "2.seg at 4352: frame hash"},
	{name: "active frame", change: change{seg3: inFrame(1, 80)}, state: inspect.Corrupt, err: "want --cut-from 4352, with /log/0000000000000003.seg"},
	{name: "active frame, cut", change: change{seg3: inFrame(1, 80)}, file: seg3, o: Options{CutFrom: 4352}, state: inspect.Corrupt,
		done: "cut from here to the end of the log", lost: "indexes 8-9, offsets 12-15, 4 records, 512 bytes", copied: "1-7 1-12"},
	{name: "last frame, cut", change: change{seg3: inFrame(2, 80)}, file: seg3, o: Options{CutFrom: 4608}, state: inspect.Corrupt,
		done: "cut from here to the end of the log", lost: "indexes 9-unknown, offsets 14-unknown, unknown records, 256 bytes", copied: "1-8 1-14"},
	{name: "active frame, dropped", change: change{seg3: inFrame(1, 80)}, file: seg3, o: Options{DropThrough: true}, err: "there is no segment behind"},
	{name: "a cut inside of a frame", file: seg2, o: Options{CutFrom: 4400}, state: inspect.Clean,
		done: "cut from here to the end of the log", lost: "indexes 6-9, offsets 8-15, 8 records, 1024 bytes", copied: "1-5 1-8"},
	{name: "a cut behind the frames", file: seg3, o: Options{CutFrom: 6000}, err: "there is no frame at or behind 6000, they end at 4864"},
	{name: "a cut behind sealed frames", file: seg1, o: Options{CutFrom: 6000}, err: "there is no frame at or behind 6000"},
	{name: "batch", change: change{seg2: badBatch}, state: inspect.Clean, copied: "1-9 1-16"}, // in what a cut dropped
	{name: "batch of a sealed segment", change: change{seg1: badBatch}, state: inspect.Corrupt, err: "CRC-32C"},
	{name: "batch, cut", change: change{seg1: badBatch}, file: seg1, o: Options{CutFrom: 4416}, state: inspect.Corrupt,
		done: "cut from here to the end of the log", lost: "indexes 3-9, offsets 2-15, 14 records, 1792 bytes", copied: "1-2 1-2"},
	{name: "row", change: change{seg1: beforeFooter(0, 60)}, state: inspect.Corrupt, done: "trailer made anew of the frames", copied: "1-9 1-16"},
	{name: "checkpoint", change: change{seg1: beforeFooter(0, 4)}, state: inspect.Corrupt, done: "trailer made anew, without the owner's checkpoint, which the owner makes again of the frames", copied: "1-9 1-16"},
	{name: "footer", change: change{seg1: beforeFooter(0, -20)}, state: inspect.Corrupt, done: "trailer made anew, without the owner's checkpoint, which the owner makes again of the frames", copied: "1-9 1-16"},
	{name: "footer of a cut segment", change: change{seg2: beforeFooter(1, -20)}, state: inspect.Corrupt, done: "trailer made anew, without the owner's checkpoint, which the owner makes again of the frames", copied: "1-9 1-16"},
	{name: "headers", change: change{seg1: at(20), seg3: at(40)}, state: inspect.Corrupt,
		done: "file header made anew, of what the manifest says; file header made anew, of what the manifest says", copied: "1-9 1-16"},
	{name: "header page", change: change{seg3: at(1000)}, state: inspect.Corrupt, done: "file header made anew, of what the manifest says", copied: "1-9 1-16"},
	{name: "manifest", change: change{wal.ManifestName: at(100)}, state: inspect.Corrupt,
		done: "manifest made anew of the segments; the start offset is not known and becomes 0, so that records deleted before may be back", copied: "1-9 0-16"},
	{name: "no manifest", change: change{wal.ManifestName: gone}, state: inspect.Corrupt,
		done: "manifest made anew of the segments; the start offset is not known and becomes 0, so that records deleted before may be back", copied: "1-9 0-16"},
	{name: "no manifest and no footer", change: change{wal.ManifestName: gone, seg1: beforeFooter(0, -20)}, state: inspect.Corrupt,
		done:   "manifest made anew of the segments; the start offset is not known and becomes 0, so that records deleted before may be back; trailer made anew, without the owner's checkpoint, which the owner makes again of the frames",
		copied: "1-9 0-16"},
	{name: "no manifest and a bad frame", change: change{wal.ManifestName: gone, seg1: inFrame(1, 80)}, state: inspect.Corrupt, err: "1.seg at 4160: frame hash"},
	{name: "no manifest and a bad header", change: change{wal.ManifestName: gone, seg1: at(20)}, state: inspect.Corrupt, err: "file header hash"},
	{name: "no manifest and a segment missing", change: change{wal.ManifestName: gone, seg2: gone}, state: inspect.Corrupt, err: "frames before segment"},
	{name: "segment missing", change: change{seg2: gone}, state: inspect.Corrupt, err: "want --cut-from 4096 or --drop-through, with /log/0000000000000002.seg"},
	{name: "segment missing, cut", change: change{seg2: gone}, file: seg2, o: Options{CutFrom: 4096}, state: inspect.Corrupt,
		done: "file header made anew, of what the manifest says; cut from here to the end of the log", lost: "indexes 5-9, offsets 6-15, 10 records, 1280 bytes", copied: "1-4 1-6"},
	{name: "segment missing, dropped", change: change{seg2: gone}, file: seg2, o: Options{DropThrough: true}, state: inspect.Corrupt,
		done: "the log begins here", lost: "indexes 1-6, offsets 1-9, 9 records, 1344 bytes", copied: "7-9 10-16"},
	{name: "active segment missing", change: change{seg3: gone}, file: seg3, o: Options{CutFrom: 4096}, state: inspect.Corrupt,
		done: "file header made anew, of what the manifest says; cut from here to the end of the log", lost: "indexes 7-unknown, offsets 10-unknown, unknown records, 0 bytes", copied: "1-6 1-10"},
}

// TestRepair: the frames of each copy are those of the undamaged log.
func TestRepair(t *testing.T) {
	for _, test := range repairs {
		t.Run(test.name, func(t *testing.T) {
			pristine := vfs.NewMem()
			build(t, pristine, "/log", 1)
			content := files(t, pristine, "/log")
			for name, change := range test.change {
				if content[name] = change(t, files(t, pristine, "/log"), content[name]); content[name] == nil {
					delete(content, name)
				}
			}
			m := store(t, "/log", content)
			o := test.o
			o.FS, o.Clock, o.To = guarded{m, t, "/log"}, hurried{}, "/copies/of it"
			report, err := Repair(t.Context(), path.Join("/log", test.file), o)
			if test.err != "" {
				refused(t, m, report, err, test.state, test.err)
				return
			}
			must(t, err)
			var done []string
			for _, s := range report.Done {
				done = append(done, s.What)
			}
			lost := ""
			if report.Lost != nil {
				lost = report.Lost.String()
			}
			if report.State != test.state || !equalSteps(done, test.done) || lost != test.lost {
				t.Errorf("%s; %s; lost %s\nwant %s; %s; lost %s", report.State, strings.Join(done, "; "), lost, test.state, test.done, test.lost)
			}
			checkCopy(t, m, pristine, report, test.copied)
			for name, b := range files(t, m, "/log") {
				if !bytes.Equal(b, content[name]) {
					t.Errorf("%s has changed", name)
				}
			}
		})
	}
}

func equalSteps(got []string, want string) bool {
	wanted := strings.Split(want, "; ")
	// A step's words may have a semicolon themselves.
	all := strings.Split(strings.Join(got, "; "), "; ")
	slices.Sort(wanted)
	slices.Sort(all)
	return slices.Equal(all, wanted) || want == "" && len(got) == 0
}

// hurried is a clock on which no time passes: whoever sleeps goes on at once.
type hurried struct{ clock.Clock }

func (hurried) AfterFunc(_ time.Duration, f func()) clock.Timer { return clock.Real.AfterFunc(0, f) }
func (hurried) Now() time.Time                                  { return time.UnixMilli(1700000000000) }

func refused(t *testing.T, m *vfs.Mem, report *Report, err error, state inspect.State, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("%v, want %s", err, want)
	}
	if names, err := m.ReadDir("/copies/of it"); err == nil {
		t.Errorf("%v was written", names)
	}
	if errors.Is(err, ErrRefused) == errors.Is(err, inspect.ErrUsage) {
		t.Errorf("%v is a refusal or a wrong use", err)
	}
	if state != "" && (report == nil || report.State != state || len(report.Done) != 0 || report.Copy != nil) {
		t.Errorf("report %+v", report)
	}
}

// checkCopy opens the copy as a broker would, and compares its frames with
// those of the log before it was damaged.
func checkCopy(t *testing.T, m *vfs.Mem, pristine vfs.FS, report *Report, want string) {
	t.Helper()
	copied := files(t, m, report.To)
	c := report.Copy
	if got := fmt.Sprintf("%d-%d %d-%d", c.FirstIndex, c.LastIndex, c.StartOffset, c.NextOffset); got != want {
		t.Errorf("copied %s, want %s", got, want)
	}
	frames := func(fsys vfs.FS, dir string) (out []string) {
		must(t, inspect.Dump(t.Context(), dir, inspect.Options{FS: fsys, Records: true, To: 1 << 40}, func(l inspect.Line) error {
			switch {
			case l.Frame != nil:
				out = append(out, fmt.Sprint(l.Frame.Index, l.Frame.Term, l.Frame.Kind, l.Frame.BaseOffset))
			case l.Record != nil:
				out[len(out)-1] += fmt.Sprint(l.Record.Offset, *l.Record.Value)
			}
			return nil
		}))
		return out
	}
	all := frames(pristine, "/log")
	if got, want := frames(m, report.To), all[c.FirstIndex-1:c.LastIndex]; !slices.Equal(got, want) {
		t.Errorf("frames %q\nwant   %q", got, want)
	}
	l, rec, err := wal.Open(wal.Options{FS: m, Dir: report.To})
	must(t, err)
	if rec.Created || rec.TornBytes != 0 || rec.Removed != 0 || uint64(l.FirstIndex()) != c.FirstIndex || uint64(l.LastIndex()) != c.LastIndex ||
		int64(l.StartOffset()) != c.StartOffset || int64(l.NextOffset()) != c.NextOffset {
		t.Errorf("opened %+v: %d-%d, %d-%d; copy %+v", rec, l.FirstIndex(), l.LastIndex(), l.StartOffset(), l.NextOffset(), c)
	}
	for i := l.FirstIndex() - 1; i <= l.LastIndex(); i++ {
		want := wal.Term(1)
		if i == 0 {
			want = 0
		} else if i > 6 {
			want = 3
		}
		if term, err := l.Term(i); term != want || err != nil {
			t.Errorf("term of %d: %d, %v", i, term, err)
		}
	}
	must(t, l.Close())
	if len(copied) != c.Segments+1 {
		t.Errorf("files %d", len(copied))
	}
}

// TestWrongUse: what cannot be asked is one line that says what can.
func TestWrongUse(t *testing.T) {
	m := vfs.NewMem()
	build(t, m, "/data/log", 1)
	must(t, m.MkdirAll("/full"))
	build(t, m, "/full/log", 1)
	must(t, m.MkdirAll("/empty"))
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"/nothing", Options{To: "/c"}, "/nothing: there is nothing of that name"},
		{"/data", Options{To: "/c"}, "/data: no log there"},
		{"/data/log/MANIFEST", Options{To: "/c"}, "no log there"},
		{"/data/log", Options{}, "want a directory to write the copy to"},
		{"/data/log", Options{To: "/full"}, "/full is not empty"},
		{"/data/log", Options{To: "/full/log/MANIFEST"}, "there is a file of that name"},
		{"/data/log", Options{To: "/data/log/copy"}, "want a directory outside of /data/log"},
		{"/data/log/" + seg1, Options{To: "/data/log"}, "want a directory outside of /data/log"},
		{"/data/log", Options{To: "/c", CutFrom: 4096}, "want the segment file that is meant"},
		{"/data/log", Options{To: "/c", DropThrough: true}, "want the segment file that is meant"},
		{"/data/log/" + seg1, Options{To: "/c", CutFrom: -1}, "want one position to cut from"},
		{"/data/log/" + seg1, Options{To: "/c", CutFrom: 4096, DropThrough: true}, "want one position to cut from"},
	} {
		test.o.FS = m
		report, err := Repair(t.Context(), test.name, test.o)
		if report != nil || !errors.Is(err, inspect.ErrUsage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %+v: %v, %v; want %s", test.name, test.o, report, err, test.want)
		}
	}
	report, err := Repair(t.Context(), "/data/log", Options{Options: inspect.Options{FS: m}, To: "/empty"})
	if err != nil || report.Copy.LastIndex != 9 {
		t.Errorf("into an empty directory: %+v, %v", report, err)
	}
}

// TestFailureLeavesNothing: when the disk of the copy fails at any step, nothing
// of the copy is left but what the disk would not remove, and the error is told.
func TestFailureLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	for step := 1; ; step++ {
		m := vfs.NewMem()
		build(t, m, "/log", 1)
		calls, failed := 0, false
		fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error {
			if strings.HasPrefix(name, "/copy") && !failed && op != vfs.OpRemove && op != vfs.OpStat {
				if calls++; calls == step {
					failed = true
					return broken
				}
			}
			return nil
		})
		report, err := Repair(t.Context(), "/log", Options{Options: inspect.Options{FS: fsys, Clock: hurried{}}, To: "/copy"})
		if !failed {
			must(t, err)
			if step < 10 {
				t.Errorf("only %d steps", step)
			}
			return
		}
		if !errors.Is(err, broken) || report != nil && report.Copy != nil {
			t.Fatalf("step %d: %+v, %v", step, report, err)
		}
		if names, err := m.ReadDir("/copy"); err == nil {
			t.Errorf("step %d: %v is left", step, names)
		}
	}
}

// TestForms: the report as JSON, as it stands in docs/tools.md.
func TestForms(t *testing.T) {
	m := vfs.NewMem()
	build(t, m, "/log", 1)
	f, err := m.Open("/log/" + seg3)
	must(t, err)
	_, err = f.WriteAt([]byte{1}, 4400)
	must(t, err)
	must(t, f.Close())
	report, err := Repair(t.Context(), "/log/"+seg3, Options{Options: inspect.Options{FS: m, Clock: hurried{}}, To: "/copy", CutFrom: 4352})
	must(t, err)
	b, err := json.Marshal(report)
	must(t, err)
	var back Report
	must(t, json.Unmarshal(b, &back))
	if back.Lost.String() != report.Lost.String() || *back.Damage != *report.Damage || *back.Copy != *report.Copy || back.Done[0] != report.Done[0] {
		t.Errorf("%s", b)
	}
	for _, want := range []string{`"state":"corrupt"`, `"lost":{"first_index":8,"last_index":9,"first_offset":12,"next_offset":16,"records":4,"bytes":512}`, `"copy":{"first_index":1,"last_index":7,`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	_, rows := report.Table()
	if len(rows) != 4 || rows[2][0] != "lost" || rows[2][3] != report.Lost.String() {
		t.Errorf("%q", rows)
	}
}

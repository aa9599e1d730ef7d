package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/broker/partition/producers"
)

// A batch that is sent again to the next leader is recognised, a gap is refused, and so it stays when the first leader
// comes back from a power cut and leads again.
func TestIdempotenceOverFailover(t *testing.T) {
	c := newCluster(t, 3, nil)
	first := c.leader()
	var offsets []int64
	for i := range int32(4) {
		offsets = append(offsets, first.mustPut(sequence{9, 0, i}, fmt.Sprint(i)).BaseOffset)
	}
	first.kill(1)
	second := c.leader()
	check := func(l *replica, next int32) {
		t.Helper()
		for seq := max(next-5, 0); seq < next; seq++ {
			res, err := l.put(AcksAll, sequence{9, 0, seq}, fmt.Sprint(seq))
			if err != nil || !res.Duplicate || res.BaseOffset != offsets[seq] {
				t.Errorf("P21 sequence %d again at node %d: %+v, %v; want offset %d", seq, l.id, res, err, offsets[seq])
			}
		}
		if _, err := l.put(AcksAll, sequence{9, 0, next + 1}, "gap"); !errors.Is(err, ErrOutOfOrderSequence) {
			t.Errorf("P24 a gap at node %d: %v", l.id, err)
		}
	}
	check(second, 4)
	offsets = append(offsets, second.mustPut(sequence{9, 0, 4}, "4").BaseOffset)
	first.start()
	c.same()
	c.transfer(first)
	check(first, 5)
	offsets = append(offsets, first.mustPut(sequence{9, 0, 5}, "5").BaseOffset)
	check(first, 6)
	c.same()
	if got, want := first.content(), "0=0 1=1 2=2 3=3 4=4 5=5"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

// What a leader wrote alone is replaced when it comes back: those who waited are told that it does not lead, its high
// watermark does not move back, and what it knew of producers from there is forgotten.
func TestReplacedSuffix(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	old.mustPut(sequence{9, 0, 0}, "a")
	c.same()
	c.isolate(old, true)
	if res, err := old.put(AcksLeader, sequence{9, 0, 1}, "lost"); err != nil || res.BaseOffset != 1 {
		t.Fatalf("acks=1 at the old leader: %+v, %v", res, err)
	}
	alone := old.begin(AcksAll, sequence{77, 0, 0}, "lost too")
	if got := old.content(); got != "0=a" {
		t.Errorf("the old leader shows %q", got)
	}
	var l *replica
	c.await("another leader, and the old one to know", func() bool {
		l = c.leader()
		return l != old && !old.State().Leading
	})
	if res := alone(); res == nil || !errors.Is(res.Err, ErrNotLeader) {
		t.Errorf("who waited at the old leader is told %+v", res)
	}
	if res := l.mustPut(sequence{9, 0, 1}, "b"); res.Duplicate || res.BaseOffset != 1 {
		t.Errorf("sequence 1 at the new leader: %+v", res)
	}
	if s := old.State(); s.HighWatermark != 1 || s.End != 3 {
		t.Errorf("the old leader by itself: %+v", s)
	}
	c.isolate(old, false)
	low := old.State().HighWatermark
	c.await("the old leader to follow", func() bool {
		s := old.State()
		if s.HighWatermark < low {
			t.Fatalf("the high watermark went from %d to %d", low, s.HighWatermark)
		}
		low = s.HighWatermark
		return s.HighWatermark == 2
	})
	c.same()
	c.transfer(old)
	if res := old.mustPut(sequence{9, 0, 1}, "b"); !res.Duplicate || res.BaseOffset != 1 {
		t.Errorf("P21 sequence 1 again: %+v", res)
	}
	if res := old.mustPut(sequence{77, 0, 0}, "lost too"); res.Duplicate || res.BaseOffset != 2 {
		t.Errorf("P21 what was replaced, sent again: %+v", res)
	}
	c.same()
	if got := l.content(); got != "0=a 1=b 2=lost too" {
		t.Errorf("the log is %q", got)
	}
	if epoch, end, err := old.EpochEnd(-1, 0); epoch != 0 || end != 1 || err != nil {
		t.Errorf("E3 the epoch whose end was replaced ends at (%d, %d), %v", epoch, end, err)
	}
	for _, r := range c.nodes { // F12: what was read of the end that is gone
		q := Read{Offset: 2, Follower: true, CurrentEpoch: -1, LastEpoch: 0}
		if got := readAt(r, q); got != "diverges in epoch 0 at 1" {
			t.Errorf("F12 node %d: %s", r.id, got)
		}
	}
}

// Followers note producers as frames come, over segments: their checkpoints are as good as the leader's, and they know
// the same after a power cut.
func TestFollowersWriteCheckpoints(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"segment.bytes": "1048576"})
	l := c.leader()
	big := strings.Repeat("x", 100_000)
	for i := range int32(40) {
		l.mustPut(sequence{int64(i % 3), 0, i / 3}, big)
	}
	c.same()
	for _, r := range c.others(l) {
		blob, end, ok := r.log.Checkpoint()
		var of producers.AsOf
		if err := producers.New(producers.Max, 0).Load(blob, &of); !ok || err != nil || of.Offset == 0 || of.Offset > end {
			t.Errorf("node %d: checkpoint %v as of %+v at the end %d, %v", r.id, ok, of, end, err)
		}
	}
	before := l.known()
	for _, r := range c.nodes {
		r.kill(uint64(r.id))
	}
	for _, r := range c.nodes {
		r.start()
	}
	c.same()
	if after := c.leader().known(); after != before {
		t.Errorf("after a power cut producers are %s, before %s", after, before)
	}
}

// A new log start reaches every replica, survives power cuts, and is not taken back by another leader; records are as
// they were behind it.
func TestLogStartTravels(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	for i := range 6 {
		l.mustPut(plain, fmt.Sprint(i))
	}
	away := c.others(l)[0]
	away.kill(1)
	remove := func(l *replica, to, want int64) {
		t.Helper()
		done := make(chan string, 1)
		go func() {
			start, err := l.DeleteRecords(t.Context(), to)
			done <- fmt.Sprintf("%d %v", start, err)
		}()
		var got string
		c.await("records to be deleted", func() bool {
			select {
			case got = <-done:
			default:
			}
			return got != ""
		})
		if got != fmt.Sprintf("%d <nil>", want) {
			t.Errorf("R1 delete to %d at node %d: %s, want %d", to, l.id, got, want)
		}
	}
	remove(l, 2, 2)
	remove(l, 1, 2)
	away.start()
	c.same()
	remove(l, 4, 4)
	for _, r := range c.nodes {
		r.kill(uint64(r.id) + 10)
	}
	for _, r := range c.nodes {
		r.start()
	}
	c.same()
	for _, r := range c.nodes {
		c.transfer(r)
		if s := r.State(); s.LogStart != 4 || r.content() != "4=4 5=5" {
			t.Errorf("node %d starts at %d with %q", r.id, s.LogStart, r.content())
		}
	}
	remove(c.leader(), -1, 6)
	c.same()
}

// The log is kept for a replica that is away for ten minutes, and no longer.
func TestRetentionWaitsForReplicas(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"segment.bytes": "1048576", "retention.bytes": "1", "retention.ms": "-1"})
	l := c.leader()
	c.same()
	away := c.others(l)[0]
	c.isolate(away, true)
	big := strings.Repeat("x", 300_000)
	for range 12 {
		l.mustPut(plain, big)
	}
	retain := func(r *replica) int64 {
		t.Helper()
		if err := r.Retain(r.opt.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		return r.LogStart()
	}
	if start := retain(l); start != 0 {
		t.Errorf("the log starts at %d while a replica lacks all of it", start)
	}
	c.isolate(away, false)
	c.same()
	if start := retain(l); start == 0 {
		t.Error("the log is kept although every replica has it")
	}
	c.isolate(away, true)
	for range 12 {
		l.mustPut(plain, big)
	}
	const has = 12 // records that the replica has
	if start := retain(l); start > has {
		t.Errorf("the log starts at %d while a replica lacks what is behind %d", start, has)
	}
	c.ahead.Add(int64(absentMax + time.Minute))
	if start := retain(l); start <= has {
		t.Errorf("the log still starts at %d although the replica has not been heard of for ten minutes", start)
	}
	c.isolate(away, false) // what it lacks is gone: it is handed the whole log
	c.await("the log at the replica", func() bool { return away.State().HighWatermark == l.State().HighWatermark })
	if got, want := away.content(), l.content(); got != want {
		t.Errorf("the replica has %.40q, the leader %.40q", got, want)
	}
}

// A log start that is committed is in force, whatever has become of the files: it is found in the frames, or in the
// checkpoint that covers them.
func TestLogStartBeforeItsFilesGo(t *testing.T) {
	r := newRig(t, map[string]string{"retention.ms": "-1"})
	for _, v := range []string{"a", "b", "c"} {
		r.mustAppend(plain, 1, v)
	}
	hold := func() {
		r.p.mu.Lock()
		r.p.trimming = true // nobody moves the start of the files
		r.p.mu.Unlock()
	}
	hold()
	if start, err := r.p.DeleteRecords(t.Context(), 1); err != nil || start != 1 {
		t.Fatalf("%d, %v", start, err)
	}
	check := func(when string, start, files int64) {
		t.Helper()
		if got := r.p.State().LogStart; got != start {
			t.Errorf("%s the log starts at %d, want %d", when, got, start)
		}
		if got := int64(r.p.log.StartOffset()); got != files {
			t.Errorf("%s the files start at %d, want %d", when, got, files)
		}
		if got := readAt(&replica{Partition: r.p}, Read{Offset: start - 1, CurrentEpoch: -1, LastEpoch: -1}); got != ErrOutOfRange.Error() {
			t.Errorf("%s what was deleted is read: %s", when, got)
		}
	}
	check("at first", 1, 0)
	r.close()
	r.open()
	r.p.beside.Wait() // it is found in the log, and the files follow
	check("after a restart", 1, 1)
	hold()
	if start, err := r.p.DeleteRecords(t.Context(), 2); err != nil || start != 2 {
		t.Fatalf("%d, %v", start, err)
	}
	if err := r.p.log.Roll(); err != nil { // the frame is behind a checkpoint now
		t.Fatal(err)
	}
	r.reopen()
	check("after a restart behind a checkpoint", 2, 1)
	if err := r.p.Retain(r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	check("when the files have followed", 2, 2)
}

// Whoever waits for a log start learns at once that the leadership has ended.
func TestDeleteRecordsEndsWithTheLeadership(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	l.mustPut(plain, "a", "b")
	c.isolate(l, true)
	done := make(chan error, 1)
	go func() {
		_, err := l.DeleteRecords(context.Background(), 1)
		done <- err
	}()
	var err error
	c.await("an answer", func() bool {
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	if !errors.Is(err, ErrNotLeader) || l.State().Leading {
		t.Errorf("%v, leading %v", err, l.State().Leading)
	}
	c.isolate(l, false)
	c.same()
}

// A leader whose log cannot be read makes way for another.
func TestAbandon(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	l.mustPut(plain, "a")
	waits := l.begin(AcksAll, plain, "b")
	l.abandon(errors.New("injected"))
	c.await("its waiter", func() bool { return waits() != nil })
	if s := l.State(); s.Leading || !errors.Is(s.Err, ErrStorage) {
		t.Errorf("afterwards it is %+v", s)
	}
	var next *replica
	c.await("another leader", func() bool { next = c.leader(); return next != l })
	next.mustPut(plain, "c")
	if err := l.Append(records(t, plain, 1, "d"), AcksAll, -1, make(acks, 1), 0); !errors.Is(err, ErrStorage) {
		t.Errorf("append at the one that made way: %v", err)
	}
}

// A replica that was handed the log whole knows the producers in it, and forgets those it knew before: they may have
// written in between.
func TestProducersOverAHandOver(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"segment.bytes": "1048576", "retention.bytes": "1", "retention.ms": "-1"})
	l := c.leader()
	l.mustPut(sequence{9, 0, 0}, "before")
	c.same()
	away := c.others(l)[0]
	c.isolate(away, true)
	l.mustPut(sequence{9, 0, 1}, "in between")
	big := strings.Repeat("x", 300_000)
	var last Result
	for i := range int32(12) {
		last = l.mustPut(sequence{8, 0, i}, big)
	}
	c.ahead.Add(int64(absentMax + time.Minute))
	if err := l.Retain(l.opt.Clock.Now()); err != nil || l.LogStart() < 3 {
		t.Fatalf("the log starts at %d, %v", l.LogStart(), err)
	}
	c.isolate(away, false)
	c.await("the log at the replica", func() bool { return away.State().HighWatermark == l.State().HighWatermark })
	c.transfer(away)
	if got, want := away.LogStart(), l.LogStart(); got != want {
		t.Errorf("its log starts at %d, not at %d", got, want)
	}
	if res := away.mustPut(sequence{8, 0, 11}, big); !res.Duplicate || res.BaseOffset != last.BaseOffset {
		t.Errorf("P21 what is in the log, again: %+v, want offset %d", res, last.BaseOffset)
	}
	if res := away.mustPut(sequence{9, 0, 2}, "after"); res.Duplicate {
		t.Errorf("P23 a producer that wrote in between: %+v", res)
	}
}

// A replica that was handed the log whole knows the transactions in it.
func TestTransactionsOverAHandOver(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"segment.bytes": "1048576", "retention.bytes": "1", "retention.ms": "-1"})
	l := c.leader()
	l.mustPut(plain, "before")
	c.same()
	away := c.others(l)[0]
	c.isolate(away, true)
	big := strings.Repeat("x", 300_000)
	last := func(told func() *Result) {
		t.Helper()
		c.await("a result", func() bool { return told() != nil })
		if res := told(); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	a := make(acks, 1)
	for i := range int32(12) {
		l.mustPut(plain, big)
		last(a.of(l.Append(txnRecords(t, sequence{7, 0, i}, 100, "aborted"), AcksAll, -1, a, 7)))
		last(a.of(l.AppendMarker(Marker{ProducerID: 7, CoordinatorEpoch: 1}, -1, a, 7)))
	}
	last(a.of(l.Append(txnRecords(t, sequence{8, 0, 0}, 100, "open"), AcksAll, -1, a, 7)))
	c.ahead.Add(int64(absentMax + time.Minute))
	if err := l.Retain(l.opt.Clock.Now()); err != nil || l.LogStart() < 3 {
		t.Fatalf("the log starts at %d, %v", l.LogStart(), err)
	}
	c.isolate(away, false)
	c.await("the log at the replica", func() bool { return away.LastStable() == l.State().HighWatermark-1 })
	from := l.LogStart()
	seen, _, aborted := committed(t, l.Partition, from, 1<<30)
	if got, _, list := committed(t, away.Partition, from, 1<<30); got != seen || !slices.Equal(list, aborted) || len(list) == 0 {
		t.Errorf("the replica tells of %v aborted, the leader of %v; they show %d and %d bytes", list, aborted, len(got), len(seen))
	}
	if strings.Contains(seen, "aborted") || strings.Contains(seen, "open") || !strings.Contains(seen, "xxx") {
		t.Errorf("T70 committed: %.100q", seen)
	}
}

package partition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// every node of a cluster, by id.
func (c *cluster) ids(of ...*replica) (out []uint64) {
	for _, r := range of {
		out = append(out, r.id)
	}
	return out
}

func TestMinInsyncRefuses(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"min.insync.replicas": "2"})
	l := c.leader()
	epoch := l.State().Epoch
	l.SetISR(epoch, c.ids(l))
	if _, err := l.put(AcksAll, sequence{9, 0, 0}, "refused"); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Errorf("acks=all with one replica in sync: %v", err)
	}
	if res, err := l.put(AcksLeader, sequence{9, 0, 0}, "a"); err != nil || res.BaseOffset != 0 {
		t.Errorf("acks=1, and the sequence that was refused: %+v, %v", res, err)
	}
	l.SetISR(epoch-1, c.ids(c.nodes...)) // of another leadership
	if _, err := l.put(AcksAll, sequence{9, 0, 1}, "refused"); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Errorf("the in-sync set of another epoch counts: %v", err)
	}
	l.SetISR(epoch, c.ids(c.nodes...))
	if res := l.mustPut(sequence{9, 0, 1}, "b"); res.BaseOffset != 1 {
		t.Errorf("with all in sync: %+v", res)
	}
	c.set(map[string]string{"min.insync.replicas": "4"})
	if _, err := l.put(AcksAll, sequence{9, 0, 2}, "refused"); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Errorf("more required than there are: %v", err)
	}
	c.set(nil)
	l.mustPut(sequence{9, 0, 2}, "c")
}

// In a new term a majority is known to be in sync, and no more, until somebody has told.
func TestInSyncOfANewTerm(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"min.insync.replicas": "2"})
	first := c.leader()
	first.SetISR(first.State().Epoch, c.ids(c.nodes...))
	next := c.others(first)[0]
	c.transfer(next)
	next.mustPut(plain, "two of three")
	c.set(map[string]string{"min.insync.replicas": "3"})
	if _, err := next.put(AcksAll, plain, "three"); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Errorf("three required, and nobody has told: %v", err)
	}
	if n := next.InSync(); n != 2 {
		t.Errorf("%d in sync", n)
	}
}

// A batch is committed with a majority; while more replicas are required it is acknowledged when so many have it. When
// fewer are in sync meanwhile, that is the answer.
func TestMinInsyncAboveTheMajority(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"min.insync.replicas": "3"})
	l := c.leader()
	c.same()
	slow := c.others(l)[0]
	all := func() { l.SetISR(l.State().Epoch, c.ids(c.nodes...)) }
	committed := func(hw int64) func() bool { return func() bool { return l.State().HighWatermark == hw } }
	all()
	l.mustPut(sequence{9, 0, 0}, "a")
	c.isolate(slow, true)
	waits := l.begin(AcksAll, sequence{9, 0, 1}, "b")
	c.await("a commit by the majority", committed(2))
	again := l.begin(AcksAll, sequence{9, 0, 1}, "b")
	if first, second := waits(), again(); first != nil || second != nil {
		t.Fatalf("acknowledged by a majority, three are required: %+v, again %+v", first, second)
	}
	c.isolate(slow, false)
	c.await("the third replica", func() bool { return waits() != nil && again() != nil })
	if first, second := waits(), again(); first.Err != nil || first.BaseOffset != 1 || second.Err != nil || !second.Duplicate {
		t.Errorf("with three: %+v, again %+v", first, second)
	}

	c.isolate(slow, true)
	waits = l.begin(AcksAll, sequence{9, 0, 2}, "c")
	c.await("a commit by the majority", committed(3))
	l.SetISR(l.State().Epoch, c.ids(l, c.others(l)[1]))
	if res := waits(); res == nil || !errors.Is(res.Err, ErrNotEnoughReplicasAfterAppend) {
		t.Errorf("when the slow one is out: %+v", res)
	}

	all()
	waits = l.begin(AcksAll, sequence{9, 0, 3}, "d")
	c.await("a commit by the majority", committed(4))
	if res := waits(); res != nil {
		t.Fatalf("acknowledged by a majority, three are required: %+v", res)
	}
	c.set(map[string]string{"min.insync.replicas": "2"})
	c.await("the setting to take effect", func() bool { return waits() != nil })
	if res := waits(); res.Err != nil || res.BaseOffset != 3 {
		t.Errorf("with two required: %+v", res)
	}
	if res := l.mustPut(sequence{9, 0, 2}, "c"); !res.Duplicate || res.BaseOffset != 2 {
		t.Errorf("what was not acknowledged, again: %+v", res)
	}
}

// An in-sync replica that is not among those who have a batch does not stand for one who has.
func TestOnlyInSyncReplicasCount(t *testing.T) {
	c := newCluster(t, 5, map[string]string{"min.insync.replicas": "4"})
	l := c.leader()
	c.same()
	o := c.others(l)
	c.isolate(o[0], true)
	l.SetISR(l.State().Epoch, c.ids(l, o[0], o[1], o[2])) // o[3] has everything, and is not in sync
	waits := l.begin(AcksAll, plain, "a")
	c.await("o[3] to have it", func() bool { return o[3].State().HighWatermark == 1 })
	if res := waits(); res != nil {
		t.Errorf("acknowledged with three of the in-sync replicas: %+v", res)
	}
	l.SetISR(l.State().Epoch, c.ids(l, o[1], o[2], o[3]))
	c.await("an answer", func() bool { return waits() != nil })
	if res := waits(); res.Err != nil {
		t.Error(res.Err)
	}
}

// readAt reads at a node and says what came of it.
func readAt(r *replica, q Read) string {
	q.BytesMax, q.AtLeastOne = 1<<20, true
	res, _, err := r.Read(q, nil)
	defer res.Release()
	for _, e := range []error{ErrNotLeader, ErrOutOfRange, ErrFencedEpoch, ErrUnknownEpoch, ErrOffsetNotAvailable} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	switch {
	case err != nil:
		return err.Error()
	case res.Diverging:
		return fmt.Sprintf("diverges in epoch %d at %d", res.DivergeEpoch, res.DivergeEnd)
	}
	return fmt.Sprintf("%d pieces below %d", len(res.Records), res.HighWatermark)
}

func TestFollowerReads(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	l.mustPut(plain, "a", "b") // epoch 0: 0, 1
	c.transfer(c.others(l)[0])
	l = c.leader()
	e := l.State().Epoch
	l.mustPut(plain, "c")
	l.mustPut(plain, "d") // epoch e: 2, 3
	done := make(chan error, 1)
	go func() {
		_, err := l.DeleteRecords(context.Background(), 1)
		done <- err
	}()
	c.await("the log start", func() bool { return len(done) == 1 })
	c.same()
	f := c.others(l)[0]
	for _, q := range []struct {
		what string
		read Read
		want string
	}{
		{"without leave", Read{Offset: 1, CurrentEpoch: -1, LastEpoch: -1}, ErrNotLeader.Error()},
		{"from the log start", Read{Offset: 1, Follower: true, CurrentEpoch: -1, LastEpoch: -1}, "3 pieces below 4"},
		{"of this epoch", Read{Offset: 3, Follower: true, CurrentEpoch: e, LastEpoch: e}, "1 pieces below 4"},
		{"at the end", Read{Offset: 4, Follower: true, CurrentEpoch: -1, LastEpoch: e}, "0 pieces below 4"},
		{"beyond the end", Read{Offset: 5, Follower: true, CurrentEpoch: -1, LastEpoch: -1}, ErrOffsetNotAvailable.Error()},
		{"beyond the end, of this epoch", Read{Offset: 5, Follower: true, CurrentEpoch: -1, LastEpoch: e}, ErrOffsetNotAvailable.Error()},
		{"of an epoch to come", Read{Offset: 4, Follower: true, CurrentEpoch: -1, LastEpoch: e + 1}, ErrOffsetNotAvailable.Error()},
		{"before the log start", Read{Offset: 0, Follower: true, CurrentEpoch: -1, LastEpoch: -1}, ErrOutOfRange.Error()},
		{"F11 of an old epoch", Read{Offset: 1, Follower: true, CurrentEpoch: e - 1, LastEpoch: -1}, ErrFencedEpoch.Error()},
		{"F11 of a new epoch", Read{Offset: 1, Follower: true, CurrentEpoch: e + 1, LastEpoch: -1}, ErrUnknownEpoch.Error()},
		{"F12", Read{Offset: 3, Follower: true, CurrentEpoch: -1, LastEpoch: 0}, "diverges in epoch 0 at 2"},
		{"F12 within the epoch", Read{Offset: 2, Follower: true, CurrentEpoch: -1, LastEpoch: 0}, "2 pieces below 4"},
	} {
		if got := readAt(f, q.read); got != q.want {
			t.Errorf("follower, %s: %s, want %s", q.what, got, q.want)
		}
	}
	if got := readAt(l, Read{Offset: 5, Follower: true, CurrentEpoch: -1, LastEpoch: e}); !strings.HasPrefix(got, "diverges") {
		t.Errorf("F12 leader, beyond the end: %s", got)
	}
	if _, _, err := f.EpochEnd(-1, 0); !errors.Is(err, ErrNotLeader) {
		t.Errorf("E4 at a follower: %v", err)
	}
}

// A follower tells its readers of new records and of a new leader.
func TestFollowerWakesReaders(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	c.same()
	f := c.others(l)[0]
	w := NewWatcher()
	f.Watch(w)
	defer f.Unwatch(w)
	for len(w.C()) > 0 {
		<-w.C()
	}
	l.mustPut(plain, "a")
	c.await("news of a record", func() bool { return len(w.C()) == 1 })
	c.await("the record", func() bool { return f.State().HighWatermark == 1 })
	for len(w.C()) > 0 {
		<-w.C()
	}
	l.kill(1)
	c.await("news of the leader", func() bool { return len(w.C()) == 1 })
}

// barrier asks for a read barrier; what it returns is the outcome, nil while there is none.
func (r *replica) barrier() func() *string {
	done := make(chan string, 1)
	go func() { done <- fmt.Sprint(r.ReadBarrier(context.Background())) }()
	var got *string
	return func() *string {
		select {
		case s := <-done:
			got = &s
		default:
		}
		return got
	}
}

// Behind a read barrier a follower has all that was acknowledged before; one that reaches no leader is told so.
func TestReadBarrier(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	f := c.others(l)[0]
	for i := range int64(20) {
		l.mustPut(plain, "v")
		told := make([]func() *string, 3)
		for j := range told {
			told[j] = f.barrier()
		}
		c.await("three barriers", func() bool { return told[0]() != nil && told[1]() != nil && told[2]() != nil })
		if hw := f.State().HighWatermark; *told[0]() != "<nil>" || hw < i+1 {
			t.Fatalf("round %d: barrier %s, high watermark %d", i, *told[0](), hw)
		}
	}
	c.isolate(f, true)
	l.mustPut(plain, "unseen")
	alone := f.barrier()
	c.await("the barrier to fail", func() bool { return alone() != nil })
	if got := *alone(); !strings.Contains(got, ErrNotLeader.Error()) {
		t.Errorf("a barrier without a leader: %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.ReadBarrier(ctx); err == nil {
		t.Error("a barrier of one who has left: no error")
	}
}

package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"chronik/broker/group"
	"chronik/broker/partition"
)

func commitIn(groupID, topic string, offset, producer int64) group.CommitOffsetsRequest {
	r := commit(groupID, topic, offset)
	r.Txn = &group.Txn{ProducerID: producer, Epoch: 1}
	return r
}

func marker(producer int64, commit bool) group.Marker {
	return group.Marker{Txn: group.Txn{ProducerID: producer, Epoch: 1}, CoordinatorEpoch: 3, Commit: commit}
}

func allowed(context.Context) error { return nil }

// begin commits an offset in a transaction that the transaction coordinator knows.
func (x *tool) begin(groupID, topic string, offset, producer int64) {
	x.Helper()
	if r := x.h.CommitOffsetsInTxn(x.Context(), commitIn(groupID, topic, offset, producer), allowed); r.Err != group.None || r.Topics[0].Partitions[0].Err != group.None {
		x.Fatalf("commit in a transaction: %+v", r)
	}
}

func (x *tool) finish(producer int64, commit bool) {
	x.Helper()
	if err := x.h.EndTransaction(x.Context(), 0, marker(producer, commit)); err != group.None {
		x.Fatalf("end of a transaction: %v", err)
	}
}

// stable is what OffsetFetch says to who wants stable offsets.
func (x *tool) stable(groupID, topic string) (int64, group.Error) {
	x.Helper()
	r := x.h.FetchOffsets(group.FetchOffsetsRequest{Group: groupID, Stable: true, Topics: []group.TopicPartitions{{Name: topic, Partitions: []int32{0}}}})
	if r.Err != group.None {
		x.Fatalf("fetch offsets of %s: %v", groupID, r.Err)
	}
	p := r.Topics[0].Partitions[0]
	return p.Offset, p.Err
}

// TestT22T52: offsets of a transaction show with its marker or never, to a coordinator that was there and to one that
// loads the log, before the marker and after it.
func TestT22T52(t *testing.T) {
	for _, reloads := range []bool{false, true} {
		x := newTool(t, 1)
		x.lead(0)
		again := func() {
			if reloads {
				x.parts[0].set(func(p *fakePartition) { p.epoch++ })
				x.lead(0)
			}
		}
		if r := x.h.CommitOffsets(t.Context(), commit("g", "t", 5)); r.Err != group.None {
			t.Fatal(r.Err)
		}
		x.begin("g", "t", 7, 40)
		x.begin("other", "t", 8, 41)
		again()
		if got := x.offset("g", "t"); got != 5 {
			t.Errorf("O12: the offset is %d while the transaction is open", got)
		}
		if _, err := x.stable("g", "t"); err != group.UnstableOffsetCommit {
			t.Errorf("O12: %v to who wants stable offsets", err)
		}
		x.begin("g", "t", 9, 40) // again in the same transaction
		again()
		x.finish(40, true)
		x.finish(41, false)
		again()
		if got, err := x.stable("g", "t"); got != 9 || err != group.None {
			t.Errorf("after the commit: %d, %v", got, err)
		}
		if got, err := x.stable("other", "t"); got != -1 || err != group.None {
			t.Errorf("after the abort: %d, %v", got, err)
		}
		x.finish(40, false) // of no transaction
		if got := x.offset("g", "t"); got != 9 {
			t.Errorf("after another marker: %d", got)
		}
	}
}

// TestVerification: the transaction coordinator is asked once a transaction, and its refusal is the answer.
func TestVerification(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	asked := 0
	ask := func(err error) group.Error {
		return x.h.CommitOffsetsInTxn(t.Context(), commitIn("g", "t", 7, 40), func(context.Context) error { asked++; return err }).Err
	}
	for err, want := range map[error]group.Error{
		group.TransactionAbortable: group.TransactionAbortable, fmt.Errorf("wrapped: %w", group.InvalidProducerEpoch): group.InvalidProducerEpoch,
		errors.New("the network"): group.CoordinatorLoadInProgress,
	} {
		if got := ask(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	if end := x.parts[0].State().End; end != 0 {
		t.Errorf("%d records are in the log", end)
	}
	asked = 0
	if ask(nil) != group.None || ask(nil) != group.None || asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	x.finish(40, true)
	if ask(nil) != group.None || asked != 2 {
		t.Errorf("after the end asked %d times", asked)
	}
	x.finish(40, true)
	// A marker comes while the coordinator is asked: what it said is of the transaction before.
	late := x.h.CommitOffsetsInTxn(t.Context(), commitIn("g", "t", 8, 40), func(context.Context) error { x.finish(40, true); return nil })
	if late.Err != group.ConcurrentTransactions {
		t.Errorf("a commit behind the marker: %+v", late)
	}
	// Leadership changes while the coordinator is asked: the next leader may have written the marker.
	moved := x.h.CommitOffsetsInTxn(t.Context(), commitIn("g", "t", 8, 40), func(context.Context) error {
		x.parts[0].set(func(p *fakePartition) { p.epoch++ })
		x.lead(0)
		x.finish(40, true)
		return nil
	})
	if moved.Err != group.ConcurrentTransactions {
		t.Errorf("a commit at the next leader: %+v", moved)
	}
	if _, err := x.stable("g", "t"); err != group.None {
		t.Errorf("%v: a transaction that nobody ends", err)
	}
}

// TestTransactionErrors: what the partition says of producers and coordinators reaches who asks.
func TestTransactionErrors(t *testing.T) {
	for err, want := range map[error]group.Error{
		partition.ErrInvalidProducerEpoch: group.InvalidProducerEpoch, partition.ErrFencedCoordinator: group.TransactionCoordinatorFenced,
		partition.ErrNotLeader: group.NotCoordinator, partition.ErrNotEnoughReplicas: group.CoordinatorNotAvailable,
	} {
		x := newTool(t, 1)
		x.lead(0)
		x.parts[0].set(func(p *fakePartition) { p.refuse = err })
		if got := x.h.EndTransaction(t.Context(), 0, marker(40, true)); got != want {
			t.Errorf("marker, %v: %v, want %v", err, got, want)
		}
		if got := x.h.CommitOffsetsInTxn(t.Context(), commitIn("g", "t", 7, 40), allowed).Err; got != want {
			t.Errorf("commit, %v: %v, want %v", err, got, want)
		}
		if got := x.h.EndTransaction(t.Context(), 1, marker(40, true)); got != group.NotCoordinator {
			t.Errorf("a partition that is not led here: %v", got)
		}
	}
}

// TestRewriteKeepsOpenTransactions: a log is written anew and cut while a transaction is open, which is committed, or
// aborted, afterwards.
func TestRewriteKeepsOpenTransactions(t *testing.T) {
	for _, commits := range []bool{true, false} {
		x := newTool(t, 1)
		x.lead(0)
		if r := x.h.CommitOffsets(t.Context(), commit("early", "t", 3)); r.Err != group.None {
			t.Fatal(r.Err)
		}
		x.begin("g", "t", 7, 40)
		r := commit("bulk", "t", 0)
		r.Topics[0].Partitions[0].Metadata = strings.Repeat("m", 4000)
		x.eventually("the log is cut", func() bool {
			for range 200 {
				r.Topics[0].Partitions[0].Offset++
				if got := x.h.CommitOffsets(t.Context(), r); got.Err != group.None {
					t.Fatal(got.Err)
				}
			}
			return x.parts[0].State().LogStart > 0
		})
		if start := x.parts[0].State().LogStart; start != 1 {
			t.Fatalf("the log starts at %d, the transaction at 1", start)
		}
		x.parts[0].set(func(p *fakePartition) { p.epoch++ })
		x.lead(0)
		x.finish(40, commits)
		x.parts[0].set(func(p *fakePartition) { p.epoch++ })
		x.lead(0)
		want := map[bool]int64{true: 7, false: -1}[commits]
		if got := x.offset("g", "t"); got != want || x.offset("early", "t") != 3 || x.offset("bulk", "t") != r.Topics[0].Partitions[0].Offset {
			t.Errorf("commit %v: %d, %d and %d", commits, got, x.offset("early", "t"), x.offset("bulk", "t"))
		}
	}
}

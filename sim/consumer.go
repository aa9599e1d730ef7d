package sim

import (
	"context"
	"fmt"
	"time"

	"chronik/broker"
	"chronik/kafka/batch"
	"chronik/sim/history"
)

// consumer reads one partition from its beginning, again and again, from the
// leader or from whatever replica there is.
type consumer struct {
	*client
	at        history.Partition
	followers bool // reads from any node, policy safe
	offset    int64
	turn      int
}

func (c *simulation) newConsumer(id int, at history.Partition) *consumer {
	k := &consumer{client: c.newClient(id), at: at}
	k.followers = len(c.nodes) > 1 && k.rand.IntN(2) == 0
	return k
}

func (k *consumer) name() string { return fmt.Sprintf("consumer %d.%d", k.id, k.turn) }

func (k *consumer) run() {
	for k.pause(time.Duration(1+k.rand.IntN(100)) * time.Millisecond) {
		if k.rand.IntN(50) == 0 { // begin again, as another consumer would
			k.offset, k.turn = 0, k.turn+1
		}
		k.poll()
	}
}

// fetched is the answer to a fetch, copied out of the log.
type fetched struct {
	broker.FetchPartition
	records []history.Record
	bad     error
	// followed: the node did not lead, neither before nor after. (One that
	// does may have lost its majority, and not know it yet.)
	followed bool
}

func (k *consumer) poll() {
	l, ok := k.leader(k.at)
	if !ok {
		return
	}
	to := uint64(l.ID)
	if k.followers {
		to = uint64(1 + k.rand.IntN(len(k.c.nodes)))
	}
	known, wait := k.c.hist.Known(k.at), time.Duration(k.rand.IntN(500))*time.Millisecond
	got, err := call(k.client, to, 3*time.Second, func(ctx context.Context, b *broker.Broker) fetched {
		tp := broker.TopicPartition{Topic: k.at.Topic, Partition: k.at.Index}
		before, _ := b.PartitionLeader(tp)
		r := &broker.FetchRequest{ReplicaID: -1, ReplicaRead: true, MaxWait: wait, MinBytes: 1, MaxBytes: 32 << 10, Partitions: []broker.FetchPartition{{
			TopicPartition:     tp,
			CurrentLeaderEpoch: l.Epoch, FetchOffset: k.offset, LastFetchedEpoch: -1, MaxBytes: 16 << 10,
		}}}
		res := b.Fetch(ctx, r)
		defer res.Release()
		after, _ := b.PartitionLeader(tp)
		f := fetched{FetchPartition: r.Partitions[0], followed: before == after && after.ID != int32(to)}
		f.records, f.bad = recordsFrom(f.Records, k.offset)
		f.Records = nil
		return f
	})
	if err == nil {
		err = got.Err
	}
	if err == nil {
		err = got.bad
	}
	if err != nil {
		k.c.journal.mix("%s from %d at node %d: %v", k.name(), k.offset, to, err)
		if !retriable(err) {
			k.c.hist.Violate("refused", "%s of %s at %d from node %d: %v", k.name(), k.at, k.offset, to, err)
		}
		k.forget(k.at)
		k.pause(50 * time.Millisecond)
		return
	}
	k.c.journal.mix("%s read %d+%d at node %d, high %d", k.name(), k.offset, len(got.records), to, got.HighWatermark)
	k.c.hist.Read(history.Read{
		Consumer: k.name(), Partition: k.at, Node: to, Safe: got.followed, Epoch: l.Epoch, Known: known,
		Offset: k.offset, HighWatermark: got.HighWatermark, Records: got.records,
	})
	k.offset += int64(len(got.records))
}

// recordsFrom reads whole batches, from offset on.
func recordsFrom(chunks [][]byte, offset int64) (out []history.Record, err error) {
	for _, chunk := range chunks {
		for v, err := range batch.All(chunk) {
			if err != nil {
				return nil, fmt.Errorf("batch behind offset %d: %w", offset, err)
			}
			records, err := recordsOf(v)
			if err != nil {
				return nil, err
			}
			for _, r := range records {
				if r.Offset >= offset {
					out = append(out, r)
				}
			}
		}
	}
	return out, nil
}

func recordsOf(v batch.View) (out []history.Record, err error) {
	for r, err := range batch.Records(v, nil) {
		if err != nil {
			return nil, fmt.Errorf("batch at offset %d: %w", v.BaseOffset(), err)
		}
		out = append(out, history.Record{Offset: r.Offset, Value: string(r.Value)})
	}
	return out, nil
}

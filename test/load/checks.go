package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// Check compares the restarted broker with what was promised before: topics, commits, and the log from where the last
// check ended up to the present end, while the load goes on.
func (r *Rig) Check() {
	r.t.Helper()
	members, lone := r.members.snapshot(), r.lone.snapshot()
	adm, done := r.admin()
	defer done()
	ctx := r.ctx(2 * time.Minute)
	r.checkTopics(ctx, adm)
	r.checkCommits(ctx, adm, members, lone)
	r.checkLog(ctx, adm, &r.audits)
	r.checkTrimmed(ctx, adm)
	r.newProducer()
	if err := r.failed(); err != nil {
		r.t.Fatal(err)
	}
}

// CheckReads compares what can be read with what was promised before the call.
func (r *Rig) CheckReads() {
	r.t.Helper()
	members, lone := r.members.snapshot(), r.lone.snapshot()
	adm, done := r.admin()
	defer done()
	ctx := r.ctx(2 * time.Minute)
	r.checkCommits(ctx, adm, members, lone)
	r.checkLog(ctx, adm, &r.audits)
	r.checkTrimmed(ctx, adm)
	if err := r.failed(); err != nil {
		r.t.Fatal(err)
	}
}

// checkTopics makes one topic a round and deletes the one of two rounds before.
func (r *Rig) checkTopics(ctx context.Context, adm *kadm.Client) {
	r.t.Helper()
	have, err := adm.ListTopics(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, there := range r.topics {
		if have.Has(name) != there {
			r.t.Fatalf("topic %s is there: %v, acknowledged was: %v", name, have.Has(name), there)
		}
	}
	n := len(r.topics)
	name := fmt.Sprintf("round-%d", n)
	if _, err := adm.CreateTopic(ctx, 1, -1, nil, name); err != nil {
		r.t.Fatalf("create topic %s: %v", name, err)
	}
	r.topics[name] = true
	if n >= 2 {
		old := fmt.Sprintf("round-%d", n-2)
		if _, err := adm.DeleteTopic(ctx, old); err != nil {
			r.t.Fatalf("delete topic %s: %v", old, err)
		}
		r.topics[old] = false
	}
}

// checkCommits wants every commit at least as high as acknowledged, and never higher than tried.
func (r *Rig) checkCommits(ctx context.Context, adm *kadm.Client, members, lone map[string]int64) {
	r.t.Helper()
	os, err := adm.FetchOffsets(ctx, Group)
	if err != nil {
		r.t.Fatal(err)
	}
	for key, acked := range members {
		p, _ := strconv.Atoi(key)
		o, ok := os.Lookup(topic, int32(p))
		if tried := r.members.triedAt(key); !ok || o.At < acked || o.At > tried {
			r.t.Fatalf("group %s partition %s: committed %d (there: %v), acknowledged %d, tried %d", Group, key, o.At, ok, acked, tried)
		}
	}
	for group, acked := range lone {
		os, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			r.t.Fatal(err)
		}
		o, ok := os.Lookup(topic, 0)
		if tried := r.lone.triedAt(group); !ok || o.At < acked || o.At > tried || o.Metadata != fmt.Sprint(o.At) {
			r.t.Fatalf("group %s: committed %d %q (there: %v), acknowledged %d, tried %d", group, o.At, o.Metadata, ok, acked, tried)
		}
	}
}

// checkLog reads every partition from where its audit stands to the present end.
func (r *Rig) checkLog(ctx context.Context, adm *kadm.Client, audits *[partitions]*audit) {
	r.t.Helper()
	var acked [partitions]int64
	for p := range acked {
		acked[p] = r.ledger.end(int32(p))
	}
	var ends kadm.ListedOffsets
	harness.Eventually(r.t, time.Minute, "the end of what was acknowledged", func() (err error) { // with acks=1 that is sooner than it is read
		if ends, err = adm.ListEndOffsets(ctx, topic); err != nil {
			return err
		}
		for p := range acked {
			if end, _ := ends.Lookup(topic, int32(p)); end.Offset < acked[p] {
				return fmt.Errorf("partition %d ends at %d, but offset %d was acknowledged", p, end.Offset, acked[p]-1)
			}
		}
		return ends.Error()
	})
	from := map[int32]kgo.Offset{}
	left := 0
	for p, a := range audits {
		end, _ := ends.Lookup(topic, int32(p))
		if end.Offset < a.next {
			r.t.Fatalf("partition %d ends at %d, but offset %d was read before", p, end.Offset, a.next-1)
		}
		if end.Offset > a.next {
			from[int32(p)] = kgo.NewOffset().At(a.next)
			left++
		}
	}
	if left == 0 {
		return
	}
	c, err := kgo.NewClient(r.o.steady(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatalf("reading the log: %v", err)
		}
		fetches.EachRecord(func(k *kgo.Record) {
			end, _ := ends.Lookup(topic, k.Partition)
			if k.Offset >= end.Offset {
				return
			}
			if err := audits[k.Partition].record(k.Offset, k.Value); err != nil {
				r.t.Fatal(err)
			}
			if k.Offset == end.Offset-1 {
				left--
			}
		})
	}
}

// checkTrimmed reads the topic that retention shortens, from its start to its present end.
func (r *Rig) checkTrimmed(ctx context.Context, adm *kadm.Client) {
	r.t.Helper()
	acked := r.trimmed.end(0)
	for {
		starts, err := adm.ListStartOffsets(ctx, trimmedTopic)
		ends, err2 := adm.ListEndOffsets(ctx, trimmedTopic)
		if err = errors.Join(err, err2, starts.Error(), ends.Error()); err != nil {
			r.t.Fatal(err)
		}
		start, _ := starts.Lookup(trimmedTopic, 0)
		end, _ := ends.Lookup(trimmedTopic, 0)
		if end.Offset < acked {
			r.t.Fatalf("%s ends at %d, but offset %d was acknowledged", trimmedTopic, end.Offset, acked-1)
		}
		err = r.readTrimmed(ctx, start.Offset, end.Offset)
		if !errors.Is(err, kerr.OffsetOutOfRange) { // else retention was faster
			if err != nil {
				r.t.Fatalf("%s: %v", trimmedTopic, err)
			}
			return
		}
	}
}

func (r *Rig) readTrimmed(ctx context.Context, start, end int64) error {
	if start == end {
		return nil
	}
	c, err := kgo.NewClient(r.o.steady(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{trimmedTopic: {0: kgo.NewOffset().At(start)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer c.Close()
	a := newAudit(r.trimmed, 0)
	a.next, a.late = start, true
	for a.next < end {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(k *kgo.Record) {
			if err == nil && k.Offset < end {
				err = a.record(k.Offset, k.Value)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newProducer sends from an idempotent producer made for this round; its id must not have been given to anybody.
func (r *Rig) newProducer() {
	r.t.Helper()
	s := r.sender(topic, partitions, r.o.kinds()[0], r.ledger)
	ctx := r.ctx(time.Minute)
	s.burst(ctx, 20)
	if err := s.client.Flush(ctx); err != nil {
		r.t.Fatalf("a new producer's records: %v", err)
	}
	id, _, err := s.client.ProducerID(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.ids[id] {
		r.t.Fatalf("producer id %d was given out twice", id)
	}
	r.ids[id] = true
	s.client.Close()
}

// Finish stops the load, waits until the group has read everything, and audits the whole log from its start.
func (r *Rig) Finish() {
	r.t.Helper()
	r.stopSenders()
	r.senders.Wait()
	if err := r.failed(); err != nil {
		r.t.Fatal(err)
	}
	adm, done := r.admin()
	defer done()
	ctx := r.ctx(3 * time.Minute)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		r.t.Fatal(err)
	}
	harness.Eventually(r.t, time.Minute, "the group reads to the end", func() error {
		for p, acked := range r.members.snapshot() {
			n, _ := strconv.Atoi(p)
			if end, _ := ends.Lookup(topic, int32(n)); acked < end.Offset {
				return fmt.Errorf("partition %s: committed %d of %d", p, acked, end.Offset)
			}
		}
		return r.failed()
	})
	r.stopOthers()
	r.others.Wait()
	var whole [partitions]*audit
	for p := range whole {
		whole[p] = newAudit(r.ledger, int32(p))
	}
	r.checkLog(ctx, adm, &whole)
	r.checkTrimmed(ctx, adm)
	duplicates, records := 0, int64(0)
	for _, a := range whole {
		if err := a.whole(); err != nil {
			r.t.Fatal(err)
		}
		duplicates += a.duplicates
		records += a.next
	}
	r.t.Logf("%d records in the log, %d acknowledged, %d repeated by producers that are not idempotent, group members read %d, %d new producer ids",
		records, r.ledger.total(), duplicates, r.seen.Load(), len(r.ids))
}

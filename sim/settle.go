package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/broker"
	"chronik/broker/partition/dirs"
	"chronik/internal/clock"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/sim/history"
	"chronik/wal"
)

const (
	clientsMax  = 16
	settleLimit = 60 * time.Second // for writes to work again
	quietTime   = 10 * time.Second // for replicas to become equal
)

// createTopics makes those that exist from the beginning.
func (c *simulation) createTopics() {
	admin := c.newClient(0)
	for i := range 1 + c.rand.IntN(3) {
		name := fmt.Sprintf("t%d", i)
		err := await(settleLimit, func() error { return admin.createTopic(name, 1+int32(c.rand.IntN(3))) })
		if err != nil {
			c.hist.Violate("live", "topic %s is not created: %v", name, err)
			continue
		}
		c.topics = append(c.topics, name)
	}
}

// createTopic asks any broker for a topic, and notes it when that says yes.
func (k *client) createTopic(name string, partitions int32) error {
	insync := 1 + k.rand.IntN(min(3, len(k.c.nodes)))
	to := uint64(1 + k.rand.IntN(len(k.c.nodes)))
	got, err := call(k, to, 10*time.Second, func(ctx context.Context, b *broker.Broker) broker.CreatedTopic {
		topic := broker.NewTopic{Name: name, Partitions: partitions, ReplicationFactor: int16(min(3, len(k.c.nodes)))}
		if insync > 1 {
			topic.Configs = []broker.ConfigValue{{Name: "min.insync.replicas", Value: fmt.Sprint(insync)}}
		}
		return b.CreateTopics(ctx, []broker.NewTopic{topic}, 5*time.Second, false)[0]
	})
	if err == nil {
		err = got.Err
	}
	switch {
	case errors.Is(err, broker.ErrTopicExists): // an earlier attempt
		return nil
	case err != nil:
		return fmt.Errorf("node %d: %w", to, err)
	}
	k.c.journal.add("topic %s: %x, %d partitions", name, got.ID, got.Partitions)
	k.c.hist.TopicCreated(name, fmt.Sprintf("%x", got.ID))
	return nil
}

// partitions are those of the topics that exist from the beginning.
func (c *simulation) partitions() (out []history.Partition) {
	admin := c.newClient(0)
	_ = await(settleLimit, func() error {
		out = nil
		admin.refresh()
		for _, name := range c.topics {
			n := len(out)
			for i := int32(0); ; i++ {
				p := history.Partition{Topic: name, Index: i}
				if _, ok := admin.leaders[p]; !ok {
					break
				}
				out = append(out, p)
			}
			if len(out) == n {
				return errors.New("a topic is not known")
			}
		}
		return nil
	})
	return out
}

func (c *simulation) startClients() {
	parts := c.partitions()
	if len(parts) == 0 {
		return
	}
	id := 1
	for range 2 + c.rand.IntN(3) {
		p := c.newProducer(id)
		c.clients.Go(func() { p.run(parts) })
		id++
	}
	for range 1 + c.rand.IntN(2) {
		m := c.newCommitter(id, parts[c.rand.IntN(len(parts))])
		c.committers = append(c.committers, m)
		c.clients.Go(m.run)
		id++
	}
	a := &admin{client: c.newClient(id)}
	c.clients.Go(a.run)
	id++
	for range 2 + c.rand.IntN(4) {
		k := c.newConsumer(id, parts[c.rand.IntN(len(parts))])
		c.clients.Go(k.run)
		id++
	}
}

// settle ends the faults and sees that the cluster works again.
func (c *simulation) settle() {
	c.heal()
	begin := time.Now()
	probe := c.newProducer(clientsMax - 1)
	probe.idempotent, probe.acks = false, -1
	for _, at := range c.partitions() {
		err := await(settleLimit, func() error {
			probe.forget(at)
			return probe.once(at)
		})
		if err != nil {
			c.hist.Violate("live", "%s cannot be written to after all faults have ended: %v", at, err)
		}
	}
	if err := await(settleLimit, func() error { return probe.createTopic("last", 1) }); err != nil {
		c.hist.Violate("live", "no topic can be created after all faults have ended: %v", err)
	}
	c.journal.add("works again after %s", time.Since(begin))
	sleep(c.ctx, 2*time.Second) // the clients find that out, too
}

// finish waits for the replicas to become equal, shuts all nodes down, and
// compares what is on their disks.
func (c *simulation) finish() {
	c.restarts.Wait() // one may have begun with the last fault, and its start is not waited for
	for _, n := range c.nodes {
		n.start()
	}
	for _, m := range c.committers {
		err := await(settleLimit, func() error {
			got, err := m.committed()
			if err == nil {
				c.hist.Commits(m.group, got, m.offset)
			}
			return err
		})
		if err != nil {
			c.hist.Violate("live", "what group %s has committed cannot be asked: %v", m.group, err)
		}
	}
	sleep(context.Background(), quietTime)
	for _, n := range c.nodes {
		p := n.current()
		if p == nil || p.broker.Load() == nil {
			c.hist.Violate("live", "node %d does not serve in the end", n.id)
			c.journal.stacks("broker.(*Broker).Start(")
			continue
		}
		topics := map[string]string{}
		for _, t := range p.broker.Load().Metadata(context.Background(), broker.MetadataRequest{All: true}) {
			topics[t.Name] = fmt.Sprintf("%x", t.ID)
		}
		c.hist.Topics(n.id, topics)
	}
	for _, n := range c.nodes {
		if err := n.shutdown(false); err != nil {
			c.hist.Violate("shutdown", "node %d: %v", n.id, err)
			n.end(false, 0)
		}
	}
	logs := map[history.Partition][]history.Log{}
	var order []history.Partition
	for _, n := range c.nodes {
		if err := n.readLogs(func(p history.Partition, l history.Log) {
			if logs[p] == nil {
				order = append(order, p)
			}
			logs[p] = append(logs[p], l)
		}); err != nil {
			c.hist.Violate("replicas", "node %d: %v", n.id, err)
		}
	}
	for _, p := range order {
		if want := min(3, len(c.nodes)); len(logs[p]) != want {
			c.hist.Violate("replicas", "%s has %d, not %d", p, len(logs[p]), want)
		}
		c.hist.Check(p, logs[p])
	}
}

// readLogs reads every partition's log from the node's disk.
func (n *node) readLogs(each func(history.Partition, history.Log)) error {
	fs := n.disk.Mount()
	names, err := fs.ReadDir(dataDir + "/topics")
	if err != nil {
		return err
	}
	for _, dir := range names {
		var p history.Partition
		group, _ := dirs.GroupOf(dir)
		for i := range int32(100) {
			for _, t := range append([]string{"last"}, n.c.topics...) {
				if name, _ := dirs.Name(t, i, group); name == dir {
					p = history.Partition{Topic: t, Index: i}
				}
			}
		}
		if p.Topic == "" {
			continue // internal
		}
		log, _, err := wal.Open(wal.Options{FS: fs, Dir: dataDir + "/topics/" + dir, Clock: clock.Real})
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		l := history.Log{Node: n.id}
		if l.Batches, err = readLog(log); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		each(p, l)
		if err := log.Close(); err != nil {
			return err
		}
	}
	return nil
}

func readLog(log *wal.Log) (out []history.Batch, err error) {
	for at := log.StartOffset(); at < log.NextOffset(); {
		frames, ref, err := log.Read(at, log.NextOffset(), 1<<20, nil)
		if err != nil {
			return nil, err
		}
		if len(frames) == 0 {
			return nil, fmt.Errorf("nothing at offset %d", at)
		}
		for _, f := range frames {
			if out, err = appendBatches(out, f); err != nil {
				return nil, err
			}
			at = f.Next()
		}
		ref.Release()
	}
	return out, nil
}

func appendBatches(out []history.Batch, f segment.Entry) ([]history.Batch, error) {
	for v, err := range batch.All(f.Payload) {
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", f.Index, err)
		}
		records, err := recordsOf(v)
		if err != nil {
			return nil, err
		}
		out = append(out, history.Batch{Base: v.BaseOffset(), Epoch: v.LeaderEpoch(), Records: records, Bytes: string(v)})
	}
	return out, nil
}

package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/config"
	"chronik/internal/clock"
)

// The topics of the coordinators: of what groups commit, and their state; and of
// transactional ids.
const (
	offsetsTopic     = "__consumer_offsets"
	transactionTopic = "__transaction_state"
)

// Names of internal topics (G11).
func isInternal(name string) bool {
	return name == offsetsTopic || name == transactionTopic || name == "__share_group_state"
}

const metadataTopic = "__cluster_metadata"

// partitionsPerRequestMax is A4, over all topics of a request.
const partitionsPerRequestMax = 10000

// counts tells how often each key is there.
func counts[T any, K comparable](items []T, key func(T) K) map[K]int {
	n := make(map[K]int, len(items))
	for _, t := range items {
		n[key(t)]++
	}
	return n
}

// CreateTopics creates topics (A1 to A7), and returns when they are in the
// metadata and their partitions have leaders, or the timeout has passed.
func (b *Broker) CreateTopics(ctx context.Context, topics []NewTopic, timeout time.Duration, validateOnly bool) []CreatedTopic {
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, timeout)
	defer cancel()
	b.catchUp(ctx)
	out := make([]CreatedTopic, len(topics))
	seen := counts(topics, func(t NewTopic) string { return t.Name })
	budget := partitionsPerRequestMax
	var version uint64
	for i, t := range topics {
		out[i] = CreatedTopic{Name: t.Name, Partitions: -1, ReplicationFactor: -1}
		if seen[t.Name] > 1 {
			out[i].Err = fmt.Errorf("%w: topic %q is in the request twice", ErrInvalidRequest, t.Name)
			continue
		}
		v, err := b.createTopic(ctx, t, &budget, validateOnly, &out[i])
		out[i].Err, version = err, max(version, v)
	}
	if version == 0 {
		return out
	}
	err := b.awaitVersion(ctx, version)
	for i := range out {
		switch {
		case out[i].Err != nil:
		case err != nil:
			out[i].Err = err
		default:
			out[i].Err = b.awaitLeaders(ctx, out[i].Name)
		}
	}
	return out
}

// createTopic proposes one topic and returns the metadata version that has it.
func (b *Broker) createTopic(ctx context.Context, t NewTopic, budget *int, validateOnly bool, out *CreatedTopic) (uint64, error) {
	overrides, err := b.checkNewTopic(t)
	if err != nil {
		return 0, err
	}
	replicas, err := b.place(t, *budget)
	if err != nil {
		return 0, err
	}
	*budget -= len(replicas)
	out.ID, out.Partitions, out.ReplicationFactor = b.newUUID(), int32(len(replicas)), int16(len(replicas[0]))
	out.Configs = config.DescribeTopic(overrides, b.conf.Load())
	if validateOnly {
		return 0, nil
	}
	_, version, err := b.propose(ctx, &cluster.CreateTopic{Name: t.Name, ID: out.ID, Replicas: replicas, Configs: overrides})
	return version, err
}

// checkNewTopic checks names and configs in the order of A1, and returns the
// overrides.
func (b *Broker) checkNewTopic(t NewTopic) (map[string]string, error) {
	if t.Name == metadataTopic {
		return nil, fmt.Errorf("%w: %s is reserved", ErrInvalidRequest, metadataTopic)
	}
	err := fromBelow(cluster.CheckTopicName(t.Name))
	if err != nil {
		return nil, err
	}
	b.meta.View(func(s *cluster.State) {
		if s.Topic(t.Name) != nil {
			err = fmt.Errorf("%w: %s", ErrTopicExists, t.Name)
		} else if other := s.Collides(t.Name); other != "" {
			err = fmt.Errorf("%w: %q collides with %q", ErrInvalidTopic, t.Name, other)
		}
	})
	if err != nil {
		return nil, err
	}
	overrides := map[string]string{}
	for _, c := range t.Configs {
		if c.Null {
			return nil, fmt.Errorf("%w: null value for %s", ErrInvalidConfig, c.Name)
		}
		overrides[c.Name] = c.Value
	}
	_, err = config.ResolveTopic(overrides, b.conf.Load())
	return overrides, err
}

// place decides which brokers hold each partition (A2, A3), most of them.
func (b *Broker) place(t NewTopic, most int) (replicas [][]int32, err error) {
	conf := b.conf.Load()
	count, factor := t.Partitions, t.ReplicationFactor
	if len(t.Assignments) > 0 && (count != -1 || factor != -1) {
		return nil, fmt.Errorf("%w: partition count and replication factor must be -1 beside a manual assignment", ErrInvalidRequest)
	}
	if factor == -1 {
		factor = conf.DefaultReplicationFactor
	}
	if count == -1 && len(t.Assignments) == 0 {
		count = conf.NumPartitions
	}
	b.meta.View(func(s *cluster.State) { replicas, err = s.Place(count, factor, t.Assignments, most) })
	return replicas, fromBelow(err)
}

// CreatePartitions adds partitions to topics (A10).
func (b *Broker) CreatePartitions(ctx context.Context, reqs []NewPartitions, timeout time.Duration, validateOnly bool) []error {
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, timeout)
	defer cancel()
	b.catchUp(ctx)
	out := make([]error, len(reqs))
	seen := counts(reqs, func(r NewPartitions) string { return r.Topic })
	budget := partitionsPerRequestMax
	for i, r := range reqs {
		if seen[r.Topic] > 1 {
			out[i] = fmt.Errorf("%w: topic %q is in the request twice", ErrInvalidRequest, r.Topic)
			continue
		}
		out[i] = b.createPartitions(ctx, r, &budget, validateOnly)
	}
	return out
}

func (b *Broker) createPartitions(ctx context.Context, r NewPartitions, budget *int, validateOnly bool) error {
	t := b.topic(TopicRef{Name: r.Topic})
	if t == nil {
		return ErrUnknownTopicOrPartition
	}
	have := len(t.Partitions)
	var replicas [][]int32
	var err error
	b.meta.View(func(s *cluster.State) { replicas, err = s.Grow(t, r.Count, r.Assignments, *budget) })
	if err != nil {
		return fromBelow(err)
	}
	if *budget -= len(replicas); validateOnly {
		return nil
	}
	_, version, err := b.propose(ctx, &cluster.AddPartitions{ID: t.ID, From: int32(have), Replicas: replicas})
	if err != nil {
		return err
	}
	if err := b.awaitVersion(ctx, version); err != nil {
		return err
	}
	return b.awaitLeaders(ctx, r.Topic)
}

// DeleteTopics deletes topics (A20, A21); their files are gone when it
// returns without error.
func (b *Broker) DeleteTopics(ctx context.Context, refs []TopicRef, timeout time.Duration) []DeletedTopic {
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, timeout)
	defer cancel()
	b.catchUp(ctx)
	out := make([]DeletedTopic, len(refs))
	seen := counts(refs, func(r TopicRef) TopicRef { return r })
	var version uint64
	for i, r := range refs {
		out[i] = DeletedTopic{Name: r.Name, ID: r.ID}
		if seen[r] > 1 {
			out[i].Err = fmt.Errorf("%w: topic is in the request twice", ErrInvalidRequest)
			continue
		}
		v, err := b.deleteTopic(ctx, r, &out[i])
		out[i].Err, version = err, max(version, v)
	}
	if version == 0 {
		return out
	}
	err := b.awaitVersion(ctx, version)
	for i := range out {
		if out[i].Err == nil {
			out[i].Err = err
		}
	}
	return out
}

func (b *Broker) deleteTopic(ctx context.Context, r TopicRef, out *DeletedTopic) (uint64, error) {
	t := b.topic(r)
	switch {
	case t == nil && r.ByID:
		return 0, ErrUnknownTopicID
	case t == nil:
		return 0, ErrUnknownTopicOrPartition
	}
	out.Name, out.ID = t.Name, t.ID
	switch {
	case !b.conf.Load().DeleteTopicEnable:
		return 0, ErrTopicDeletionDisabled
	case isInternal(t.Name): // A22
		return 0, fmt.Errorf("%w: %s is internal and is not deleted", ErrInvalidRequest, t.Name)
	}
	_, version, err := b.propose(ctx, &cluster.DeleteTopic{ID: t.ID})
	return version, err
}

// Metadata describes topics (M1 to M5, M10). Topics that may be created on
// demand are, and are described as they then are (M3).
func (b *Broker) Metadata(ctx context.Context, r MetadataRequest) []TopicInfo {
	if r.All {
		r.Topics = nil
		b.meta.View(func(s *cluster.State) {
			for _, t := range s.Topics() {
				r.Topics = append(r.Topics, TopicRef{Name: t.Name})
			}
		})
		r.AutoCreate = false
	}
	budget := partitionsPerRequestMax
	seen := map[TopicRef]bool{} // a topic named a thousand times is described once, as Kafka does
	var out []TopicInfo
	for _, ref := range r.Topics {
		if seen[ref] {
			continue
		}
		seen[ref] = true
		info := b.describeSettled(ctx, ref)
		if errors.Is(info.Err, ErrUnknownTopicOrPartition) {
			if err := fromBelow(cluster.CheckTopicName(ref.Name)); err != nil {
				info.Err = err
			} else if c := b.conf.Load(); r.AutoCreate && c.AutoCreateTopics && budget >= int(c.NumPartitions) {
				budget -= int(c.NumPartitions)
				info = b.autoCreate(ctx, ref)
			}
		}
		out = append(out, info)
	}
	return out
}

func (b *Broker) autoCreate(ctx context.Context, ref TopicRef) TopicInfo {
	t := NewTopic{Name: ref.Name, Partitions: -1, ReplicationFactor: -1}
	if isInternal(ref.Name) {
		if ref.Name != offsetsTopic && ref.Name != transactionTopic {
			return b.describeTopic(ref) // its coordinator is not built
		}
		t = b.coordinatorTopic(ref.Name)
	}
	res := b.CreateTopics(ctx, []NewTopic{t}, DefaultTimeout, false)[0]
	if res.Err != nil && !errors.Is(res.Err, ErrTopicExists) {
		return TopicInfo{Name: ref.Name, Err: res.Err}
	}
	return b.describeSettled(ctx, ref)
}

// creationMax is how long Metadata waits for a topic that is being created.
const creationMax = 5 * time.Second

// describeSettled describes a topic; one that is being created, by this
// request or another, when its partitions have had leaders: clients that see a
// partition without one give up sooner than creation takes.
func (b *Broker) describeSettled(ctx context.Context, ref TopicRef) TopicInfo {
	info := b.describeTopic(ref)
	if info.Err != nil || !slices.ContainsFunc(info.Partitions, neverLed) {
		return info
	}
	var version uint64
	b.meta.View(func(s *cluster.State) { version = s.Version() })
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, creationMax)
	defer cancel()
	if b.awaitVersion(ctx, version) == nil {
		_ = b.awaitLeaders(ctx, info.Name) // what is there by then is told
	}
	return b.describeTopic(ref)
}

// neverLed is a partition that is being created, unlike one whose leader is
// gone: nobody knows for how long.
func neverLed(p PartitionInfo) bool { return p.Leader == LeaderEpoch{ID: -1, Epoch: -1} }

func (b *Broker) describeTopic(ref TopicRef) (info TopicInfo) {
	t := b.topic(ref)
	switch {
	case t == nil && ref.ByID:
		return TopicInfo{ID: ref.ID, Err: ErrUnknownTopicID}
	case t == nil:
		return TopicInfo{Name: ref.Name, Err: ErrUnknownTopicOrPartition}
	}
	info = TopicInfo{Name: t.Name, ID: t.ID, Internal: isInternal(t.Name)}
	b.meta.View(func(s *cluster.State) {
		for i := range t.Partitions {
			info.Partitions = append(info.Partitions, b.describePartition(s, t, int32(i)))
		}
	})
	return info
}

// topic is a topic as the metadata has it, or nil.
func (b *Broker) topic(ref TopicRef) (t *cluster.Topic) {
	b.meta.View(func(s *cluster.State) {
		if t = s.Topic(ref.Name); ref.ByID {
			t = s.TopicByID(ref.ID)
		}
	})
	return t
}

// TopicID is the id of a topic.
func (b *Broker) TopicID(name string) (id [16]byte, ok bool) {
	if t := b.topic(TopicRef{Name: name}); t != nil {
		return t.ID, true
	}
	return id, false
}

// TopicName is the name of the topic with an id.
func (b *Broker) TopicName(id [16]byte) (string, bool) {
	if t := b.topic(TopicRef{ID: id, ByID: true}); t != nil {
		return t.Name, true
	}
	return "", false
}

// HasPartition reports whether a topic exists and has the partition.
func (b *Broker) HasPartition(topic string, partition int32) bool {
	t := b.topic(TopicRef{Name: topic})
	return t != nil && partition >= 0 && int(partition) < len(t.Partitions)
}

func (b *Broker) newUUID() [16]byte { return cluster.NewID(b.newRand()) }

func (b *Broker) newRand() *rand.Rand {
	b.randMu.Lock()
	defer b.randMu.Unlock()
	return rand.New(rand.NewPCG(b.opt.Rand.Uint64(), b.opt.Rand.Uint64()))
}

package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/group/record"
)

// TopicID is the id of a topic; zero when it is not known.
type TopicID = [16]byte

// topicOffsets is the offsets a group holds for one topic.
type topicOffsets struct {
	name       string
	partitions map[int32]*offsetEntry
}

// offsetEntry is one committed offset, or the place where one is about to be. It stays in the map while it is
// present, while commits for it are on their way, or while its topic's deletion is not yet in the log.
type offsetEntry struct {
	record.Offset
	present       bool
	commits       int      // emitted and not settled
	txns          int      // those of transactions that have not ended, emitted or in the log
	deletedBefore AppendID // the topic was deleted: commits emitted before this tombstone never show; 0 when it is in the log
}

func (e *offsetEntry) unused() bool {
	return !e.present && e.commits == 0 && e.txns == 0 && e.deletedBefore == 0
}

// slot names an entry of a group.
type slot struct {
	topic     *topicOffsets
	partition int32
	entry     *offsetEntry
}

// OffsetToCommit is one partition of a CommitOffsetsRequest.
type OffsetToCommit struct {
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // -1 none
	Metadata    string
}

// TopicToCommit is one topic of a CommitOffsetsRequest.
type TopicToCommit struct {
	Name       string
	ID         TopicID // recorded with the offset, so that a topic made anew does not inherit it (O15)
	Partitions []OffsetToCommit
}

// CommitOffsetsRequest commits offsets, as a member (Generation >= 0) or from outside the group (-1).
type CommitOffsetsRequest struct {
	Group      string
	Generation int32
	MemberID   string
	InstanceID string
	Retention  time.Duration // v2-v4; negative: the broker's
	Txn        *Txn          // the offsets show when this producer's transaction is committed; nil: at once
	Permit     *Permit       // with Txn: what was asked before; see AskPermit
	Topics     []TopicToCommit
}

// PartitionResult is the outcome for one partition.
type PartitionResult struct {
	Partition int32
	Err       Error
}

// TopicResult is the outcome for the partitions of one topic, in the order of the request.
type TopicResult struct {
	Name       string
	ID         TopicID
	Partitions []PartitionResult
}

// CommitOffsetsResponse answers CommitOffsets. An error of the whole request stands in Err and in every partition.
//
// GroupIDNotFound is what v9+ says of an unknown group; older versions say ILLEGAL_GENERATION.
type CommitOffsetsResponse struct {
	Err    Error
	Topics []TopicResult
}

// CommitOffsets answers with a CommitOffsetsResponse when the offsets are committed to the log, and shows them to
// FetchOffsets from then on (O6). Partitions that are refused do not hinder the others.
func (s *Shard) CommitOffsets(now time.Time, req CommitOffsetsRequest, tok Token, fx *Effects) {
	g, err := s.checkCommit(now, req)
	r := CommitOffsetsResponse{Err: err, Topics: make([]TopicResult, len(req.Topics))}
	var records []Record
	var slots []slot
	var values []record.Offset
	for i, t := range req.Topics {
		tr := TopicResult{Name: strings.Clone(t.Name), ID: t.ID, Partitions: make([]PartitionResult, len(t.Partitions))}
		r.Topics[i] = tr
		for j, p := range t.Partitions {
			tr.Partitions[j] = PartitionResult{Partition: p.Partition, Err: err}
			if err != None {
				continue
			}
			if utf16Len(p.Metadata) > s.cfg.OffsetMetadataMax { // O2
				tr.Partitions[j].Err = OffsetMetadataTooLarge
				continue
			}
			if s.cfg.Full() && g.grows(t.Name, p) {
				tr.Partitions[j].Err = CoordinatorNotAvailable
				continue
			}
			o := newOffset(now, t.ID, p, req.Retention)
			at := s.slotFor(g, tr.Name, p.Partition)
			at.entry.commits++
			at.entry.inTxn(req.Txn, 1)
			slots, values = append(slots, at), append(values, o)
			records = append(records, Record{Key: record.OffsetKey(g.ID(), tr.Name, p.Partition), Value: o.Encode()})
		}
	}
	if len(records) == 0 {
		if g != nil {
			s.forgetIfUnused(g)
		}
		fx.Answer(tok, r)
		return
	}
	settle := func() {
		for _, at := range slots {
			at.entry.commits--
			s.prune(g, at)
		}
		s.forgetIfUnused(g)
	}
	var id AppendID
	id = s.log.EmitAppend(fx, effect.Append{Records: records, Txn: req.Txn}, effect.Pending{
		Applied: func(now time.Time, fx *Effects) {
			for i, at := range slots {
				s.take(g, at, id, values[i], req.Txn)
			}
			settle()
			s.armSweep(now, g)
			if req.Retention >= 0 {
				s.sweepBy(now.Add(max(req.Retention, s.cfg.OffsetsRetentionCheck)), g)
			}
		},
		Dropped: func(time.Time, *Effects) {
			for _, at := range slots {
				at.entry.inTxn(req.Txn, -1)
			}
			settle()
		},
		Answer: func(_ time.Time, err Error, fx *Effects) {
			fx.Answer(tok, r.failed(err))
		},
	})
}

// failed puts the error of the append into every partition that was to be committed.
func (r CommitOffsetsResponse) failed(err Error) CommitOffsetsResponse {
	r.Err = err
	for _, t := range r.Topics {
		for i := range t.Partitions {
			if t.Partitions[i].Err == None {
				t.Partitions[i].Err = err
			}
		}
	}
	return r
}

// checkCommit finds or makes the group (O3) and asks it (O4).
func (s *Shard) checkCommit(now time.Time, req CommitOffsetsRequest) (*group, Error) {
	if err := s.ready(); err != None {
		return nil, err
	}
	g := s.groups[req.Group]
	switch {
	case req.Txn != nil && !s.permitted(req):
		return nil, ConcurrentTransactions
	case req.Txn != nil && g == nil && req.Generation >= 0:
		return nil, IllegalGeneration // T21
	case g == nil && req.Generation >= 0:
		return nil, GroupIDNotFound
	case g == nil:
		return s.newGroup(req.Group, now), None
	}
	may := g.MayCommit
	if req.Txn != nil {
		may = g.MayCommitInTxn
	}
	if err := may(now, req.Generation, req.MemberID, req.InstanceID); err != None {
		return nil, err
	}
	return g, None
}

func newOffset(now time.Time, id TopicID, p OffsetToCommit, retention time.Duration) record.Offset {
	o := record.Offset{
		Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: strings.Clone(p.Metadata), TopicID: id,
		CommitMs: now.UnixMilli(), ExpireMs: -1,
	}
	if retention >= 0 { // O7
		o.ExpireMs = now.Add(retention).UnixMilli()
	}
	return o
}

// grows tells whether a commit is of a partition that the group has no offset for, or has more metadata.
func (g *group) grows(topic string, p OffsetToCommit) bool {
	t := g.offsets[topic]
	return t == nil || t.partitions[p.Partition] == nil || len(p.Metadata) > len(t.partitions[p.Partition].Metadata)
}

// set takes over a committed value unless the topic has been deleted after that commit was emitted. It returns what
// the entry takes more in memory.
func (e *offsetEntry) set(id AppendID, o record.Offset) (bytes int) {
	if id >= e.deletedBefore {
		bytes = len(o.Metadata) - len(e.Metadata)
		e.Offset, e.present, e.deletedBefore = o, true, 0
	}
	return bytes
}

// weight is about what the offsets of a topic take in memory.
func (t *topicOffsets) weight() int {
	bytes := topicBytes + len(t.name) + len(t.partitions)*offsetBytes
	for _, e := range t.partitions {
		bytes += len(e.Metadata)
	}
	return bytes
}

// slotFor finds or makes the entry of a partition. topic is kept.
func (s *Shard) slotFor(g *group, topic string, partition int32) slot {
	t := g.offsets[topic]
	if t == nil {
		t = &topicOffsets{name: topic, partitions: map[int32]*offsetEntry{}}
		g.offsets[topic] = t
		s.charge(topicBytes + len(topic))
		if s.topics[topic] == nil {
			s.topics[topic] = map[*group]struct{}{}
		}
		s.topics[topic][g] = struct{}{}
	}
	e := t.partitions[partition]
	if e == nil {
		e = &offsetEntry{}
		t.partitions[partition] = e
		s.charge(offsetBytes)
	}
	return slot{t, partition, e}
}

// prune drops an entry nobody needs any more.
func (s *Shard) prune(g *group, at slot) {
	if !at.entry.unused() || at.topic.partitions[at.partition] != at.entry {
		return
	}
	delete(at.topic.partitions, at.partition)
	s.charge(-offsetBytes - len(at.entry.Metadata))
	if len(at.topic.partitions) == 0 {
		delete(g.offsets, at.topic.name)
		s.charge(-topicBytes - len(at.topic.name))
		s.unindexTopic(at.topic.name, g)
	}
}

func (s *Shard) unindexTopic(topic string, g *group) {
	delete(s.topics[topic], g)
	if len(s.topics[topic]) == 0 {
		delete(s.topics, topic)
	}
}

// sortedOffsets is every entry of a group in the order topic, partition.
func (g *group) sortedOffsets() []slot {
	var out []slot
	for _, name := range slices.Sorted(maps.Keys(g.offsets)) {
		out = append(out, g.offsets[name].sorted()...)
	}
	return out
}

func (t *topicOffsets) sorted() []slot {
	out := make([]slot, 0, len(t.partitions))
	for _, p := range slices.Sorted(maps.Keys(t.partitions)) {
		out = append(out, slot{t, p, t.partitions[p]})
	}
	return out
}

// utf16Len is the length of s in UTF-16 units, in which Kafka counts.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

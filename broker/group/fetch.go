package group

import (
	"strings"
	"time"

	"chronik/broker/group/classic"
)

// TopicPartitions names partitions of a topic.
type TopicPartitions struct {
	Name       string
	ID         TopicID // zero when not known
	Partitions []int32
}

// FetchOffsetsRequest asks for committed offsets.
type FetchOffsetsRequest struct {
	Group  string
	All    bool // every offset of the group; Topics is not looked at
	Stable bool // offsets that a transaction is about to change are UnstableOffsetCommit (O12)
	Topics []TopicPartitions
}

// CommittedOffset is what FetchOffsets says of a partition: Offset -1, LeaderEpoch -1 and no metadata when nothing
// is committed (O11).
type CommittedOffset struct {
	Err         Error
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Metadata    string
}

// CommittedTopic is the committed offsets of one topic.
type CommittedTopic struct {
	Name       string
	ID         TopicID // of the request, or with All the one recorded with the first offset
	Partitions []CommittedOffset
}

// FetchOffsetsResponse is the answer of FetchOffsets; Err is of the whole group (O16).
type FetchOffsetsResponse struct {
	Err    Error
	Topics []CommittedTopic
}

// FetchOffsets tells the offsets whose commit has reached the log (O6). An unknown group has none (O11).
//
// A request that names the same partitions over and over, until their metadata is more than all that there is, is
// INVALID_REQUEST.
func (s *Shard) FetchOffsets(req FetchOffsetsRequest) FetchOffsetsResponse {
	if err := s.ready(); err != None {
		return FetchOffsetsResponse{Err: err}
	}
	g := s.groups[req.Group]
	if req.All {
		return FetchOffsetsResponse{Topics: g.allOffsets(req.Stable)}
	}
	bytes := int64(0)
	out := make([]CommittedTopic, len(req.Topics))
	for i, t := range req.Topics {
		out[i] = CommittedTopic{Name: t.Name, ID: t.ID, Partitions: make([]CommittedOffset, len(t.Partitions))}
		for j, p := range t.Partitions {
			out[i].Partitions[j] = g.committed(t, p, req.Stable)
			bytes += int64(len(out[i].Partitions[j].Metadata))
		}
		if bytes > s.bytes {
			return FetchOffsetsResponse{Err: InvalidRequest}
		}
	}
	return FetchOffsetsResponse{Topics: out}
}

func (g *group) committed(t TopicPartitions, partition int32, stable bool) CommittedOffset {
	if g != nil && g.offsets[t.Name] != nil {
		e := g.offsets[t.Name].partitions[partition]
		if e != nil && (e.present && sameTopic(e.TopicID, t.ID) || stable && e.txns > 0) {
			return e.told(partition, stable)
		}
	}
	return CommittedOffset{Partition: partition, Offset: -1, LeaderEpoch: -1}
}

// told is what is said of an entry that has an offset, or with stable will perhaps have one.
func (e *offsetEntry) told(partition int32, stable bool) CommittedOffset {
	if stable && e.txns > 0 {
		return CommittedOffset{Err: UnstableOffsetCommit, Partition: partition, Offset: -1, LeaderEpoch: -1}
	}
	return CommittedOffset{Partition: partition, Offset: e.Offset.Offset, LeaderEpoch: e.LeaderEpoch, Metadata: e.Metadata}
}

// sameTopic is false only if both ids are known and differ: the topic was deleted and made anew (O15).
func sameTopic(a, b TopicID) bool { return a == b || a == TopicID{} || b == TopicID{} }

func (g *group) allOffsets(stable bool) []CommittedTopic {
	var out []CommittedTopic
	if g == nil {
		return out
	}
	for _, at := range g.sortedOffsets() {
		e := at.entry
		if !e.present {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Name != at.topic.name {
			out = append(out, CommittedTopic{Name: at.topic.name, ID: e.TopicID})
		}
		t := &out[len(out)-1]
		t.Partitions = append(t.Partitions, e.told(at.partition, stable))
	}
	return out
}

// DeleteOffsetsRequest removes committed offsets.
type DeleteOffsetsRequest struct {
	Group  string
	Topics []TopicPartitions
}

// DeleteOffsetsResponse answers DeleteOffsets. With Err set there are no topics.
type DeleteOffsetsResponse struct {
	Err    Error
	Topics []TopicResult
}

// DeleteOffsets answers with a DeleteOffsetsResponse when the tombstones are committed (J63).
func (s *Shard) DeleteOffsets(now time.Time, req DeleteOffsetsRequest, tok Token, fx *Effects) {
	err := s.readyFor(req.Group)
	g := s.groups[req.Group]
	switch {
	case err != None:
	case g == nil || g.State() == Dead:
		err = GroupIDNotFound
	case g.Members() > 0 && g.ProtocolType() != classic.ConsumerProtocolType:
		err = NonEmptyGroup
	}
	if err != None {
		fx.Answer(tok, DeleteOffsetsResponse{Err: err})
		return
	}
	r := DeleteOffsetsResponse{Topics: make([]TopicResult, len(req.Topics))}
	var doomed []slot
	for i, t := range req.Topics {
		r.Topics[i] = TopicResult{Name: strings.Clone(t.Name), ID: t.ID, Partitions: make([]PartitionResult, len(t.Partitions))}
		subscribed := g.SubscribedTo(t.Name)
		for j, p := range t.Partitions {
			res := &r.Topics[i].Partitions[j]
			res.Partition = p
			if subscribed {
				res.Err = GroupSubscribedToTopic
			} else if held := g.offsets[t.Name]; held != nil && held.partitions[p] != nil {
				doomed = append(doomed, slot{held, p, held.partitions[p]})
			}
		}
	}
	if len(doomed) == 0 {
		fx.Answer(tok, r)
		return
	}
	s.emitTombstones(fx, g, doomed, func(err Error, fx *Effects) {
		if err != None {
			r = DeleteOffsetsResponse{Err: err}
		}
		fx.Answer(tok, r)
	})
}

package fuzz

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker"
	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/broker/transaction"
	"chronik/fuzz/corpus"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/kafka/handler"
	"chronik/kafka/server"
)

// FuzzConnection sends bytes to a server with the real handlers over a broker
// that holds nothing.
//
// Properties checked:
//   - no handler panics, whatever the bytes;
//   - the connection ends when its peer has gone, and holds no memory then;
//   - no goroutine of it is left;
//   - all that is allocated is at most 1,024 times the bytes sent, and 4 MiB;
//   - memory for requests stays within 137 times the bytes sent and one first
//     buffer of each of the two budgets, whatever sizes the bytes claim.
func FuzzConnection(f *testing.F) {
	frame := func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	var all []byte
	corpus.GoldenFrames(f, func(b []byte) {
		f.Add(b)
		if len(all) < 4096 {
			all = append(all, b...)
		}
	})
	corpus.Traffic(f, func(_, _ int16, request, _ []byte) { f.Add(request) })
	f.Add(all)                                                        // pipelined
	f.Add(all[:len(all)-5])                                           // ends within a frame
	f.Add([]byte{0x06, 0x40, 0, 0, 0, 18})                            // claims the maximum
	f.Add([]byte{0x06, 0x40, 0, 1})                                   // claims more
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})                             // negative
	f.Add(append(frame(nil), frame([]byte{0, 18, 0, 0})...))          // empty, and cut within the header
	f.Add(append([]byte{0, 1, 0x86, 0xa0}, make([]byte, 100_000)...)) // grows past the first buffer

	var panics atomic.Int64
	n := &fuzzNode{}
	n.start(f)
	f.Cleanup(func() { n.stop(f) })
	h := handler.New(handler.Options{
		Broker: emptyBroker{n.broker}, Clock: clock.Real, Logger: slog.New(slog.DiscardHandler), Metrics: metrics.Discard(),
		Rand: rand.New(rand.NewPCG(1, 2)), FetchSessions: 100,
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := server.New(server.Options{
			Open:  func(c *server.Conn) server.Handler { return h.Open(c) },
			Hooks: server.Hooks{Panicked: func() { panics.Add(1) }},
		})
		goroutines := runtime.NumGoroutine()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ours, theirs := net.Pipe()
		s.Accept(theirs, "PLAINTEXT")
		go io.Copy(io.Discard, ours)
		ours.SetWriteDeadline(time.Now().Add(hangAfter))
		ours.Write(data) // fails when the server has closed
		ours.Close()
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Fatalf("the connection outlives its peer: %v", err)
		}
		runtime.ReadMemStats(&after)
		for until := time.Now().Add(hangAfter); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
			if time.Now().After(until) {
				t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
			}
		}
		if n := panics.Load(); n != 0 {
			t.Fatalf("%d panics", n)
		}
		used, peak := s.RequestBytes()
		// Frames while they grow, and what they weigh: a Produce of empty partitions most, 400 bytes for 6, and 200 for a topic's 3.
		if limit := int64(80<<10 + (3+67+67)*len(data)); used != 0 || peak > limit {
			t.Errorf("%d bytes of request memory held at the end, %d at most, for %d bytes sent", used, peak, len(data))
		}
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+1024*len(data)); got > limit {
			t.Errorf("allocated %d bytes for %d bytes sent", got, len(data))
		}
	})
}

// emptyBroker has no topics and no groups. Only a real broker makes the answers to
// produces, and has none of the topics either.
type emptyBroker struct{ real *broker.Broker }

func (b emptyBroker) Produce(ctx context.Context, r *broker.ProduceRequest) *broker.Produce {
	return b.real.Produce(ctx, r)
}
func (emptyBroker) Fetch(_ context.Context, r *broker.FetchRequest) *broker.FetchResult {
	for i := range r.Partitions {
		r.Partitions[i].Err = broker.ErrNotLeader
	}
	return &broker.FetchResult{}
}
func (emptyBroker) PartitionLeader(broker.TopicPartition) (broker.LeaderEpoch, bool) {
	return broker.LeaderEpoch{ID: 1, Epoch: 2}, true
}
func (emptyBroker) Nodes() []broker.Node {
	return []broker.Node{{ID: 1, Host: "localhost", Port: 9092, Rack: "r"}}
}
func (b emptyBroker) AllNodes() []broker.Node { return b.Nodes() }
func (emptyBroker) ElectLeaders(_ context.Context, _ bool, parts []broker.TopicPartition, _ int8, _ time.Duration) (out []broker.ElectResult, _ error) {
	for _, tp := range parts {
		out = append(out, broker.ElectResult{TopicPartition: tp, Err: broker.ErrNotLeader})
	}
	return out, nil
}
func (emptyBroker) ListOffset(context.Context, broker.ListOffset) (broker.OffsetAt, error) {
	return broker.OffsetAt{Offset: 1, Timestamp: 2, LeaderEpoch: 3}, nil
}
func (emptyBroker) OffsetForLeaderEpoch(broker.TopicPartition, int32, int32) (broker.EpochEnd, error) {
	return broker.EpochEnd{}, broker.ErrUnknownLeaderEpoch
}
func (emptyBroker) Metadata(_ context.Context, r broker.MetadataRequest) (out []broker.TopicInfo) {
	for _, t := range r.Topics {
		out = append(out, broker.TopicInfo{Name: t.Name, ID: t.ID, Err: broker.ErrUnknownTopicOrPartition})
	}
	return out
}
func (emptyBroker) ControllerID() int32                             { return 1 }
func (emptyBroker) ClusterID() string                               { return "abcdefghijklmnopqrstuv" }
func (emptyBroker) TopicName([16]byte) (string, bool)               { return "t", true }
func (emptyBroker) TopicID(string) ([16]byte, bool)                 { return [16]byte{1}, true }
func (emptyBroker) HasPartition(string, int32) bool                 { return true }
func (emptyBroker) DeleteGroup(context.Context, string) group.Error { return group.GroupIDNotFound }
func (emptyBroker) CreateTopics(_ context.Context, topics []broker.NewTopic, _ time.Duration, _ bool) (out []broker.CreatedTopic) {
	for _, t := range topics {
		out = append(out, broker.CreatedTopic{Name: t.Name})
	}
	return out
}
func (emptyBroker) CreatePartitions(_ context.Context, topics []broker.NewPartitions, _ time.Duration, _ bool) []error {
	return make([]error, len(topics))
}
func (emptyBroker) DeleteTopics(_ context.Context, refs []broker.TopicRef, _ time.Duration) (out []broker.DeletedTopic) {
	for _, t := range refs {
		out = append(out, broker.DeletedTopic{Name: t.Name, ID: t.ID})
	}
	return out
}
func (emptyBroker) DescribeConfigs(resources []broker.ConfigResource, _ [][]string) (out []broker.DescribedConfig) {
	for _, r := range resources {
		out = append(out, broker.DescribedConfig{Resource: r, Err: broker.ErrUnknownTopicOrPartition})
	}
	return out
}
func (emptyBroker) AlterConfigs(_ context.Context, changes []broker.ConfigChange, _ bool) []error {
	return make([]error, len(changes))
}
func (emptyBroker) DeleteRecords(context.Context, broker.TopicPartition, int64, time.Duration) (int64, error) {
	return 0, nil
}
func (emptyBroker) LogDirs([]broker.TopicPartition, bool) []broker.LogDir {
	return []broker.LogDir{{Path: "/data", TotalBytes: -1, UsableBytes: -1}}
}
func (emptyBroker) InitProducerID(context.Context, transaction.InitProducerIDRequest, bool) (int64, int16, error) {
	return 1, 0, nil
}
func (emptyBroker) AddPartitions(context.Context, transaction.Producer, []transaction.Partition) group.Error {
	return group.None
}
func (emptyBroker) EndTxn(context.Context, transaction.Producer, bool) group.Error { return group.None }
func (emptyBroker) CommitTxnOffsets(context.Context, string, group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	return group.CommitOffsetsResponse{Err: group.NotCoordinator}
}
func (emptyBroker) DescribeTransaction(id string) transaction.Description {
	return transaction.Description{ID: id, Err: group.TransactionalIDNotFound}
}
func (emptyBroker) ListTransactions() ([]transaction.Description, group.Error) {
	return nil, group.None
}
func (emptyBroker) Producers(broker.TopicPartition) ([]partition.Producer, error) { return nil, nil }
func (emptyBroker) WriteTxnMarkers(_ context.Context, m broker.TxnMarker) []error {
	return make([]error, len(m.Partitions))
}
func (emptyBroker) OffsetsPartition(context.Context, string) (transaction.Partition, bool) {
	return transaction.Partition{Topic: "__consumer_offsets"}, true
}
func (emptyBroker) FindCoordinator(context.Context, int8, string) (broker.Node, error) {
	return broker.Node{ID: 1, Host: "localhost", Port: 9092}, nil
}
func (emptyBroker) JoinGroup(context.Context, group.JoinRequest) group.JoinResponse {
	return group.JoinResponse{Err: group.UnknownMemberID, Generation: -1}
}
func (emptyBroker) SyncGroup(context.Context, group.SyncRequest) group.SyncResponse {
	return group.SyncResponse{Err: group.UnknownMemberID}
}
func (emptyBroker) Heartbeat(group.HeartbeatRequest) group.Error {
	return group.UnknownMemberID
}
func (emptyBroker) LeaveGroup(_ context.Context, r group.LeaveRequest) (out group.LeaveResponse) {
	for _, m := range r.Members {
		out.Members = append(out.Members, group.LeaveResult{MemberIdentity: m, Err: group.UnknownMemberID})
	}
	return out
}
func (emptyBroker) DescribeGroup(id string) group.Description {
	return group.Description{Group: id, Err: group.GroupIDNotFound, State: group.Dead}
}
func (emptyBroker) ListGroups() ([]group.Listing, group.Error) { return nil, group.None }
func (emptyBroker) CommitOffsets(context.Context, group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	return group.CommitOffsetsResponse{Err: group.UnknownMemberID}
}
func (emptyBroker) FetchOffsets(r group.FetchOffsetsRequest) (out group.FetchOffsetsResponse) {
	for _, t := range r.Topics {
		out.Topics = append(out.Topics, group.CommittedTopic{Name: t.Name, ID: t.ID, Partitions: make([]group.CommittedOffset, len(t.Partitions))})
	}
	return out
}
func (emptyBroker) DeleteOffsets(context.Context, group.DeleteOffsetsRequest) group.DeleteOffsetsResponse {
	return group.DeleteOffsetsResponse{Err: group.GroupIDNotFound}
}

package handler

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"chronik/broker"
	"chronik/broker/config"
	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/broker/transaction"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// fakeBroker answers with what its fields say, and notes what it was asked.
type fakeBroker struct {
	nodes  []broker.Node
	leader broker.LeaderEpoch
	topics []broker.TopicInfo
	names  map[string][16]byte

	fetch        func(r *broker.FetchRequest)
	listOffset   func(q broker.ListOffset) (broker.OffsetAt, error)
	epochEnd     func(epoch int32) (broker.EpochEnd, error)
	created      []broker.CreatedTopic
	errs         []error // of CreatePartitions and AlterConfigs
	deleted      []broker.DeletedTopic
	configs      []broker.DescribedConfig
	deleteRec    error
	dirs         []broker.LogDir
	initErr      error
	txnAsked     any // by the latest request of transactions
	transactions []transaction.Description
	coordinator  func(keyType int8, key string) (broker.Node, error)
	join         group.JoinResponse
	sync         group.SyncResponse
	groupErr     group.Error
	commitErr    group.Error
	leave        group.LeaveResponse
	description  group.Description
	listings     []group.Listing
	fetched      group.FetchOffsetsResponse
	deletedOff   group.DeleteOffsetsResponse

	marker    error // of WriteTxnMarkers, for each partition
	producers func(tp broker.TopicPartition) ([]partition.Producer, error)

	elections []broker.ElectResult
	electErr  error
	fenced    []broker.Node

	asked []any // requests, in order
}

// elected is what ElectLeaders was asked.
type elected struct {
	all          bool
	parts        []broker.TopicPartition
	electionType int8
	timeout      time.Duration
}

func (b *fakeBroker) note(x any) { b.asked = append(b.asked, x) }

func (b *fakeBroker) Produce(context.Context, *broker.ProduceRequest) *broker.Produce {
	panic("the tests replace Handler.produce")
}
func (b *fakeBroker) PartitionLeader(broker.TopicPartition) (broker.LeaderEpoch, bool) {
	return b.leader, b.leader.ID >= 0
}
func (b *fakeBroker) Nodes() []broker.Node { return b.nodes }
func (b *fakeBroker) AllNodes() []broker.Node {
	return append(append([]broker.Node(nil), b.nodes...), b.fenced...)
}
func (b *fakeBroker) ElectLeaders(_ context.Context, all bool, parts []broker.TopicPartition, electionType int8, timeout time.Duration) ([]broker.ElectResult, error) {
	b.note(elected{all, parts, electionType, timeout})
	return b.elections, b.electErr
}
func (b *fakeBroker) WriteTxnMarkers(_ context.Context, m broker.TxnMarker) []error {
	b.note(m)
	out := make([]error, len(m.Partitions))
	for i := range out {
		out[i] = b.marker
	}
	return out
}
func (b *fakeBroker) Producers(tp broker.TopicPartition) ([]partition.Producer, error) {
	b.note(tp)
	return b.producers(tp)
}
func (b *fakeBroker) Fetch(_ context.Context, r *broker.FetchRequest) *broker.FetchResult {
	b.note(*r)
	if b.fetch != nil {
		b.fetch(r)
	}
	return &broker.FetchResult{}
}
func (b *fakeBroker) ListOffset(_ context.Context, q broker.ListOffset) (broker.OffsetAt, error) {
	b.note(q)
	return b.listOffset(q)
}
func (b *fakeBroker) OffsetForLeaderEpoch(_ broker.TopicPartition, _, epoch int32) (broker.EpochEnd, error) {
	return b.epochEnd(epoch)
}
func (b *fakeBroker) Metadata(_ context.Context, r broker.MetadataRequest) []broker.TopicInfo {
	b.note(r)
	if r.All {
		return append([]broker.TopicInfo(nil), b.topics...)
	}
	var out []broker.TopicInfo
	for _, ref := range r.Topics {
		found := broker.TopicInfo{Name: ref.Name, ID: ref.ID, Err: broker.ErrUnknownTopicOrPartition}
		if ref.ByID {
			found.Err = broker.ErrUnknownTopicID
		}
		for _, t := range b.topics {
			if t.Name == ref.Name && !ref.ByID || t.ID == ref.ID && ref.ByID {
				found = t
			}
		}
		out = append(out, found)
	}
	return out
}
func (b *fakeBroker) ControllerID() int32 { return 1 }
func (b *fakeBroker) ClusterID() string   { return "abcdefghijklmnopqrstuv" }
func (b *fakeBroker) TopicName(id [16]byte) (string, bool) {
	for name, have := range b.names {
		if have == id {
			return name, true
		}
	}
	return "", false
}
func (b *fakeBroker) TopicID(name string) ([16]byte, bool) { id, ok := b.names[name]; return id, ok }
func (b *fakeBroker) HasPartition(topic string, p int32) bool {
	_, ok := b.names[topic]
	return ok && p < 3
}
func (b *fakeBroker) CreateTopics(_ context.Context, t []broker.NewTopic, _ time.Duration, _ bool) []broker.CreatedTopic {
	b.note(t)
	return b.created
}
func (b *fakeBroker) CreatePartitions(_ context.Context, t []broker.NewPartitions, _ time.Duration, _ bool) []error {
	b.note(t)
	return b.errs
}
func (b *fakeBroker) DeleteTopics(_ context.Context, refs []broker.TopicRef, _ time.Duration) []broker.DeletedTopic {
	b.note(refs)
	return b.deleted
}
func (b *fakeBroker) DescribeConfigs(r []broker.ConfigResource, keys [][]string) []broker.DescribedConfig {
	b.note(r)
	return b.configs
}
func (b *fakeBroker) AlterConfigs(_ context.Context, c []broker.ConfigChange, _ bool) []error {
	b.note(c)
	return b.errs
}
func (b *fakeBroker) DeleteRecords(_ context.Context, _ broker.TopicPartition, offset int64, _ time.Duration) (int64, error) {
	return offset, b.deleteRec
}
func (b *fakeBroker) LogDirs(filter []broker.TopicPartition, all bool) []broker.LogDir {
	b.note(filter)
	return b.dirs
}
func (b *fakeBroker) InitProducerID(_ context.Context, r transaction.InitProducerIDRequest, _ bool) (int64, int16, error) {
	b.txnAsked = r
	return 4000, 0, b.initErr
}
func (b *fakeBroker) AddPartitions(_ context.Context, p transaction.Producer, parts []transaction.Partition) group.Error {
	b.txnAsked = []any{p, parts}
	return b.groupErr
}
func (b *fakeBroker) EndTxn(_ context.Context, p transaction.Producer, commit bool) group.Error {
	b.txnAsked = []any{p, commit}
	return b.groupErr
}
func (b *fakeBroker) CommitTxnOffsets(_ context.Context, id string, r group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	b.txnAsked = []any{id, r}
	return group.CommitOffsetsResponse{Err: b.groupErr}
}
func (b *fakeBroker) DescribeTransaction(id string) transaction.Description {
	d := b.transactions[0]
	d.Err = b.groupErr
	if id != d.ID {
		d = transaction.Description{ID: id, Err: group.TransactionalIDNotFound}
	}
	return d
}
func (b *fakeBroker) ListTransactions() ([]transaction.Description, group.Error) {
	return b.transactions, b.groupErr
}
func (b *fakeBroker) OffsetsPartition(context.Context, string) (transaction.Partition, bool) {
	return transaction.Partition{Topic: "__consumer_offsets", Index: 7}, true
}
func (b *fakeBroker) FindCoordinator(_ context.Context, keyType int8, key string) (broker.Node, error) {
	return b.coordinator(keyType, key)
}
func (b *fakeBroker) JoinGroup(_ context.Context, r group.JoinRequest) group.JoinResponse {
	b.note(r)
	return b.join
}
func (b *fakeBroker) SyncGroup(_ context.Context, r group.SyncRequest) group.SyncResponse {
	b.note(r)
	return b.sync
}
func (b *fakeBroker) Heartbeat(r group.HeartbeatRequest) group.Error {
	b.note(r)
	return b.groupErr
}
func (b *fakeBroker) LeaveGroup(_ context.Context, r group.LeaveRequest) group.LeaveResponse {
	b.note(r)
	return b.leave
}
func (b *fakeBroker) DescribeGroup(id string) group.Description {
	return b.description
}
func (b *fakeBroker) ListGroups() ([]group.Listing, group.Error) {
	return b.listings, b.groupErr
}
func (b *fakeBroker) DeleteGroup(context.Context, string) group.Error { return b.groupErr }
func (b *fakeBroker) CommitOffsets(_ context.Context, r group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	b.note(r)
	if b.commitErr != group.None {
		return group.CommitOffsetsResponse{Err: b.commitErr}
	}
	var resp group.CommitOffsetsResponse
	for _, t := range r.Topics {
		out := group.TopicResult{Name: t.Name, ID: t.ID}
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, group.PartitionResult{Partition: p.Partition, Err: b.groupErr})
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
func (b *fakeBroker) FetchOffsets(r group.FetchOffsetsRequest) group.FetchOffsetsResponse {
	b.note(r)
	return b.fetched
}
func (b *fakeBroker) DeleteOffsets(_ context.Context, r group.DeleteOffsetsRequest) group.DeleteOffsetsResponse {
	b.note(r)
	return b.deletedOff
}

var errAnything = errors.New("nobody foresaw this")

// topicID is the id of topic "t".
var topicID = [16]byte{1, 2, 3}

// richBroker gives answers in which every field is set.
func richBroker() *fakeBroker {
	entry := config.Entry{
		Value: config.Value{Name: "retention.ms", Value: "5", Source: config.FromTopic}, Type: config.Long, Doc: "doc",
		Synonyms: []config.Value{{Name: "log.retention.ms", Value: "7", Source: config.FromStatic}},
	}
	return &fakeBroker{
		nodes:  []broker.Node{{ID: 1, Host: "h1", Port: 9092, Rack: "r1"}, {ID: 2, Host: "h2", Port: 9093}},
		leader: broker.LeaderEpoch{ID: 2, Epoch: 7},
		names:  map[string][16]byte{"t": topicID},
		transactions: []transaction.Description{
			{ID: "x", State: transaction.Ongoing, TimeoutMs: 60000, StartMs: 1000, ProducerID: 40, Epoch: 2,
				Partitions: []transaction.Partition{{Topic: "a", Index: 1}, {Topic: "a", Index: 2}, {Topic: "b", Index: 0}}},
			{ID: "xy", State: transaction.CompleteCommit, StartMs: -1, ProducerID: 41},
		},
		topics: []broker.TopicInfo{{Name: "t", ID: topicID, Partitions: []broker.PartitionInfo{
			{Partition: 0, Leader: broker.LeaderEpoch{ID: 1, Epoch: 3}, Replicas: []int32{1, 2}, ISR: []int32{1}, Offline: []int32{2}},
			{Partition: 1, Err: broker.ErrLeaderNotAvailable, Leader: broker.LeaderEpoch{ID: -1, Epoch: 4}, Replicas: []int32{2}},
		}}},
		fetch: func(r *broker.FetchRequest) {
			for i := range r.Partitions {
				p := &r.Partitions[i]
				p.HighWatermark, p.LastStableOffset, p.LogStart, p.PreferredReplica = 10, 9, 1, -1
				p.Records, p.Size = [][]byte{[]byte("batch"), []byte("es")}, 7
			}
		},
		listOffset: func(broker.ListOffset) (broker.OffsetAt, error) {
			return broker.OffsetAt{Offset: 5, Timestamp: 99, LeaderEpoch: 3}, nil
		},
		epochEnd: func(int32) (broker.EpochEnd, error) { return broker.EpochEnd{Epoch: 2, EndOffset: 25}, nil },
		producers: func(broker.TopicPartition) ([]partition.Producer, error) {
			return []partition.Producer{{ID: 7, Epoch: 2, LastSequence: 4, LastTimestamp: 99, CoordinatorEpoch: -1, TxnFirst: 12}}, nil
		},
		created: []broker.CreatedTopic{{Name: "new", ID: topicID, Partitions: 3, ReplicationFactor: 1, Configs: []config.Entry{entry}}},
		errs:    []error{broker.ErrInvalidConfig},
		deleted: []broker.DeletedTopic{{Name: "t", ID: topicID, Err: broker.ErrTopicDeletionDisabled}},
		configs: []broker.DescribedConfig{{Resource: broker.ConfigResource{Type: 2, Name: "t"}, Entries: []config.Entry{entry}},
			{Resource: broker.ConfigResource{Type: 2, Name: "gone"}, Err: broker.ErrUnknownTopicOrPartition}},
		dirs: []broker.LogDir{{Path: "/data", TotalBytes: 100, UsableBytes: 50, Partitions: []broker.LogDirPartition{
			{TopicPartition: broker.TopicPartition{Topic: "t"}, Bytes: 12, OffsetLag: 1}}}},
		coordinator: func(int8, string) (broker.Node, error) { return broker.Node{ID: 1, Host: "h1", Port: 9092}, nil },
		join: group.JoinResponse{Generation: 4, ProtocolType: "consumer", Protocol: "range", Leader: "m1", MemberID: "m1",
			Members: []group.JoinMember{{MemberID: "m1", InstanceID: "i1", Metadata: []byte("meta")}}},
		sync:  group.SyncResponse{ProtocolType: "consumer", Protocol: "range", Assignment: []byte("mine")},
		leave: group.LeaveResponse{Members: []group.LeaveResult{{MemberIdentity: group.MemberIdentity{MemberID: "m1", InstanceID: "i1"}, Err: group.UnknownMemberID}}},
		description: group.Description{Group: "g", State: group.Stable, ProtocolType: "consumer", Protocol: "range",
			Members: []group.DescribedMember{{MemberID: "m1", InstanceID: "i1", ClientID: "c", ClientHost: "/1.2.3.4", Metadata: []byte("meta"), Assignment: []byte("mine")}}},
		listings: []group.Listing{{Group: "g", ProtocolType: "consumer", State: group.Stable}, {Group: "h", State: group.Empty}},
		fetched: group.FetchOffsetsResponse{Topics: []group.CommittedTopic{{Name: "t", ID: topicID,
			Partitions: []group.CommittedOffset{{Partition: 0, Offset: 8, LeaderEpoch: 2, Metadata: "m"}}}}},
		elections: []broker.ElectResult{{TopicPartition: broker.TopicPartition{Topic: "t"}},
			{TopicPartition: broker.TopicPartition{Topic: "t", Partition: 1}, Err: broker.ErrPreferredLeaderNotAvailable}},
		fenced:     []broker.Node{{ID: 3, Host: "h3", Port: 9094, Fenced: true}},
		deletedOff: group.DeleteOffsetsResponse{Topics: []group.TopicResult{{Name: "t", Partitions: []group.PartitionResult{{Partition: 0}}}}},
	}
}

// doneProduce is a produce whose results the test has filled in.
type doneProduce struct {
	done   chan struct{}
	failed bool
}

func (p *doneProduce) Done() <-chan struct{} { return p.done }
func (p *doneProduce) Failed() bool          { return p.failed }

type fakeConn struct{ ctx, poll context.Context }

func (c *fakeConn) Host() string                 { return "1.2.3.4" }
func (c *fakeConn) Context() context.Context     { return c.ctx }
func (c *fakeConn) PollContext() context.Context { return c.poll }

// rig is a handler over a fake broker, and one connection's session.
type rig struct {
	*testing.T
	broker  *fakeBroker
	handler *Handler
	session *Session
	conn    *fakeConn
	// produced decides the result of each partition of a Produce.
	produced func(r *broker.ProduceRequest)
}

func newRig(t *testing.T, b *fakeBroker) *rig {
	r := &rig{T: t, broker: b, conn: &fakeConn{context.Background(), context.Background()}}
	r.handler = New(Options{
		Broker: b, Clock: clock.NewManual(time.Unix(1_700_000_000, 0)), Logger: slog.New(slog.DiscardHandler),
		Metrics: metrics.Discard(), Rand: rand.New(rand.NewPCG(1, 2)), FetchSessions: 10,
	})
	r.handler.produce = func(_ context.Context, p *broker.ProduceRequest) produceUnderWay {
		b.note(*p)
		for i := range p.Partitions {
			p.Partitions[i].BaseOffset, p.Partitions[i].LogAppendTime, p.Partitions[i].LogStart = 42, -1, 3
		}
		if r.produced != nil {
			r.produced(p)
		}
		d := &doneProduce{done: make(chan struct{})}
		for i := range p.Partitions {
			d.failed = d.failed || p.Partitions[i].Err != nil
		}
		close(d.done)
		return d
	}
	r.session = r.handler.Open(r.conn)
	return r
}

// frame is the bytes of a request, without the size.
func (r *rig) frame(req msg.Request, version int16) []byte {
	r.Helper()
	var w wire.Writer
	h := msg.RequestHeader{ApiKey: req.APIKey(), ApiVersion: version, CorrelationId: 77, ClientId: wire.Str("client")}
	h.Encode(&w)
	req.Encode(&w, version)
	if err := w.Err(); err != nil {
		r.Fatalf("request of version %d: %v", version, err)
	}
	return w.Bytes()
}

// serve runs a frame through the session, as kafka/server does.
func (r *rig) serve(frame []byte) (response []byte, err error) {
	r.Helper()
	var out wire.Writer
	out.BeginFrame()
	wait, release, err := r.session.Serve(frame, &out)
	if err == nil && wait != nil {
		err = wait()
	}
	if err == nil && out.Err() != nil {
		r.Fatalf("response cannot be encoded: %v", out.Err())
	}
	response = append([]byte(nil), out.Bytes()[4:]...)
	if release != nil {
		release()
	}
	return response, err
}

// ask sends a request and decodes the response into resp.
func (r *rig) ask(req msg.Request, version int16, resp msg.Response) {
	r.Helper()
	b, err := r.serve(r.frame(req, version))
	if err != nil {
		r.Fatalf("%s version %d: %v", msg.Lookup(req.APIKey()).Name, version, err)
	}
	in := wire.NewReader(b)
	if id := msg.DecodeResponseHeader(&in, req.APIKey(), version); id != 77 {
		r.Fatalf("correlation id %d, want 77", id)
	}
	resp.Decode(&in, version)
	if err := in.Done(); err != nil {
		r.Fatalf("%s version %d: response does not decode: %v", msg.Lookup(req.APIKey()).Name, version, err)
	}
}

func (r *rig) wantCode(what string, got int16, want kerr.Code) {
	r.Helper()
	if kerr.Code(got) != want {
		r.Errorf("%s: code %v, want %v", what, kerr.Code(got), want)
	}
}

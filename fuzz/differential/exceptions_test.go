package differential

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// exception is a field in which kmsg differs from Kafka's schemas, which ours
// follow. The comparison leaves it at its default.
type exception struct {
	message      string
	from, to     int16  // versions
	ours, theirs string // "Struct.Field", "" if that side has none
	null         bool   // only a null differs: the field is empty instead
	why          string
}

const (
	tagTooEarly = "kmsg writes a tagged field in versions before it came"
	noField     = "kmsg lacks the field"
	noVersion   = "kmsg lacks the version"
	swapped     = "kmsg writes IsKRaftController behind ControllerEpoch; in Kafka it stands before it"
)

var exceptions = []exception{
	{message: "ProduceResponse", from: 9, to: 9, theirs: "ProduceResponse.Brokers", why: tagTooEarly},
	{message: "ProduceResponse", from: 9, to: 9, theirs: "ProduceResponseTopicPartition.CurrentLeader", why: tagTooEarly},
	{message: "FetchRequest", from: 12, to: 14, theirs: "FetchRequest.ReplicaState", why: tagTooEarly},
	{message: "FetchRequest", from: 12, to: 16, theirs: "FetchRequestTopicPartition.ReplicaDirectoryID", why: tagTooEarly},
	{message: "FetchRequest", from: 12, to: 17, theirs: "FetchRequestTopicPartition.HighWatermark", why: tagTooEarly},
	{message: "FetchResponse", from: 12, to: 15, theirs: "FetchResponse.Brokers", why: tagTooEarly},
	{message: "VoteResponse", from: 0, to: 0, theirs: "VoteResponse.NodeEndpoints", why: tagTooEarly},
	{message: "FetchSnapshotRequest", from: 0, to: 0, theirs: "FetchSnapshotRequestTopicPartition.ReplicaDirectoryID", why: tagTooEarly},
	{message: "FetchSnapshotResponse", from: 0, to: 0, theirs: "FetchSnapshotResponse.NodeEndpoints", why: tagTooEarly},
	{message: "BrokerHeartbeatRequest", from: 0, to: 0, theirs: "BrokerHeartbeatRequest.OfflineLogDirs", why: tagTooEarly},
	{message: "BrokerHeartbeatRequest", from: 0, to: 1, theirs: "BrokerHeartbeatRequest.CordonedLogDirs", why: tagTooEarly},
	{message: "StopReplicaRequest", from: 4, to: 4, ours: "StopReplicaRequest.IsKRaftController", theirs: "StopReplicaRequest.IsKRaftController", why: swapped},
	{message: "StopReplicaRequest", from: 4, to: 4, ours: "StopReplicaRequest.ControllerEpoch", theirs: "StopReplicaRequest.ControllerEpoch", why: swapped},
	{message: "UpdateMetadataRequest", from: 8, to: 8, ours: "UpdateMetadataRequest.Type", why: noField},
	{message: "ShareFetchResponse", from: 1, to: 2, theirs: "ShareFetchResponseTopicPartition.Records", null: true, why: "kmsg writes null, which Kafka has in version 0 alone"},
	{message: "InitProducerIdRequest", from: 6, to: 6, ours: "InitProducerIdRequest.Enable2Pc", why: noVersion},
	{message: "InitProducerIdRequest", from: 6, to: 6, ours: "InitProducerIdRequest.KeepPreparedTxn", why: noVersion},
	{message: "InitProducerIdResponse", from: 6, to: 6, ours: "InitProducerIdResponse.OngoingTxnProducerId", why: noVersion},
	{message: "InitProducerIdResponse", from: 6, to: 6, ours: "InitProducerIdResponse.OngoingTxnProducerEpoch", why: noVersion},
}

// aliases are fields of ours that share one of kmsg's, each in versions of its own.
var aliases = map[string]string{
	"StopReplicaRequest.UngroupedPartitions": "Topics",
	"StopReplicaRequest.Topics":              "Topics",
	"StopReplicaRequest.TopicStates":         "Topics",
}

// except gives the fields that are excepted in the version their defaults, but for one.
func except(p *pair, v int16, m any, theirs bool, but *exception) {
	for i := range exceptions {
		e := &exceptions[i]
		name := e.ours
		if theirs {
			name = e.theirs
		}
		if e == but || name == "" || e.message != p.name || v < e.from || v > e.to {
			continue
		}
		if e.null {
			whole(reflect.ValueOf(m).Elem(), name)
		} else {
			unset(reflect.ValueOf(m).Elem(), name)
		}
	}
}

// whole makes every null field of that name empty.
func whole(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			whole(v.Elem(), name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			whole(v.Index(i), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); v.Type().Name()+"."+v.Type().Field(i).Name == name && f.IsNil() {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			} else if f.CanSet() {
				whole(f, name)
			}
		}
	}
}

// TestExceptions: kmsg still differs where the list says so, in each version; a
// version or field that it lacks, it lacks still.
func TestExceptions(t *testing.T) {
	versions := 0
	for i := range exceptions {
		e := &exceptions[i]
		var p *pair
		for _, q := range pairs() {
			if q.name == e.message {
				p = &q
			}
		}
		if p == nil {
			t.Errorf("%s: no such message", e.message)
			continue
		}
		for v := e.from; v <= e.to; v++ {
			versions++
			if e.why == noVersion {
				if v <= p.max {
					t.Errorf("%s v%d: kmsg has the version", e.message, v)
				}
				continue
			}
			f := &filler{Rand: rand.New(rand.NewPCG(1, 2)), full: true}
			if e.ours != "" && oursToTheirs(p, v, f, false, map[string]bool{}, e) == nil {
				t.Errorf("%s v%d: %s does not differ", e.message, v, e.ours)
			}
			if e.theirs == "" {
				continue
			}
			f.null = e.theirs
			if !e.null {
				f.null = ""
			}
			if theirsToOurs(p, v, f, false, e) == nil {
				t.Errorf("%s v%d: %s does not differ", e.message, v, e.theirs)
			}
		}
	}
	t.Logf("%d exceptions, %d versions of them, still hold", len(exceptions), versions)
}

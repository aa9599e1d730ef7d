package metrics

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func scrape(t *testing.T, m *Metrics) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	var out bytes.Buffer
	if err := m.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(out.String()))
	if err != nil {
		t.Fatalf("a parser refuses the text: %v", err)
	}
	return out.String(), families
}

// requireLines fails for each line that the text lacks.
func requireLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestEventsAreExported(t *testing.T) {
	m := New(Options{NodeID: 7, Version: "v1"})
	produce := m.Kafka.API("Produce")
	produce.Observe(3 * time.Millisecond)
	produce.Observe(time.Minute)
	produce.Fail("NOT_ENOUGH_REPLICAS")
	m.Kafka.API("Fetch") // never asked: no row
	m.Kafka.BytesIn.Add(12)
	m.Kafka.MemoryWaited(time.Millisecond)
	m.Kafka.ConnectionRejected("limit")
	m.Kafka.FrameRejected("too_large")
	m.Storage.FramesAppended(4096)
	m.Storage.FramesAppended(4)
	m.Storage.Flush(3, 200*time.Microsecond)
	m.Storage.Recovered("torn_tail", 99, time.Millisecond)
	m.Raft.Committed(5)
	m.Raft.ElectionWon(2 * time.Millisecond)
	m.Ready(50 * time.Millisecond)

	text, families := scrape(t, m)
	requireLines(t, text,
		`chronik_kafka_requests_total{api="Produce"} 2`,
		`chronik_kafka_request_latency_ms_bucket{api="Produce",le="5"} 1`,
		`chronik_kafka_request_latency_ms_count{api="Produce"} 2`,
		`chronik_kafka_request_errors_total{api="Produce",error="NOT_ENOUGH_REPLICAS"} 1`,
		`chronik_kafka_received_bytes_total 12`,
		`chronik_kafka_request_memory_waits_total 1`,
		`chronik_kafka_connections_rejected_total{reason="limit"} 1`,
		`chronik_kafka_frames_rejected_total{reason="too_large"} 1`,
		`chronik_storage_appends_total 2`,
		`chronik_storage_append_bytes_total 4100`,
		`chronik_storage_flush_groups_sum 3`,
		`chronik_storage_flush_latency_ms_bucket{le="0.25"} 1`,
		`chronik_storage_recoveries_total{result="torn_tail"} 1`,
		`chronik_storage_recovery_cut_bytes_total 99`,
		`chronik_raft_commits_total 5`,
		`chronik_raft_commit_batch_size_count 1`,
		`chronik_raft_election_count{result="won"} 1`,
		`chronik_start_seconds 0.05`,
		`chronik_build_info{go_version="",node_id="7",revision="",version="v1"} 1`,
	)
	if strings.Contains(text, `api="Fetch"`) {
		t.Error("an API without a request has rows")
	}
	if _, ok := families["process_resident_memory_bytes"]; !ok {
		t.Error("no series of the process")
	}
	if _, ok := families["go_goroutines"]; !ok {
		t.Error("no series of the runtime")
	}
}

func TestCommitLatencyHasAPlainSampleBesideItsHistogram(t *testing.T) {
	m := Discard()
	plain := regexp.MustCompile(`(?m)^chronik_raft_commit_latency_ms (.*)$`)
	text, _ := scrape(t, m)
	requireLines(t, text, `chronik_raft_commit_latency_ms 0`, `chronik_raft_commit_latency_ms_count 0`) // before the first
	for _, ms := range []int{9, 1, 5, 7, 3} {
		m.Raft.CommitLatency.Observe(time.Duration(ms) * time.Millisecond)
	}
	text, families := scrape(t, m)
	found := plain.FindStringSubmatch(text)
	if found == nil || found[1] != "5" {
		t.Errorf("plain sample %q, want 5", found)
	}
	family := families[commitLatencyName]
	if family.GetType() != dto.MetricType_HISTOGRAM || len(family.Metric) != 1 {
		t.Fatalf("the family is read as %v", family)
	}
	if h := family.Metric[0].Histogram; h.GetSampleCount() != 5 || h.GetSampleSum() != 25 {
		t.Errorf("the histogram is read as %v", h)
	}
}

func TestMedianForgets(t *testing.T) {
	m := Discard()
	l := &m.Raft.CommitLatency
	for range latencyWindow {
		l.Observe(time.Second)
	}
	for range latencyWindow/2 + 1 {
		l.Observe(time.Millisecond)
	}
	if got := l.Median(); got != 1 {
		t.Errorf("median %v ms, want 1", got)
	}
}

func TestWhatGoesBetweenNodes(t *testing.T) {
	m := New(Options{NodeID: 1})
	text, _ := scrape(t, m)
	requireLines(t, text, // there before anything happens: these labels are a closed set
		`chronik_raft_append_entries_rejected_total{reason="log_mismatch"} 0`,
		`chronik_raft_election_count{result="lost"} 0`,
		`chronik_kafka_frames_rejected_total{reason="unknown_api"} 0`,
		`chronik_kafka_connections_rejected_total{reason="full"} 0`,
		`chronik_raft_config_changes_total{change_type="promote"} 0`,
		`chronik_raft_snapshot_transfers_total{direction="received",result="failed"} 0`)
	if strings.Contains(text, "chronik_raft_rpc_") {
		t.Error("a node is named before anything was sent to it")
	}
	vote := m.Raft.RPC("vote", 2)
	vote.Sent()
	vote.Sent()
	vote.Failed()
	vote.Answered(3 * time.Millisecond)
	m.Raft.RPC("vote", 3)
	m.Raft.AppendEntriesSent.Inc()
	m.Raft.AppendEntriesReceived.Inc()
	m.Raft.AppendEntriesRejected(RejectedOverloaded)
	m.Raft.MessageRefused(RefusedTerm)
	m.Raft.ConfigChanged(Promote)
	m.Raft.SnapshotCreated(70, 9, time.Millisecond)
	m.Raft.SnapshotTransferred(SnapshotSent, errors.New("refused"))
	text, _ = scrape(t, m)
	requireLines(t, text,
		`chronik_raft_rpc_calls_total{rpc_type="vote",target_node="2"} 2`,
		`chronik_raft_rpc_errors_total{rpc_type="vote",target_node="2"} 1`,
		`chronik_raft_rpc_errors_total{rpc_type="vote",target_node="3"} 0`,
		`chronik_raft_rpc_latency_ms_sum{rpc_type="vote",target_node="2"} 3`,
		`chronik_raft_append_entries_sent_total 1`,
		`chronik_raft_append_entries_received_total 1`,
		`chronik_raft_append_entries_rejected_total{reason="overloaded"} 1`,
		`chronik_raft_messages_refused_total{reason="term"} 1`,
		`chronik_raft_messages_refused_total{reason="malformed"} 0`,
		`chronik_raft_config_changes_total{change_type="promote"} 1`,
		`chronik_raft_snapshot_count 1`,
		`chronik_raft_snapshot_size_bytes 70`,
		`chronik_raft_snapshot_last_index 9`,
		`chronik_raft_snapshot_create_latency_ms_count 1`,
		`chronik_raft_snapshot_transfers_total{direction="sent",result="failed"} 1`)
	m.Raft.SnapshotApplied(80, 10, 2*time.Millisecond)
	text, _ = scrape(t, m)
	requireLines(t, text, `chronik_raft_snapshot_size_bytes 80`, `chronik_raft_snapshot_last_index 10`,
		`chronik_raft_snapshot_apply_latency_ms_sum 2`, `chronik_raft_snapshot_count 1`)
}

func twoPartitions() Snapshot {
	return Snapshot{
		Partitions: []Partition{
			{Topic: "a", Partition: 0, Role: RoleLeader, Term: 3, ISRSize: 1, CommitIndex: 41, LastApplied: 40,
				LogEntries: 12, LogBytes: 999, Segments: 2,
				Followers: []Follower{{Node: 2, LagEntries: 5, LagMs: 700}, {Node: 3, LagEntries: 1, LagMs: 20}}},
			{Topic: "a", Partition: 1, Role: RoleFollower, Term: 4, Segments: 1},
		},
		Groups: []Group{
			{Name: "g", State: "Stable", Members: 2, Lag: []GroupLag{{Topic: "a", Partition: 0, Records: 17}}},
			{Name: "bad\xff", State: "Empty"},
		},
		Transactions: map[string]int{"Ongoing": 4, "Empty": 2},
		Connections:  3, RequestMemoryBytes: 5, RequestMemoryBytesMax: 6, ClusterSize: 1, QuorumSize: 1,
	}
}

func TestStateIsAskedForAtEachScrape(t *testing.T) {
	m := New(Options{NodeID: 1, PartitionsMax: 2})
	text, _ := scrape(t, m)
	if strings.Contains(text, "leader_count") {
		t.Error("state without a source")
	}
	snap := twoPartitions()
	m.SetSource(func() Snapshot { return snap })
	text, _ = scrape(t, m)
	requireLines(t, text,
		`chronik_raft_leader_count{node_id="1"} 1`,
		`chronik_raft_follower_count{node_id="1"} 1`,
		`chronik_raft_cluster_size 1`,
		`chronik_raft_quorum_size 1`,
		`chronik_raft_isr_size{partition="0",topic="a"} 1`,
		`chronik_raft_current_term{partition="0",topic="a"} 3`,
		`chronik_raft_node_state{partition="0",topic="a"} 1`,
		`chronik_raft_node_state{partition="1",topic="a"} 3`,
		`chronik_raft_commit_index{partition="0",topic="a"} 41`,
		`chronik_raft_last_applied{partition="0",topic="a"} 40`,
		`chronik_raft_log_size_entries{partition="0",topic="a"} 12`,
		`chronik_raft_log_size_bytes{partition="0",topic="a"} 999`,
		`chronik_raft_max_follower_lag_entries{partition="0",topic="a"} 5`,
		`chronik_raft_follower_lag{follower_id="2",partition="0",topic="a"} 5`,
		`chronik_raft_follower_lag_entries{follower_id="3",partition="0",topic="a"} 1`,
		`chronik_raft_follower_lag_ms{follower_id="2",partition="0",topic="a"} 700`,
		`chronik_storage_segments 3`,
		`chronik_kafka_connections 3`,
		`chronik_kafka_request_memory_bytes 5`,
		`chronik_kafka_request_memory_limit_bytes 6`,
		`chronik_group_groups{state="Stable"} 1`,
		`chronik_transaction_ids{state="Ongoing"} 4`,
		`chronik_group_members{group="g"} 2`,
		`chronik_group_lag_records{group="g",partition="0",topic="a"} 17`,
		`chronik_metrics_source_stuck 0`,
	)
	if strings.Contains(text, `isr_size{partition="1"`) {
		t.Error("a follower tells the size of the ISR")
	}
	snap.Connections = 4
	text, _ = scrape(t, m)
	requireLines(t, text, `chronik_kafka_connections 4`)
}

func TestTooManyPartitionsTurnTheirSeriesOff(t *testing.T) {
	m := New(Options{NodeID: 1, PartitionsMax: 1})
	m.SetSource(twoPartitions)
	text, _ := scrape(t, m)
	requireLines(t, text, `chronik_raft_leader_count{node_id="1"} 1`, `chronik_raft_partitions 2`,
		`chronik_group_groups{state="Empty"} 1`, `chronik_group_lag_records{group="g",partition="0",topic="a"} 17`)
	for _, absent := range []string{"chronik_raft_isr_size", "chronik_raft_commit_index", "chronik_group_members"} {
		if strings.Contains(text, absent) {
			t.Errorf("%s is exported beyond the bound", absent)
		}
	}
}

func TestAScrapeAnswersWhileTheSourceIsStuck(t *testing.T) {
	manual := clock.NewManual(time.Unix(0, 0))
	m := New(Options{NodeID: 1, PartitionsMax: 10, Clock: manual})
	entered, release := make(chan struct{}, 3), make(chan struct{})
	m.SetSource(func() Snapshot {
		entered <- struct{}{}
		<-release
		return twoPartitions()
	})
	m.Storage.FramesAppended(1)

	stuck := func(when string) {
		t.Helper()
		text, _ := scrape(t, m)
		requireLines(t, text, `chronik_metrics_source_stuck 1`, `chronik_storage_appends_total 1`)
		if strings.Contains(text, "leader_count") {
			t.Errorf("%s: sampled series without a sample", when)
		}
	}
	go func() {
		<-entered
		for {
			if _, pending := manual.Next(); pending {
				manual.Advance(time.Second)
				return
			}
		}
	}()
	stuck("first scrape")
	stuck("second scrape, which must not ask again")
	if len(entered) != 0 {
		t.Error("the source was called twice at once")
	}
	close(release)
	for deadline := time.Now().Add(time.Minute); ; {
		text, _ := scrape(t, m)
		if strings.Contains(text, "\nchronik_metrics_source_stuck 0\n") {
			requireLines(t, text, `chronik_raft_leader_count{node_id="1"} 1`)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the source answers again and is not asked")
		}
	}
}

func TestWriteAmplificationIsMeasured(t *testing.T) {
	if _, ok := bytesToStorage(); !ok {
		t.Skip("this kernel does not count bytes sent to storage")
	}
	m := Discard()
	m.Storage.FramesAppended(1 << 20)
	_, families := scrape(t, m)
	if families["chronik_storage_write_amplification"] == nil {
		t.Error("no write amplification after an append")
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	m := Discard()
	api := m.Kafka.API("Fetch")
	api.Observe(0)
	n := testing.AllocsPerRun(1000, func() {
		api.Observe(time.Millisecond)
		m.Kafka.BytesOut.Add(100)
		m.Storage.FramesAppended(100)
		m.Storage.Flush(1, time.Millisecond)
		m.Raft.Committed(1)
		m.Raft.CommitLatency.Observe(time.Millisecond)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	api := Discard().Kafka.API("Fetch")
	b.ReportAllocs()
	for b.Loop() {
		api.Observe(time.Millisecond)
	}
}

package metadata

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

// open starts a member over fs, and returns it with what stops everything.
func open(t *testing.T, fs vfs.FS) (*Member, func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	syncer := wal.NewSyncer(wal.SyncerOptions{})
	states, _, err := raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: fs, Dir: "hs"})
	if err != nil {
		t.Fatal(err)
	}
	host := multiraft.NewHost(multiraft.Options{NodeID: 1, HardStates: states, Logger: log, Shards: 1})
	host.Start()
	m, err := Open(Options{Self: cluster.Broker{ID: 1}, Dir: "metadata", FS: fs, Syncer: syncer, Raft: host, Clock: clock.Real, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return m, func() {
		m.Close()
		host.Stop(context.Background())
		states.Close()
		syncer.Close()
	}
}

func TestStateSurvivesRestart(t *testing.T) {
	fs := vfs.NewMem()
	m, stop := open(t, fs)
	ctx := t.Context()
	if _, v, err := m.Propose(ctx, &cluster.SetClusterID{ID: "c"}); err != nil || v != 1 {
		t.Fatalf("version %d, %v", v, err)
	}
	topic := &cluster.CreateTopic{Name: "a", ID: cluster.TopicID{1}, Replicas: [][]int32{{1}}}
	if res, _, err := m.Propose(ctx, topic); err != nil || res.Topic.Name != "a" {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, v, err := m.Propose(ctx, topic); !errors.Is(err, cluster.ErrTopicExists) || v != 3 {
		t.Errorf("a refused command: version %d, %v", v, err)
	}
	select {
	case <-m.Changed():
	default:
		t.Error("changes were not told")
	}
	stop()
	if _, _, err := m.Propose(ctx, topic); !errors.Is(err, ErrClosed) {
		t.Errorf("propose after Close: %v", err)
	}
	m, stop = open(t, fs)
	defer stop()
	m.View(func(s *cluster.State) {
		if s.ClusterID() != "c" || s.Topic("a") == nil || s.Version() != 3 {
			t.Errorf("after a restart: %q, %v, version %d", s.ClusterID(), s.Topic("a"), s.Version())
		}
	})
}

func TestFailedSyncFailsProposals(t *testing.T) {
	var fail atomic.Bool
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, name string) error {
		if fail.Load() && op == vfs.OpDatasync && strings.HasPrefix(name, "metadata/") {
			return errors.New("injected")
		}
		return nil
	})
	m, stop := open(t, fs)
	defer stop()
	fail.Store(true)
	for _, when := range []string{"over a failing sync", "after it"} {
		if _, _, err := m.Propose(t.Context(), &cluster.SetClusterID{ID: "c"}); !errors.Is(err, ErrStorage) {
			t.Errorf("propose %s: %v", when, err)
		}
		fail.Store(false)
	}
	if m.Leading() {
		t.Error("leads after a failed sync")
	}
}

func TestProposeEndsWithItsContext(t *testing.T) {
	m, stop := open(t, vfs.NewMem())
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Propose(ctx, &cluster.SetClusterID{ID: "c"}); err != nil && !errors.Is(err, ErrTimeout) {
		t.Errorf("propose: %v", err)
	}
	if _, _, err := m.Propose(t.Context(), &cluster.SetClusterID{ID: "c"}); err != nil {
		t.Errorf("propose after one that was given up: %v", err)
	}
}

// TestNothingAppliesBehindWhatCannotBe: a command that does not decode ends the
// member; those behind it would apply to a state with a hole in it.
func TestNothingAppliesBehindWhatCannotBe(t *testing.T) {
	m, stop := open(t, vfs.NewMem())
	defer stop()
	entry := func(payload []byte) []segment.Entry { return []segment.Entry{{Index: 100, Payload: payload}} }
	(*machine)(m).Committed(entry([]byte("not a command")))
	(*machine)(m).Committed(entry(cluster.Proposed{Node: 9, Seq: 1, Command: &cluster.SetClusterID{ID: "AAAAAAAAAAAAAAAAAAAAAA"}}.Append(nil)))
	m.View(func(s *cluster.State) {
		if s.ClusterID() != "" {
			t.Errorf("cluster id %q was applied", s.ClusterID())
		}
	})
	if m.Leading() {
		t.Error("it still leads")
	}
}

// TestFullDisk: changes are refused while there is no room, and made when there is.
func TestFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	m, stop := open(t, fs)
	defer stop()
	u, err := fs.Usage("metadata")
	if err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(u.Total - u.Free)
	made := 0
	create := func(i int) error {
		_, _, err := m.Propose(t.Context(), &cluster.CreateTopic{Name: strings.Repeat("n", 200) + strconv.Itoa(i), ID: cluster.TopicID{byte(i), byte(i >> 8)}, Replicas: [][]int32{{1}}})
		return err
	}
	for err == nil {
		if err = create(made); err == nil {
			made++
		}
	}
	if !errors.Is(err, ErrStorage) || !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatalf("topic %d: %v", made, err)
	}
	if err := create(made + 1); !errors.Is(err, ErrStorage) {
		t.Errorf("the next: %v", err)
	}
	if !m.Leading() {
		t.Error("no longer leads")
	}
	m.View(func(s *cluster.State) {
		if n := len(s.Topics()); n != made {
			t.Errorf("%d topics without room, %d were made", n, made)
		}
	})
	fs.SetCapacity(0)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline := time.Now().Add(time.Minute)
	for err = create(made + 1); err != nil; err = create(made + 1) {
		if time.Now().After(deadline) || !errors.Is(err, ErrStorage) {
			t.Fatalf("with room: %v", err)
		}
		<-poll.C
	}
	m.View(func(s *cluster.State) {
		if n := len(s.Topics()); n != made+2 { // the one that was on its way has been made too
			t.Errorf("%d topics with room, want %d", n, made+2)
		}
	})
}

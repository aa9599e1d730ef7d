package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// random is the source of a random test. To replay one, set the seed it printed.
func random(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if replaySeed != 0 {
		seed = replaySeed
	}
	t.Logf("replay: go test ./broker/cluster -run '^%s$' with replaySeed = %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

const replaySeed uint64 = 0

// brokersIn makes a state with n brokers in so many racks; 0: without racks.
func brokersIn(t *testing.T, n, racks int) *State {
	t.Helper()
	s := New()
	for i := range n {
		b := Broker{ID: int32(i + 1)}
		if racks > 0 {
			b.Rack = fmt.Sprintf("r%d", i%racks)
		}
		apply(t, s, Register(b))
	}
	return s
}

func apply(t *testing.T, s *State, c Command) Result {
	t.Helper()
	res, err := s.Apply(c)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return res
}

// held counts what each broker leads and holds.
func held(parts [][]int32) (leads, holds map[int32]int) {
	leads, holds = map[int32]int{}, map[int32]int{}
	for _, ids := range parts {
		leads[ids[0]]++
		for _, id := range ids {
			holds[id]++
		}
	}
	return leads, holds
}

// unevenness is the difference between the most and the least any broker has.
func unevenness(count map[int32]int, ids []int32) int {
	least, most := count[ids[0]], count[ids[0]]
	for _, id := range ids {
		least, most = min(least, count[id]), max(most, count[id])
	}
	return most - least
}

func ids(brokers []Broker) (out []int32) {
	for _, b := range brokers {
		out = append(out, b.ID)
	}
	return out
}

// checkPlaced checks what holds of every placement: live brokers, each once,
// and as many racks as there can be.
func checkPlaced(t *testing.T, s *State, parts [][]int32, factor int) {
	t.Helper()
	may := map[int32]string{}
	racks := map[string]bool{}
	for _, b := range s.Live() {
		if !b.Draining {
			may[b.ID] = b.Rack
			racks[b.Rack] = true
		}
	}
	for i, replicas := range parts {
		in := map[string]bool{}
		for j, id := range replicas {
			rack, ok := may[id]
			if !ok || slices.Contains(replicas[:j], id) {
				t.Fatalf("partition %d on %v: broker %d is not live, or twice", i, replicas, id)
			}
			in[rack] = true
		}
		if len(replicas) != factor || len(in) != min(factor, len(racks)) {
			t.Fatalf("partition %d on %v: %d racks of %d, factor %d", i, replicas, len(in), len(racks), factor)
		}
	}
}

func TestSpreadIsEvenWithinATopic(t *testing.T) {
	rnd := random(t)
	for range 300 {
		racks := rnd.IntN(5)
		n := 1 + rnd.IntN(12)
		if racks > 0 {
			n = racks * (1 + rnd.IntN(4)) // of one size: others cannot be even
		}
		factor := 1 + rnd.IntN(min(n, 5))
		s := brokersIn(t, n, racks)
		if racks > 0 && factor > racks && factor%racks != 0 {
			factor = racks
		}
		count := 1 + rnd.IntN(60)
		parts, err := s.Spread(int32(count), int16(factor), nil)
		if err != nil {
			t.Fatal(err)
		}
		checkPlaced(t, s, parts, factor)
		leads, holds := held(parts)
		all := ids(s.Brokers())
		if l, h := unevenness(leads, all), unevenness(holds, all); l > 1 || h > 1 {
			t.Fatalf("%d partitions x %d over %d brokers in %d racks: leaders differ by %d, replicas by %d\n%v", count, factor, n, racks, l, h, parts)
		}
	}
}

// TestSpreadOverManyTopics: small topics, that cannot be even by themselves,
// are together; also when they grow.
func TestSpreadOverManyTopics(t *testing.T) {
	rnd := random(t)
	for range 40 {
		n, factor := 3+rnd.IntN(7), 1+rnd.IntN(3)
		s := brokersIn(t, n, 0)
		for i := range 60 {
			parts, err := s.Spread(int32(1+rnd.IntN(4)), int16(factor), nil)
			if err != nil {
				t.Fatal(err)
			}
			topic := apply(t, s, &CreateTopic{Name: fmt.Sprint("t", i), ID: TopicID{byte(i + 1)}, Replicas: parts}).Topic
			if rnd.IntN(3) == 0 {
				more, err := s.Grow(topic, int32(len(topic.Partitions)+1+rnd.IntN(3)), nil, 100)
				if err != nil {
					t.Fatal(err)
				}
				checkPlaced(t, s, more, factor)
				apply(t, s, &AddPartitions{ID: topic.ID, From: int32(len(topic.Partitions)), Replicas: more})
			}
		}
		var all [][]int32
		for _, topic := range s.Topics() {
			for _, p := range topic.Partitions {
				all = append(all, p.Replicas)
			}
		}
		leads, holds := held(all)
		brokers := ids(s.Brokers())
		if l, h := unevenness(leads, brokers), unevenness(holds, brokers); l > 6 || h > 6 {
			t.Errorf("%d partitions x %d over %d brokers: leaders differ by %d, replicas by %d", len(all), factor, n, l, h)
		}
	}
}

// TestSpreadGoesOnEvenly: partitions that are added make the whole topic even.
func TestSpreadGoesOnEvenly(t *testing.T) {
	rnd := random(t)
	for range 100 {
		n := 2 + rnd.IntN(8)
		factor := 1 + rnd.IntN(min(n, 3))
		s := brokersIn(t, n, 0)
		parts, err := s.Spread(int32(1+rnd.IntN(20)), int16(factor), nil)
		if err != nil {
			t.Fatal(err)
		}
		topic := apply(t, s, &CreateTopic{Name: "t", ID: TopicID{1}, Replicas: parts}).Topic
		more, err := s.Grow(topic, int32(len(parts)+1+rnd.IntN(20)), nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(parts, more)
		leads, holds := held(all)
		if l, h := unevenness(leads, ids(s.Brokers())), unevenness(holds, ids(s.Brokers())); l > 1 || h > 1 {
			t.Fatalf("%d and %d partitions x %d over %d brokers: leaders differ by %d, replicas by %d\n%v\n%v", len(parts), len(more), factor, n, l, h, parts, more)
		}
	}
}

// TestSpreadWithUnevenRacks: a rack of one broker gets a replica of each
// partition when there are as many racks as replicas; leaders stay even.
func TestSpreadWithUnevenRacks(t *testing.T) {
	s := brokersIn(t, 6, 0)
	for id, rack := range map[int32]string{1: "a", 2: "b", 3: "b", 4: "b", 5: "b", 6: "b"} {
		apply(t, s, Register(Broker{ID: id, Rack: rack}))
	}
	parts, err := s.Spread(12, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkPlaced(t, s, parts, 2)
	if leads, holds := held(parts); unevenness(leads, ids(s.Brokers())) > 1 || holds[1] != 12 {
		t.Errorf("leaders %v, replicas %v", leads, holds)
	}
}

// absent fences the one broker and has the other about to leave.
func absent(t *testing.T, s *State, fenced, draining int32) {
	t.Helper()
	f, _ := s.Broker(fenced)
	d, _ := s.Broker(draining)
	apply(t, s, &FenceBroker{ID: fenced, Epoch: f.Epoch})
	apply(t, s, &DrainBroker{ID: draining, Epoch: d.Epoch})
}

func TestSpreadTakesLiveBrokersFirst(t *testing.T) {
	s := brokersIn(t, 5, 0)
	absent(t, s, 2, 4)
	parts, err := s.Spread(7, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkPlaced(t, s, parts, 3)
	for _, factor := range []int16{6, 0, -1} {
		if _, err := s.Spread(1, factor, nil); !errors.Is(err, ErrReplicationFactor) {
			t.Errorf("factor %d: %v", factor, err)
		}
	}
	if _, err := s.Spread(0, 1, nil); !errors.Is(err, ErrPartitionCount) {
		t.Errorf("no partitions: %v", err)
	}
	if _, err := New().Spread(1, 1, nil); !errors.Is(err, ErrReplicationFactor) {
		t.Errorf("without brokers: %v", err)
	}
}

// TestSpreadOverAbsentBrokers: where the live ones do not suffice, each of them
// has a replica of every partition, the others have the rest and lead nothing.
func TestSpreadOverAbsentBrokers(t *testing.T) {
	s := brokersIn(t, 5, 2)
	absent(t, s, 2, 4)
	have := apply(t, s, &CreateTopic{Name: "t", ID: TopicID{1}, Replicas: [][]int32{{2, 1, 3, 5}, {4, 1, 3, 5}}}).Topic
	for _, before := range [][]Partition{nil, have.Partitions} {
		for _, factor := range []int16{4, 5} {
			parts, err := s.Spread(30, factor, before)
			if err != nil {
				t.Fatalf("factor %d: %v", factor, err)
			}
			leads, holds := held(parts)
			for _, p := range parts {
				if all := slices.Compact(slices.Sorted(slices.Values(p))); len(all) != int(factor) {
					t.Fatalf("factor %d: %v", factor, p)
				}
			}
			for id, led := range map[int32]bool{1: true, 2: false, 3: true, 4: false, 5: true} {
				switch {
				case led && (leads[id] != 10 || holds[id] != 30):
					t.Errorf("factor %d: live broker %d leads %d and holds %d of 30", factor, id, leads[id], holds[id])
				case !led && (leads[id] != 0 || holds[id] != 30*(int(factor)-3)/2):
					t.Errorf("factor %d: absent broker %d leads %d and holds %d of 30", factor, id, leads[id], holds[id])
				}
			}
		}
	}
}

// TestSpreadNeedsAMajority: replicas that could elect nobody are refused, and
// who is missing is told; as they are in an assignment by hand.
func TestSpreadNeedsAMajority(t *testing.T) {
	s := brokersIn(t, 3, 0)
	absent(t, s, 3, 2)
	_, err := s.Spread(1, 3, nil)
	if !errors.Is(err, ErrReplicationFactor) || !strings.Contains(err.Error(), "down: [3], about to leave: [2]") {
		t.Errorf("factor 3 with one live broker of three: %v", err)
	}
	if parts, err := s.Spread(1, 1, nil); err != nil || parts[0][0] != 1 {
		t.Errorf("factor 1: %v, %v; want broker 1", parts, err)
	}
	_, err = s.Assigned([]Assignment{{0, []int32{1, 2, 3}}})
	if !errors.Is(err, ErrAssignment) || !strings.Contains(err.Error(), "down: [3], about to leave: [2]") {
		t.Errorf("by hand: %v", err)
	}
	apply(t, s, Register(Broker{ID: 2})) // it came back
	if parts, err := s.Spread(1, 3, nil); err != nil || parts[0][0] == 3 {
		t.Errorf("factor 3 with two live brokers of three: %v, %v", parts, err)
	}
	if _, err := s.Assigned([]Assignment{{0, []int32{3, 2, 1}}}); err != nil {
		t.Errorf("by hand: %v", err)
	}
}

// TestSpreadNeighbours: a broker's partitions have many brokers beside it, so
// that its load goes to many when it fails.
func TestSpreadNeighbours(t *testing.T) {
	s := brokersIn(t, 6, 3)
	parts, err := s.Spread(60, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	beside := map[int32]map[int32]bool{}
	for _, ids := range parts {
		for _, id := range ids {
			if beside[id] == nil {
				beside[id] = map[int32]bool{}
			}
			for _, other := range ids {
				beside[id][other] = true
			}
		}
	}
	for id, others := range beside {
		if len(others) != 1+4 { // itself, and all in the other two racks
			t.Errorf("beside broker %d are only %v", id, others)
		}
	}
}

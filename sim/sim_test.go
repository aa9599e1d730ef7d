package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

func runSeed(t *testing.T, o Options) (r Report) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, o.Seed) // raft draws election time-outs from crypto/rand
	synctest.Test(t, func(t *testing.T) {
		seedRuntime(o.Seed)
		r = Run(o)
	})
	return r
}

func env(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestOneSeed runs CHRONIK_SIM_SEED, and writes its report to
// CHRONIK_SIM_REPORT. The tests below start it as a process of its own.
func TestOneSeed(t *testing.T) {
	o := Options{Seed: uint64(env("CHRONIK_SIM_SEED", 0)), Nodes: env("CHRONIK_SIM_NODES", 0), Bug: Bug(env("CHRONIK_SIM_BUG", 0)), All: env("CHRONIK_SIM_ALL", 0) != 0}
	if o.Seed == 0 {
		t.Skip("CHRONIK_SIM_SEED says which")
	}
	name := os.Getenv("CHRONIK_SIM_REPORT")
	o.Abort = func(r Report) {
		if name == "" {
			fmt.Println(strings.Join(append(r.Journal, r.Violations...), "\n"))
			os.Exit(1)
		}
		if err := writeReport(name, r); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	r := runSeed(t, o)
	if name != "" {
		if err := writeReport(name, r); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, line := range r.Journal {
		fmt.Println(line)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	t.Log(r)
}

func writeReport(name string, r Report) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// needsRuntime skips where Go's own runtime would let a goroutine that waits for
// a mutex hold up virtual time.
func needsRuntime(t *testing.T) {
	t.Helper()
	if !repeatable {
		t.Skip("needs the runtime of sim/repeatable: make sim")
	}
}

// TestSeeds runs CHRONIK_SIM_SEEDS seeds from CHRONIK_SIM_FROM on.
func TestSeeds(t *testing.T) {
	needsRuntime(t)
	from, n := env("CHRONIK_SIM_FROM", 1), env("CHRONIK_SIM_SEEDS", 4)
	var total Report
	many(t, Options{Nodes: env("CHRONIK_SIM_NODES", 0)}, from, n, func(r Report, failed error) bool {
		if failed != nil {
			t.Errorf("seed %d: %v\n%s\nrun it again: make sim SEED=%d", r.Seed, failed, tail(r.Journal, 40), r.Seed)
		}
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s", r.Seed, v)
		}
		if len(r.Violations) > 0 {
			t.Errorf("seed %d: %d rules broken; the end of what happened:\n%s\nrun it again: make sim SEED=%d", r.Seed, len(r.Violations), tail(r.Journal, 40), r.Seed)
		}
		total.Acked += r.Acked
		total.Reads += r.Reads
		total.Followed += r.Followed
		total.Faults += r.Faults
		total.Length += r.Length
		total.Events += r.Events
		return true
	})
	t.Logf("%d seeds from %d on: %s of virtual time, %d faults, %d records acknowledged, %d reads (%d from followers), %d events", n, from, total.Length, total.Faults, total.Acked, total.Reads, total.Followed, total.Events)
}

// TestPlantedBugs plants each bug, and has it found within 100 seeds, by the
// rule that it breaks.
func TestPlantedBugs(t *testing.T) {
	needsRuntime(t)
	for bug, rule := range map[Bug]string{AckBeforeSync: "acked", ForgetVote: "leaders", StaleReads: "stale"} {
		t.Run(bug.String(), func(t *testing.T) {
			t.Parallel()
			const seeds = 100
			found := ""
			many(t, Options{Bug: bug}, 1, seeds, func(r Report, failed error) bool {
				if failed != nil {
					t.Errorf("seed %d: %v", r.Seed, failed)
				}
				for _, v := range r.Violations {
					if found == "" && strings.HasPrefix(v, rule+": ") {
						found = fmt.Sprintf("seed %d: %s", r.Seed, v)
					}
				}
				return found == ""
			})
			if found == "" {
				t.Fatalf("the rule %q is not seen to be broken within %d seeds", rule, seeds)
			}
			t.Logf("found: %s", found)
		})
	}
}

// TestRepeats runs a seed several times, and wants the same to happen.
func TestRepeats(t *testing.T) {
	needsRuntime(t)
	for seed := 1; seed <= 3; seed++ {
		var first Report
		for i := range 3 {
			many(t, Options{}, seed, 1, func(r Report, failed error) bool {
				switch {
				case failed != nil:
					t.Errorf("seed %d: %v", seed, failed)
				case i == 0:
					first = r
				case r.Digest != first.Digest || r.Events != first.Events:
					t.Errorf("seed %d: %d events with digest %016x, then %d with %016x", seed, first.Events, first.Digest, r.Events, r.Digest)
				}
				return true
			})
		}
	}
}

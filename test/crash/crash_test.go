package crash

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
	"chronik/test/load"
)

// start is a broker under load, and the source of the moments at which something happens to it.
func start(t *testing.T) (*harness.Broker, *load.Rig, *rand.Rand) {
	t.Helper()
	seed := load.Seed(t, "CHRONIK_CRASH_SEED", "crash")
	b := harness.Start(t, harness.Config{Set: load.Settings()})
	b.Owned(t)
	return b, load.Start(t, b, seed), rand.New(rand.NewPCG(seed, 98))
}

// TestKill kills the process with SIGKILL in the middle of traffic, restarts it and checks, again and again. In some
// rounds the restart is killed as well, before or just after it is ready, so that recovery is cut short too.
func TestKill(t *testing.T) {
	b, r, rng := start(t)
	rounds := int(load.Number(t, "CHRONIK_CRASH_ROUNDS", 20))
	var took []time.Duration
	again := 0
	for round := 1; round <= rounds; round++ {
		r.AwaitTraffic()
		b.Kill()
		for rng.IntN(3) == 0 {
			if err := b.Spawn(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond) // the moment of the kill
			b.Kill()
			again++
		}
		d, err := b.Launch()
		if err != nil {
			t.Fatalf("round %d: restart: %v", round, err)
		}
		took = append(took, d)
		r.Check()
	}
	r.Finish()
	slices.Sort(took)
	t.Logf("%d kills in traffic, %d in recovery; restart to ready: median %v, slowest %v", rounds, again, took[len(took)/2], took[len(took)-1])
}

// TestTerminate ends the process with SIGTERM in the middle of traffic: it must exit with 0 and lose nothing.
func TestTerminate(t *testing.T) {
	b, r, _ := start(t)
	for round := 1; round <= 3; round++ {
		r.AwaitTraffic()
		start := time.Now()
		status, err := b.Stop()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if status != 0 {
			t.Fatalf("round %d: exit status %d after SIGTERM, want 0; log:\n%s", round, status, harness.Tail(b.Log, 20))
		}
		t.Logf("round %d: SIGTERM to exit %v", round, time.Since(start))
		if _, err := b.Launch(); err != nil {
			t.Fatalf("round %d: restart: %v", round, err)
		}
		r.Check()
	}
	r.Finish()
}

// TestSecondProcess starts a second broker on a directory in use: it must end with status 2 and one line that says so,
// and leave the first one alone.
func TestSecondProcess(t *testing.T) {
	first := harness.Start(t, harness.Config{Set: map[string]string{}})
	first.Owned(t)
	second := harness.Prepare(t, harness.Config{Dir: first.Dir})
	status, out, errs := harness.Run(t, 30*time.Second, second.Args()...)
	if status != 2 {
		t.Errorf("exit status %d, want 2\n%s%s", status, out, errs)
	}
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, first.Dir) {
		t.Errorf("the last line on stderr does not name %s: %q", first.Dir, last)
	}
	c, err := kgo.NewClient(load.Steady(first.Addr)...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(c).CreateTopic(ctx, 1, 1, nil, "still-serving"); err != nil {
		t.Errorf("the first process no longer serves: %v", err)
	}
	first.Kill()
	if _, err := second.Launch(); err != nil {
		t.Errorf("the directory of a killed process is refused: %v", err)
	}
}

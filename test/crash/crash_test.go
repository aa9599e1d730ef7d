package crash

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/test/harness"
)

// TestKill kills the process with SIGKILL in the middle of traffic, restarts it and checks, again and again. In some
// rounds the restart is killed as well, before or just after it is ready, so that recovery is cut short too.
func TestKill(t *testing.T) {
	r := newRig(t)
	rounds := int(number(t, "CHRONIK_CRASH_ROUNDS", 20))
	var took []time.Duration
	again := 0
	for round := 1; round <= rounds; round++ {
		r.awaitTraffic()
		r.b.Kill()
		for r.rng.IntN(3) == 0 {
			if err := r.b.Spawn(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.rng.IntN(120)) * time.Millisecond) // the moment of the kill
			r.b.Kill()
			again++
		}
		d, err := r.b.Launch()
		if err != nil {
			t.Fatalf("round %d: restart: %v", round, err)
		}
		took = append(took, d)
		r.check()
	}
	r.finish()
	slices.Sort(took)
	t.Logf("%d kills in traffic, %d in recovery; restart to ready: median %v, slowest %v", rounds, again, took[len(took)/2], took[len(took)-1])
}

// TestTerminate ends the process with SIGTERM in the middle of traffic: it must exit with 0 and lose nothing.
func TestTerminate(t *testing.T) {
	r := newRig(t)
	for round := 1; round <= 3; round++ {
		r.awaitTraffic()
		start := time.Now()
		status, err := r.b.Stop()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if status != 0 {
			t.Fatalf("round %d: exit status %d after SIGTERM, want 0; log:\n%s", round, status, harness.Tail(r.b.Log, 20))
		}
		t.Logf("round %d: SIGTERM to exit %v", round, time.Since(start))
		if _, err := r.b.Launch(); err != nil {
			t.Fatalf("round %d: restart: %v", round, err)
		}
		r.check()
	}
	r.finish()
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
	adm := (&rig{t: t, b: first})
	c, done := adm.admin()
	defer done()
	if _, err := c.CreateTopic(adm.ctx(time.Minute), 1, 1, nil, "still-serving"); err != nil {
		t.Errorf("the first process no longer serves: %v", err)
	}
	first.Kill()
	if _, err := second.Launch(); err != nil {
		t.Errorf("the directory of a killed process is refused: %v", err)
	}
}

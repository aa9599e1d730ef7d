package disk

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chronik/test/harness"
	"chronik/test/load"
)

// cutsPerDisk bounds how much one disk and one load gather.
const cutsPerDisk = 25

// TestPowerCut cuts the power in the middle of traffic, starts a broker on what reached the disk and checks, again and
// again. In some rounds the power goes again while the broker recovers.
func TestPowerCut(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_DISK_SEED", "disk")
	left := int(load.Number(t, "CHRONIK_POWER_CUTS", 20))
	rng := rand.New(rand.NewPCG(seed, 97))
	var took []time.Duration
	cuts, again := 0, 0
	for ; left > 0; left -= cutsPerDisk {
		d := newDisk(t, 512, 0)
		b := harness.Start(t, harness.Config{Dir: filepath.Join(d.Mount, "data"), Set: load.Settings()})
		r := load.Start(t, b, rng.Uint64())
		for range min(left, cutsPerDisk) {
			r.AwaitTraffic()
			d.cut(b)
			cuts++
			for rng.IntN(4) == 0 {
				if err := b.Spawn(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(rng.IntN(250)) * time.Millisecond) // the moment of the next cut
				d.cut(b)
				again++
			}
			start, err := b.Launch()
			if err != nil {
				t.Fatalf("after cut %d: %v", cuts, err)
			}
			took = append(took, start)
			r.Check()
		}
		r.Finish()
		b.Kill()
		d.remove()
	}
	slices.Sort(took)
	t.Logf("%d power cuts in traffic, %d in recovery; restart to ready: median %v, slowest %v", cuts, again, took[len(took)/2], took[len(took)-1])
}

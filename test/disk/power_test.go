package disk

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"chronik/test/harness"
	"chronik/test/load"
)

// cutsPerDisk and usedMax bound how much one load gathers, and its disk: the load is as fast as the machine, and this test
// is not about a full disk.
const (
	cutsPerDisk = 25
	diskMiB     = 1024
	usedMax     = diskMiB << 20 / 4
)

// TestPowerCut cuts the power in the middle of traffic, starts a broker on what reached the disk and checks, again and
// again. In some rounds the power goes again while the broker recovers.
func TestPowerCut(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_DISK_SEED", "disk")
	left := int(load.Number(t, "CHRONIK_POWER_CUTS", 20))
	rng := rand.New(rand.NewPCG(seed, 97))
	var took []time.Duration
	cuts, again := 0, 0
	for left > 0 {
		d := newDisk(t, diskMiB, 0)
		b := harness.Start(t, harness.Config{Dir: filepath.Join(d.Mount, "data"), Set: load.Settings()})
		r := load.Start(t, b, rng.Uint64())
		for n := 0; left > 0 && n < cutsPerDisk && d.used() < usedMax; n++ {
			r.AwaitTraffic()
			d.cut(b)
			cuts, left = cuts+1, left-1
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
		t.Logf("%d cuts so far; %d MiB of the disk are used", cuts, d.used()>>20)
		b.Kill()
		d.remove()
	}
	slices.Sort(took)
	t.Logf("%d power cuts in traffic, %d in recovery; restart to ready: median %v, slowest %v", cuts, again, took[len(took)/2], took[len(took)-1])
}

// TestPowerCutOfCluster cuts the power of three nodes at once, again and again: what a majority has synced is all there
// is afterwards.
func TestPowerCutOfCluster(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_DISK_SEED", "disk")
	rng := rand.New(rand.NewPCG(seed, 96))
	d := newDisk(t, 2*diskMiB, 0)
	dirs := make([]string, 3)
	for i := range dirs {
		dirs[i] = filepath.Join(d.Mount, strconv.Itoa(i+1))
	}
	c := harness.StartCluster(t, harness.ClusterConfig{Dirs: dirs, Set: load.Settings()})
	r := load.StartWith(t, load.Options{Addr: c.Bootstrap(), Cluster: true, Pause: 50 * time.Millisecond}, rng.Uint64())
	cuts := int(load.Number(t, "CHRONIK_CLUSTER_POWER_CUTS", 5))
	var took []time.Duration
	for cut := range cuts {
		r.AwaitTraffic()
		d.cut(c.Nodes...)
		began := time.Now()
		if err := c.Launch(); err != nil {
			t.Fatalf("after cut %d: %v", cut+1, err)
		}
		took = append(took, time.Since(began))
		r.Check()
	}
	r.Finish()
	slices.Sort(took)
	t.Logf("%d power cuts of three nodes in traffic; restart to ready: median %v, slowest %v", cuts, took[len(took)/2], took[len(took)-1])
	c.Kill()
}

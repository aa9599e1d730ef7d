package disk

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/test/harness"
	"chronik/test/load"
)

// TestFailedSync has the device fail: the file system accepts what is written, and the fsync says that it is not on the
// disk. From then on the log that met it acknowledges nothing, whatever the device does later, and /metrics tells. After
// a restart everything acknowledged before is there.
func TestFailedSync(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_DISK_SEED", "disk")
	d := newDisk(t, 1024, 160) // the file system believes in far more than there is
	b := harness.Start(t, harness.Config{Dir: filepath.Join(d.Mount, "data"), Set: load.Settings()})
	r, p := load.Start(t, b, seed), newProbe(t, b)
	r.AwaitTraffic()
	if err := p.produce(); err != nil {
		t.Fatal(err)
	}

	release := ballast(t, filepath.Dir(d.image), 0)
	p.untilRefused(kerr.KafkaStorageError, kerr.NotLeaderForPartition, kerr.LeaderNotAvailable)
	acked := len(p.acked)
	harness.Eventually(t, healMax, "the metric", func() error {
		if n := metric(t, b, flushErrors); n == 0 {
			return errors.New("chronik_storage_flush_errors_total is 0")
		}
		return nil
	})
	get(t, b, "/health")
	release() // the device works again; what it lost is lost
	for range 5 {
		if err := p.produce(); err == nil {
			t.Fatalf("offset %d was acknowledged by a log whose sync has failed", len(p.acked)-1)
		}
	}
	t.Logf("the probe's log failed after %d records; %g logs in all", acked, metric(t, b, flushErrors))

	b.Kill()
	d.unmount()
	d.check()
	d.mountImage()
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	p.audit()
	if len(p.acked) != acked {
		t.Errorf("%d acknowledged, %d when the log failed", len(p.acked), acked)
	}
	harness.Eventually(t, healMax, "produce after the restart", p.produce)
	r.AwaitTraffic()
	r.Check()
	r.Finish()
	t.Logf("%d records of the load acknowledged", r.Acknowledged())
}

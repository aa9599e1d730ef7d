package compat

import (
	"testing"

	"chronik/test/harness"
	"chronik/test/load"
)

// TestExactlyOnce runs a pipeline of franz-go's transact sessions: what is committed is whole and there once, what is
// aborted is seen by nobody who reads committed records.
func TestExactlyOnce(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: settings})
	e := load.StartExactly(t, load.Options{Addr: b.Bootstrap(), Cluster: b.Cluster() != nil}, replicas(t), load.Seed(t, "CHRONIK_COMPAT_SEED", "compat"))
	e.Await(stepMax, 50)
	e.Finish()
}

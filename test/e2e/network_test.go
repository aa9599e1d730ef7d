package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"chronik/test/harness"
	"chronik/test/load"
)

// cut is a cluster on a network under load.
type cut struct {
	t *testing.T
	c *harness.Cluster
	p *load.Prober
	r *load.Rig
}

func network(t *testing.T, file string) cut {
	t.Helper()
	c := start(t, harness.ClusterConfig{Network: true, File: file})
	create(t, c, "network", 3)
	p := load.StartProber(t, options(c), "network", 3, 20*time.Millisecond)
	r := load.StartWith(t, options(c), load.Seed(t, "CHRONIK_E2E_SEED", "e2e"))
	r.AwaitTraffic()
	return cut{t, c, p, r}
}

// converge heals the network and wants everything as before.
func (n cut) converge() {
	n.t.Helper()
	healed := time.Now()
	n.c.Net.Heal()
	n.c.AwaitISR(limit, harness.IDs(n.c.Nodes), "network")
	n.p.Await(limit, time.Now())
	n.t.Logf("all replicas in sync %v after the network healed", time.Since(healed).Round(time.Millisecond))
	n.r.Check()
	n.p.Check()
}

func (n cut) finish() {
	n.t.Helper()
	n.r.Finish()
	n.p.Finish()
}

// TestIsolatedLeader cuts a leader off from the other nodes, not from the clients: it stops acknowledging and serving,
// the others go on, and what it alone has appended is gone when it is back.
func TestIsolatedLeader(t *testing.T) {
	n := network(t, "")
	c := n.c
	create(t, c, "suffix", 3)
	produce(t, c, "suffix", 3, 0, 30)
	leader := c.Node(c.Leaders(limit, "suffix")[0])
	c.Net.Isolate(int(leader.ID))
	began := time.Now()
	// It still believes that it leads: what it is sent it appends, and cannot commit.
	for i := range 3 {
		if _, err := send(leader, "suffix", 0, -1, 300*time.Millisecond, fmt.Sprintf("lost-%d", i)); err == nil {
			t.Fatal("a leader without followers has acknowledged a record")
		} else if !refusal(err) {
			t.Errorf("a produce to a leader without followers: %v", err)
		}
	}
	notLeading(t, leader, "suffix", 0, began)
	took := n.p.Await(limit, began)
	t.Logf("written to again by partition: %s", distribution(took))
	if _, err := send(leader, "suffix", 0, -1, time.Second, "lost-too"); err == nil || !refusal(err) {
		t.Errorf("a produce to a node that has lost its majority: %v", err)
	}
	others := c.Others(leader)
	harness.Eventually(t, limit, "the others have a leader", func() error {
		for _, b := range others {
			views, err := b.View(ctx(t), "suffix")
			if err != nil {
				return err
			}
			for _, v := range views {
				if !slices.Contains(harness.IDs(others), v.Leader) || slices.Contains(v.ISR, leader.ID) {
					return fmt.Errorf("node %d: partition %d: leader %d, in-sync replicas %v", b.ID, v.Partition, v.Leader, v.ISR)
				}
			}
		}
		return nil
	})
	produce(t, c, "suffix", 3, 30, 30)
	n.converge()
	c.AwaitISR(limit, harness.IDs(c.Nodes), "suffix")
	numbered(t, consume(t, c, "suffix"), 3, 60)
	// From its own copy, which must be the others' now.
	harness.Eventually(t, limit, "the node that was cut off has what the others have", func() error {
		r, err := fetch(t, leader, "suffix", 0, 0, "", limit)
		if err != nil {
			return err
		}
		got := records(t, r.RecordBatches)
		for i, v := range got {
			if v != fmt.Sprint(3*i) {
				t.Fatalf("offset %d is %q", i, v)
			}
		}
		if len(got) != 20 {
			return fmt.Errorf("%d records", len(got))
		}
		return nil
	})
	n.finish()
}

// TestUnpluggedNode takes the link of a node down, from the others and from the clients.
func TestUnpluggedNode(t *testing.T) {
	n := network(t, isrFile)
	victim := n.c.Node(n.c.Leaders(limit, "network")[0])
	n.c.Net.Unplug(int(victim.ID))
	began := time.Now()
	t.Logf("written to again by partition: %s", distribution(n.p.Await(limit, began)))
	others := n.c.Others(victim)
	harness.Eventually(t, limit, "the others are in sync without it, and it is no broker to clients", func() error {
		for _, b := range others {
			views, err := b.View(ctx(t), "network")
			if err != nil {
				return err
			}
			for _, v := range views {
				if !slices.Equal(v.ISR, harness.IDs(others)) || !slices.Equal(v.Offline, []int32{victim.ID}) {
					return fmt.Errorf("node %d: partition %d: in-sync replicas %v, offline %v", b.ID, v.Partition, v.ISR, v.Offline)
				}
			}
			m, err := b.Metadata(ctx(t))
			if err != nil {
				return err
			}
			if len(m.Brokers) != len(others) {
				return fmt.Errorf("node %d names %d brokers", b.ID, len(m.Brokers))
			}
		}
		return nil
	})
	n.converge()
	n.finish()
}

// TestOneWayCuts drops what goes in one direction only: from a leader to one follower, to both, and back; and between two
// nodes that both reach the third.
func TestOneWayCuts(t *testing.T) {
	n := network(t, isrFile)
	for _, kind := range []string{"leader to a follower", "a follower to the leader", "leader to both", "both to the leader", "bridge"} {
		leader := n.c.Node(n.c.Leaders(limit, "network")[0])
		others := n.c.Others(leader)
		l, a, b := int(leader.ID), int(others[0].ID), int(others[1].ID)
		switch kind {
		case "leader to a follower":
			n.c.Net.CutOneWay(l, a)
		case "a follower to the leader":
			n.c.Net.CutOneWay(a, l)
		case "leader to both":
			n.c.Net.CutOneWay(l, a)
			n.c.Net.CutOneWay(l, b)
		case "both to the leader":
			n.c.Net.CutOneWay(a, l)
			n.c.Net.CutOneWay(b, l)
		case "bridge": // b reaches both
			n.c.Net.Cut(l, a)
		}
		began := time.Now()
		t.Logf("%s: written to again by partition: %s", kind, distribution(n.p.Await(limit, began)))
		// Neither does it go on by changing leaders for ever: for longer than any timeout, each partition is written to.
		for end := began.Add(5 * time.Second); time.Now().Before(end); {
			n.p.Await(limit, time.Now())
		}
		t.Logf("%s: longest time without an acknowledgement in a partition: %v", kind, n.p.Gap(began).Round(time.Millisecond))
		n.converge()
	}
	n.finish()
}

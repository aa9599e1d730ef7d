package sim

import (
	"fmt"
	"time"

	"chronik/sim/network"
)

// fault is one way to break the cluster. It says what it does, and sees to it
// that it is undone by itself; ok is false when it does not apply.
type fault struct {
	weight int
	nodes  int // it needs so many
	do     func(c *simulation) (what string, ok bool)
}

var faults = []fault{
	{6, 1, (*simulation).killOne},
	{6, 1, (*simulation).cutPowerOfOne},
	{5, 1, (*simulation).restart},
	{3, 1, (*simulation).failingDisk},
	{3, 1, (*simulation).cutPowerOfAll},
	{6, 2, (*simulation).isolate},
	{4, 2, (*simulation).oneWay},
	{4, 3, (*simulation).bridge},
	{5, 2, (*simulation).badLinks},
	{4, 1, (*simulation).slowDisk},
	{3, 1, (*simulation).jump},
	{4, 2, (*simulation).cutPowerOfVoter},
	{5, 3, (*simulation).electTwice},
}

// breakThings does so until the time with faults is over.
func (c *simulation) breakThings() {
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	for begin := time.Now(); time.Since(begin) < c.opt.Length; {
		sleep(c.ctx, c.between(100*time.Millisecond, 3*time.Second))
		at := c.rand.IntN(total)
		for _, f := range faults {
			if at -= f.weight; at < 0 {
				if len(c.nodes) < f.nodes {
					break
				}
				if what, ok := f.do(c); ok {
					c.faults++
					c.journal.add("fault: %s", what)
				}
				break
			}
		}
	}
}

// between is a time from lo to hi, the short ones as likely as the long ones.
func (c *simulation) between(lo, hi time.Duration) time.Duration {
	r := c.rand.Float64()
	return lo + time.Duration(r*r*float64(hi-lo))
}

func (c *simulation) anyNode() *node { return c.nodes[c.rand.IntN(len(c.nodes))] }

// running is a random node that runs, nil if none was found.
func (c *simulation) running() *node {
	if n := c.anyNode(); n.current() != nil {
		return n
	}
	return nil
}

func (c *simulation) later(d time.Duration, what string, f func()) {
	time.AfterFunc(d, func() {
		if c.ctx.Err() == nil {
			c.journal.add("%s", what)
			f()
		}
	})
}

func (c *simulation) startLater(n *node, d time.Duration) {
	c.later(d, fmt.Sprintf("node %d starts", n.id), n.start)
}

func (c *simulation) killOne() (string, bool) {
	n := c.running()
	if n == nil {
		return "", false
	}
	n.end(false, 0)
	if c.rand.IntN(2) == 0 { // the others' connections are reset, and they see it
		for _, other := range c.nodes {
			if p := other.current(); p != nil && p.host.Load() != nil && !c.net.Link(n.id, other.id).Cut {
				p.host.Load().Down(n.id)
			}
		}
	}
	d := c.between(10*time.Millisecond, 6*time.Second)
	c.startLater(n, d)
	return fmt.Sprintf("node %d is killed, for %s", n.id, d), true
}

// restart is one in good order.
func (c *simulation) restart() (string, bool) {
	n, d := c.running(), c.between(10*time.Millisecond, 2*time.Second)
	if n == nil || n.current().broker.Load() == nil {
		return "", false
	}
	c.restarts.Go(func() {
		c.journal.add("node %d shuts down", n.id)
		err := n.shutdown(true)
		c.journal.add("node %d has shut down: %v", n.id, err)
		c.startLater(n, d)
	})
	return fmt.Sprintf("node %d is restarted, after %s", n.id, d), true
}

// failingDisk fails syncs for a while; then the machine is replaced by one that
// has what the disk has.
func (c *simulation) failingDisk() (string, bool) {
	n, seed, d := c.running(), c.rand.Uint64(), c.between(10*time.Millisecond, 4*time.Second)
	if n == nil {
		return "", false
	}
	n.disk.SetFailing(true)
	c.later(d, fmt.Sprintf("node %d has a new machine", n.id), func() {
		n.disk.SetFailing(false)
		n.end(true, seed)
		n.start()
	})
	return fmt.Sprintf("node %d cannot sync, for %s", n.id, d), true
}

func (c *simulation) cutPowerOfOne() (string, bool) {
	n := c.running()
	if n == nil {
		return "", false
	}
	n.end(true, c.rand.Uint64())
	d := c.between(10*time.Millisecond, 6*time.Second)
	c.startLater(n, d)
	return fmt.Sprintf("node %d loses power, for %s", n.id, d), true
}

func (c *simulation) cutPowerOfAll() (string, bool) {
	for _, n := range c.nodes {
		n.end(true, c.rand.Uint64())
		c.startLater(n, c.between(10*time.Millisecond, 3*time.Second))
	}
	return "all nodes lose power", true
}

// cutPowerOfVoter waits for a node to give its vote, and ends it as soon as
// that has arrived; it is back at once.
func (c *simulation) cutPowerOfVoter() (string, bool) {
	n, seed, d := c.anyNode(), c.rand.Uint64(), c.between(time.Millisecond, 300*time.Millisecond)
	armed := true
	c.onVote = func(from, _ uint64) {
		if from != n.id || !armed {
			return
		}
		armed = false
		c.later(5*time.Millisecond, fmt.Sprintf("node %d has voted and loses power, for %s", n.id, d), func() {
			n.end(true, seed)
			c.startLater(n, d)
		})
	}
	return fmt.Sprintf("node %d is to lose power when it votes", n.id), true
}

// cut cuts a link for a while.
func (c *simulation) cut(from, to uint64) {
	l := c.net.Link(from, to)
	l.Cut = true
	c.net.Set(from, to, l)
}

func (c *simulation) healLater() time.Duration {
	d := c.between(100*time.Millisecond, 8*time.Second)
	c.later(d, "links heal", c.net.Heal)
	return d
}

// isolate separates a node from the others, and perhaps from the clients.
func (c *simulation) isolate() (string, bool) {
	n, clients := c.anyNode(), c.rand.IntN(3) == 0
	for _, other := range c.nodes {
		if other != n {
			c.cut(n.id, other.id)
			c.cut(other.id, n.id)
		}
	}
	if clients {
		for i := range clientsMax {
			c.cut(n.id, uint64(1000+i))
			c.cut(uint64(1000+i), n.id)
		}
	}
	return fmt.Sprintf("node %d is alone (clients too: %v), for %s", n.id, clients, c.healLater()), true
}

func (c *simulation) oneWay() (string, bool) {
	n, in := c.anyNode(), c.rand.IntN(2) == 0
	for _, other := range c.nodes {
		switch {
		case other == n:
		case in:
			c.cut(other.id, n.id)
		default:
			c.cut(n.id, other.id)
		}
	}
	return fmt.Sprintf("node %d is cut one way (to it: %v), for %s", n.id, in, c.healLater()), true
}

// bridge parts the nodes into two sides, and lets one node see both.
func (c *simulation) bridge() (string, bool) {
	middle, _ := c.part()
	return fmt.Sprintf("node %d is the bridge between two sides, for %s", middle.id, c.healLater()), true
}

// part is bridge; side tells the sides apart.
func (c *simulation) part() (middle *node, side map[uint64]int) {
	order := c.rand.Perm(len(c.nodes))
	half := 1 + (len(order)-1)/2
	side = map[uint64]int{}
	for i, at := range order[1:] {
		side[uint64(at+1)] = (i + 1) / half
	}
	for a, sideA := range side {
		for b, sideB := range side {
			if sideA != sideB {
				c.cut(a, b)
			}
		}
	}
	return c.nodes[order[0]], side
}

// electTwice tempts the node between two sides to vote for one of each in the
// same term: it begins anew, so that both sides miss a leader, and does so again
// as soon as it has given its vote, which is the last that it has to do with that
// side for a while.
func (c *simulation) electTwice() (string, bool) {
	middle, side := c.part()
	seeds := []uint64{c.rand.Uint64(), c.rand.Uint64()}
	first, again := c.between(time.Millisecond, 200*time.Millisecond), c.between(time.Millisecond, 50*time.Millisecond)
	middle.end(true, seeds[0])
	c.startLater(middle, first)
	armed := true
	c.onVote = func(from, to uint64) {
		if from != middle.id || !armed {
			return
		}
		armed = false
		gone := func(cut func(n *node)) {
			for _, n := range c.nodes {
				if n != middle && side[n.id] == side[to] {
					cut(n)
				}
			}
		}
		gone(func(n *node) { c.cut(n.id, middle.id) }) // the vote still arrives, and nothing of the new leader's
		c.later(4*time.Millisecond, fmt.Sprintf("node %d has voted for %d and loses power, for %s, and its links to that side", middle.id, to, again), func() {
			middle.end(true, seeds[1])
			gone(func(n *node) { c.cut(middle.id, n.id) })
			c.startLater(middle, again)
		})
	}
	return fmt.Sprintf("node %d is the bridge between two sides, for %s, and loses power, for %s", middle.id, c.healLater(), first), true
}

// badLinks makes every link between nodes lose, reorder and repeat.
func (c *simulation) badLinks() (string, bool) {
	bad := network.Link{
		Loss: 0.3 * c.rand.Float64(), Repeat: 0.2 * c.rand.Float64(), Reorder: c.rand.IntN(2) == 0,
		Delay: c.between(0, 100*time.Millisecond), JitterMax: c.between(time.Millisecond, 300*time.Millisecond),
	}
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			if a != b {
				c.net.Set(a.id, b.id, bad)
			}
		}
	}
	return fmt.Sprintf("links are bad: %+v, for %s", bad, c.healLater()), true
}

// slowDisk needs time to stand still only when every goroutine waits for it,
// also one that waits for a mutex: see sim/repeatable.
func (c *simulation) slowDisk() (string, bool) {
	n, slow, d := c.anyNode(), c.between(time.Millisecond, 400*time.Millisecond), c.between(100*time.Millisecond, 6*time.Second)
	if !repeatable {
		return "", false
	}
	n.disk.SetDelay(slow)
	c.later(d, fmt.Sprintf("node %d's disk is fast again", n.id), func() { n.disk.SetDelay(0) })
	return fmt.Sprintf("node %d syncs in %s, for %s", n.id, slow, d), true
}

func (c *simulation) jump() (string, bool) {
	n, d := c.anyNode(), c.between(10*time.Millisecond, 2*time.Minute)
	if c.rand.IntN(2) == 0 {
		d = -d
	}
	n.clock.jump(d)
	return fmt.Sprintf("node %d's clock jumps by %s", n.id, d), true
}

// heal ends all faults.
func (c *simulation) heal() {
	c.journal.add("all faults end")
	c.onVote = nil
	c.net.Heal()
	for _, n := range c.nodes {
		n.disk.SetDelay(0)
		if n.disk.SetFailing(false) { // a process does not trust such a disk again
			n.end(false, 0)
		}
		n.start()
	}
}

package harness

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Network is a network of namespaces: one for each node, and one in the middle that passes packets on between them and
// the namespace of the test, which is station 0. The nodes are the stations 1, 2, ...
//
// A cut makes the one in the middle drop packets without a word, as a broken switch does: connections stay open until
// somebody loses patience. Unplug takes the link of a station down.
//
// What an earlier process has left behind because it was killed is removed with the next network.
type Network struct {
	tb     testing.TB
	nodes  int
	prefix string // of the namespaces' names
	subnet string // first three bytes of all addresses

	mu    sync.Mutex
	rules map[[2]int]bool // cuts, from and to
	down  map[int]bool    // links
}

const namespacePrefix = "chronik-test-"

// Stations of a link are .4n+1 in the middle and .4n+2 at the node.
func (n *Network) gateway(station int) string { return fmt.Sprintf("%s.%d", n.subnet, 4*station+1) }

// Addr is a station's address.
func (n *Network) Addr(station int) string { return fmt.Sprintf("%s.%d", n.subnet, 4*station+2) }

func (n *Network) namespace(station int) string { return n.prefix + strconv.Itoa(station) }
func (n *Network) middle() string               { return n.prefix + "m" }

// newNetwork makes the namespaces and their links; they are removed when the test ends. Without root or a kernel that
// has namespaces the test is skipped, or fails if CHRONIK_TEST_NETWORK is "required".
func newNetwork(tb testing.TB, nodes int) *Network {
	tb.Helper()
	sweepNamespaces()
	n := &Network{tb: tb, nodes: nodes, rules: map[[2]int]bool{}, down: map[int]bool{}}
	var taken *os.File
	for tries := 0; taken == nil; tries++ {
		third := rand.IntN(256)
		n.subnet = fmt.Sprintf("198.18.%d", third) // of the block for tests of network devices, RFC 2544
		n.prefix = fmt.Sprintf("%s%d-%d-", namespacePrefix, os.Getpid(), third)
		var err error
		if taken, err = lock(n.subnet); err != nil && tries == 1000 {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() { n.remove(); taken.Close() })
	if err := n.build(); err != nil {
		if os.Getenv("CHRONIK_TEST_NETWORK") == "required" {
			tb.Fatalf("CHRONIK_TEST_NETWORK=required, and no network can be made of namespaces: %v", err)
		}
		tb.Skipf("SKIPPED: no network can be made of namespaces here (it takes root, iproute2 and a kernel that lets us): %v", err)
	}
	tb.Logf("network namespaces %s*, addresses %s.0/24", n.prefix, n.subnet)
	return n
}

func (n *Network) build() error {
	if err := ip("netns", "add", n.middle()); err != nil {
		return err
	}
	// A route that is not there is better than one that leads out: nothing here has a default route.
	const forward = "echo 1 >/proc/sys/net/ipv4/ip_forward && echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter"
	if err := ip("netns", "exec", n.middle(), "sh", "-c", forward); err != nil {
		return err
	}
	for station := range n.nodes + 1 {
		if station > 0 {
			if err := ip("netns", "add", n.namespace(station)); err != nil {
				return err
			}
		}
		if err := n.link(station); err != nil {
			return err
		}
	}
	return nil
}

// link joins a station to the middle.
func (n *Network) link(station int) error {
	in := []string{"-n", n.namespace(station)}
	name := "uplink"
	add := []string{"link", "add", name, "netns", n.namespace(station), "type", "veth"}
	if station == 0 { // the test's own namespace, in which others may have links
		in = nil
		name = "ck" + strings.TrimPrefix(strings.TrimSuffix(n.prefix, "-"), namespacePrefix)
		name = name[:min(len(name), 15)]
		add = []string{"link", "add", name, "type", "veth"}
	}
	middle := fmt.Sprintf("to%d", station)
	for _, args := range [][]string{
		append(add, "peer", "name", middle, "netns", n.middle()),
		append(slices.Clone(in), "addr", "add", n.Addr(station)+"/30", "dev", name),
		append(slices.Clone(in), "link", "set", name, "up"),
		{"-n", n.middle(), "addr", "add", n.gateway(station) + "/30", "dev", middle},
		{"-n", n.middle(), "link", "set", middle, "up"},
		append(slices.Clone(in), "route", "add", n.subnet+".0/24", "via", n.gateway(station)),
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	if station > 0 {
		return ip("-n", n.namespace(station), "link", "set", "lo", "up")
	}
	return nil
}

func (n *Network) remove() {
	for station := range n.nodes + 1 {
		if station > 0 {
			ip("netns", "del", n.namespace(station))
		}
	}
	ip("netns", "del", n.middle()) // links go with either end
}

// CutOneWay drops what goes from one station to another.
func (n *Network) CutOneWay(from, to int) {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.rules[[2]int{from, to}] {
		n.must(n.rule("add", from, to)...)
		n.rules[[2]int{from, to}] = true
	}
}

func (n *Network) rule(verb string, from, to int) []string {
	return []string{"-n", n.middle(), "rule", verb, "pref", "100", "from", n.Addr(from), "to", n.Addr(to), "blackhole"}
}

// Cut drops what goes between two stations.
func (n *Network) Cut(a, b int) {
	n.tb.Helper()
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// Isolate cuts a node off from all other nodes; clients in the test's namespace still reach it.
func (n *Network) Isolate(node int) {
	n.tb.Helper()
	for other := 1; other <= n.nodes; other++ {
		if other != node {
			n.Cut(node, other)
		}
	}
}

// Unplug takes a station's link down.
func (n *Network) Unplug(station int) {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.must("-n", n.middle(), "link", "set", fmt.Sprintf("to%d", station), "down")
	n.down[station] = true
}

// Heal undoes every cut.
func (n *Network) Heal() {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for r := range n.rules {
		n.must(n.rule("del", r[0], r[1])...)
	}
	for station := range n.down {
		n.must("-n", n.middle(), "link", "set", fmt.Sprintf("to%d", station), "up")
	}
	clear(n.rules)
	clear(n.down)
}

func (n *Network) must(args ...string) {
	n.tb.Helper()
	if err := ip(args...); err != nil {
		n.tb.Fatal(err)
	}
}

func ip(args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command("ip", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

// sweepNamespaces removes those of processes that are gone.
func sweepNamespaces() {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		owner, ours := strings.CutPrefix(name, namespacePrefix)
		if !ours {
			continue
		}
		owner, _, _ = strings.Cut(owner, "-")
		if pid, err := strconv.Atoi(owner); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			ip("netns", "del", name)
		}
	}
}

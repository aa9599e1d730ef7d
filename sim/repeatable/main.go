package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// change replaces a text in a file of GOROOT/src.
type change struct{ file, from, to string }

const chance = `
// simState is where chance comes from in a simulation.
var simState uint64

//go:linkname simSeed
func simSeed(seed uint64) { simState = seed }

//go:nosplit
func simBubble() bool {
	gp := getg().m.curg
	return gp != nil && gp.bubble != nil
}

//go:nosplit
func simNext() uint64 {
	simState += 0x9e3779b97f4a7c15
	z := simState
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

//go:nosplit
func simRandn(n uint32) uint32 {
	if simBubble() {
		return uint32(simNext()>>32) % n
	}
	return cheaprandn(n)
}
`

var changes = []change{
	{"runtime/rand.go", "var readRandomFailed bool\n", "var readRandomFailed bool\n" + chance},
	{"runtime/rand.go", "	globalRand.state.Init(*seed)\n", "	*seed = [32]byte{1}\n	globalRand.state.Init(*seed)\n"},
	{"runtime/rand.go", "func rand() uint64 {\n", "func rand() uint64 {\n	if simBubble() {\n		return simNext()\n	}\n"},
	{"runtime/rand.go", "	mp.cheaprand = rand()\n", "	mp.cheaprand = seed[0]\n"}, // threads are made when the machine likes
	{"runtime/select.go", "j := cheaprandn(uint32(norder + 1))\n", "j := simRandn(uint32(norder + 1))\n"},
	{"runtime/time.go", "t.rand = cheaprand()\n", "t.rand = simRandn(1 << 31)\n"},
	{"runtime/proc.go", "const forcePreemptNS = 10 * 1000 * 1000 // 10ms\n", "const forcePreemptNS = 3600 * 1000 * 1000 * 1000\n"},
	{"runtime/runtime2.go", "	waitReasonSyncCondWait:          true,\n",
		"	waitReasonSyncCondWait:          true,\n	waitReasonSyncMutexLock: true,\n	waitReasonSyncRWMutexLock: true,\n	waitReasonSyncRWMutexRLock: true,\n"},
	{"internal/sync/mutex.go", "starvationThresholdNs = 1e6\n", "starvationThresholdNs = 1e18\n"},
}

func main() {
	out := flag.String("out", "bin/sim", "directory to write the files to")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "repeatable:", err)
		os.Exit(1)
	}
}

func write(out string) error {
	root := filepath.Join(runtime.GOROOT(), "src")
	files := map[string]string{}
	for _, c := range changes {
		text, ok := files[c.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, c.file))
			if err != nil {
				return err
			}
			text = string(b)
		}
		if n := strings.Count(text, c.from); n != 1 {
			return fmt.Errorf("%s of %s has %d times: %q", c.file, runtime.Version(), n, c.from)
		}
		files[c.file] = strings.Replace(text, c.from, c.to, 1)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range files {
		path, err := filepath.Abs(filepath.Join(out, strings.ReplaceAll(name, "/", "_")+".txt"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		overlay.Replace[filepath.Join(root, name)] = path
	}
	b, err := json.MarshalIndent(overlay, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "overlay.json"), b, 0o644)
}

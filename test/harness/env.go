package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cleanEnv is the environment without the product's own variables and the suites': a broker under test is set up by its
// command line alone.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CHRONIK_") })
}

// Peer is the name of the foreign implementation under test, "" for Chronik itself.
func Peer() string { return os.Getenv("CHRONIK_TEST_PEER") }

// SkipOnPeer skips a test of a rule that the named peer is known to break; reason says what it does instead.
func SkipOnPeer(tb testing.TB, peer, reason string) {
	tb.Helper()
	if Peer() == peer {
		tb.Skipf("known deviation of %s: %s", peer, reason)
	}
}

// ModuleDir is the directory of this module, the repository's test/.
func ModuleDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// CacheDir returns test/.cache/<elem...>, made if missing. It is not committed and may be deleted at any time.
func CacheDir(elem ...string) string {
	dir := filepath.Join(append([]string{ModuleDir(), ".cache"}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		panic(err)
	}
	return dir
}

// Binary is the path of the binary under test: CHRONIK_BIN, or one built from this repository, once a process.
var Binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("CHRONIK_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp(CacheDir("bin"), "build-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, "chronik-server")
	cmd := exec.Command("go", "build", "-o", tmp, "./cmd/chronik-server")
	cmd.Dir = filepath.Dir(ModuleDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s in %s: %w\n%s", cmd, cmd.Dir, err, out)
	}
	bin := filepath.Join(CacheDir("bin"), "chronik-server")
	return bin, os.Rename(tmp, bin) // test packages run side by side: each replaces the file atomically
})

// startLocked starts a command from a thread that outlives it, so that Pdeathsig fires only with this process.
func startLocked(cmd *exec.Cmd) error {
	errc := make(chan error)
	starter.Do(func() {
		go func() {
			runtime.LockOSThread() // never unlocked: the thread lives as long as the process
			for job := range starts {
				job.err <- job.cmd.Start()
			}
		}()
	})
	starts <- start{cmd, errc}
	return <-errc
}

type start struct {
	cmd *exec.Cmd
	err chan error
}

var (
	starts  = make(chan start)
	starter sync.Once
)

// TempDir makes a directory that is removed when the test ends, unless CHRONIK_TEST_KEEP is 1.
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "chronik-test-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if os.Getenv("CHRONIK_TEST_KEEP") == "1" {
			tb.Logf("kept %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
}

// FreePorts returns n different TCP ports on loopback that nobody listens on and that no other process of these suites is
// given while this one lives: a broker must find its port again after it was down. They lie below the ephemeral range: a
// client that dials a port of a broker that is down could otherwise be given that very port as its own and connect to
// itself.
func FreePorts(tb testing.TB, n int) []int {
	tb.Helper()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		port := 10240 + rand.IntN(20000)
		err := reserve(port)
		if err == nil {
			ports = append(ports, port)
		} else if tries > 1000 {
			tb.Fatal(err)
		}
	}
	return ports
}

// reserved keeps the lock files open: the locks last as long as the process.
var reserved struct {
	sync.Mutex
	files map[int]*os.File
}

// reserve takes a port for this process, by a lock on a file that is named after it.
func reserve(port int) error {
	reserved.Lock()
	defer reserved.Unlock()
	if reserved.files[port] != nil {
		return fmt.Errorf("port %d is taken", port)
	}
	f, err := lock(strconv.Itoa(port))
	if err != nil {
		return fmt.Errorf("port %d is taken: %w", port, err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		f.Close()
		return err
	}
	l.Close()
	if reserved.files == nil {
		reserved.files = map[int]*os.File{}
	}
	reserved.files[port] = f
	return nil
}

// Eventually polls f until it returns nil and fails the test with its last error when that takes longer than limit.
func Eventually(tb testing.TB, limit time.Duration, what string, f func() error) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(10 * time.Millisecond) // polling step
	}
}

// lock takes a name among the processes of these suites, for as long as the file is open.
func lock(name string) (*os.File, error) {
	dir := filepath.Join(os.TempDir(), "chronik-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

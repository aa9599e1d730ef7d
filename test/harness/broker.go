package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readyMax bounds the wait for /ready; a broker that needs it is broken, not slow.
const readyMax = 60 * time.Second

// stopMax bounds the wait for an exit after SIGTERM.
const stopMax = 60 * time.Second

// Config says how a broker is to be started. The zero value is a broker with an empty directory and default settings.
type Config struct {
	Dir  string            // data directory; "" makes a temporary one that is removed with the test
	Set  map[string]string // --set name=value
	Args []string          // further arguments
	Env  []string          // further NAME=value pairs
	File string            // content of a chronik.toml; "" for none
	// Limit is how many descriptors the process may have; 0: as many as this one.
	Limit int

	member *member // of a cluster; nil for a broker that is alone
}

// Broker is one broker under test.
type Broker struct {
	ID   int32  // node id
	Addr string // host:port of the Kafka listener
	HTTP string // http://host:port of /metrics, /health and /ready; "" for a foreign broker
	Dir  string // data directory; "" for a foreign broker
	Log  string // file that holds what the process printed

	cfg         Config
	kafka, http int
	tapped      int      // port of the tap that clients go through; 0: none
	file        string   // the chronik.toml; "" for none
	cluster     *Cluster // that it is a node of; nil for a broker that is alone
	mu          sync.Mutex
	proc        *process
	paused      bool
	client      *kgo.Client // of Request
}

// process is one run of the binary.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process was reaped
	err  error         // result of Wait; valid after done
}

// ErrPortTaken is a process that ended because somebody else listens on one of its ports.
var ErrPortTaken = errors.New("a port was taken meanwhile")

// startsMax is how many sets of ports are tried.
const startsMax = 5

// Start runs a broker until the test ends and returns once it is ready. With CHRONIK_TEST_NODES it runs a cluster of as
// many nodes with those settings, and returns the first.
func Start(tb testing.TB, cfg Config) *Broker {
	tb.Helper()
	if addr := os.Getenv("CHRONIK_TEST_BOOTSTRAP"); addr != "" {
		if cfg.Dir != "" || len(cfg.Set)+len(cfg.Args)+len(cfg.Env)+cfg.Limit > 0 {
			tb.Skipf("CHRONIK_TEST_BOOTSTRAP=%s is a running broker: this test needs one with its own settings", addr)
		}
		return &Broker{Addr: addr, ID: 1}
	}
	if n := Nodes(tb); n > 1 {
		if cfg.Dir != "" || cfg.Limit > 0 {
			tb.Skip("CHRONIK_TEST_NODES: this test is about one process")
		}
		c := StartCluster(tb, ClusterConfig{Nodes: n, Set: cfg.Set, Args: cfg.Args, Env: cfg.Env, File: cfg.File})
		return c.Nodes[0]
	}
	for try := 1; ; try++ {
		b := Prepare(tb, cfg)
		_, err := b.Launch()
		if err == nil {
			return b
		}
		if try == startsMax || !errors.Is(err, ErrPortTaken) {
			tb.Fatal(err)
		}
	}
}

// Nodes is how many nodes Start runs: CHRONIK_TEST_NODES, else 1.
func Nodes(tb testing.TB) int {
	v := os.Getenv("CHRONIK_TEST_NODES")
	if v == "" {
		return 1
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		tb.Fatalf("CHRONIK_TEST_NODES=%q: want a number of nodes", v)
	}
	return n
}

// Bootstrap is what clients are given: the addresses of all nodes of its cluster, separated by commas.
func (b *Broker) Bootstrap() string {
	if b.cluster == nil {
		return b.Addr
	}
	return b.cluster.Bootstrap()
}

// Cluster is the cluster that it is a node of; nil for a broker that is alone.
func (b *Broker) Cluster() *Cluster { return b.cluster }

// Prepare chooses ports and a directory without starting anything; Launch starts it.
func Prepare(tb testing.TB, cfg Config) *Broker {
	tb.Helper()
	root := TempDir(tb)
	b := &Broker{ID: 1, cfg: cfg, Dir: cfg.Dir, Log: filepath.Join(root, "broker.log")}
	if m := cfg.member; m != nil {
		b.ID = m.id
	}
	if b.Dir == "" {
		b.Dir = filepath.Join(root, "data")
	}
	if cfg.File != "" {
		b.file = filepath.Join(root, "chronik.toml")
		if err := os.WriteFile(b.file, []byte(cfg.File), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	ports := FreePorts(tb, 2)
	b.kafka, b.http = ports[0], ports[1]
	b.Addr = net.JoinHostPort(b.host(), strconv.Itoa(b.kafka))
	if dir := os.Getenv("CHRONIK_RECORD"); dir != "" {
		b.tapped = tap(tb, dir, b.Addr)
		b.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(b.tapped))
	}
	b.HTTP = "http://" + net.JoinHostPort(b.host(), strconv.Itoa(b.http))
	if _, err := Binary(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		b.Kill()
		b.hangUp()
		if tb.Failed() {
			tb.Logf("broker %d at %s, data %s, last lines of its log:\n%s", b.ID, b.Addr, b.Dir, Tail(b.Log, 40))
		}
	})
	return b
}

// Args is the command line, without the program's name.
func (b *Broker) Args() []string {
	args := []string{
		"--bind-addr", b.host(), "--advertised-addr", b.host(),
		"--kafka-port", strconv.Itoa(b.kafka), "--metrics-port", strconv.Itoa(b.http), "--data-dir", b.Dir,
	}
	if b.tapped != 0 {
		args = append(args, "--advertised-port", strconv.Itoa(b.tapped))
	}
	if b.file != "" {
		args = append(args, "--config", b.file)
	}
	for name, value := range b.cfg.Set {
		args = append(args, "--set", name+"="+value)
	}
	args = append(args, b.cfg.Args...)
	if b.cfg.member != nil {
		args = append(args, b.cfg.member.args()...)
	}
	return args
}

// host is where it listens.
func (b *Broker) host() string {
	if b.cfg.member != nil {
		return b.cfg.member.host
	}
	return "127.0.0.1"
}

// Launch starts the process and waits until it is ready and knows who leads each of its partitions; it returns how long
// that took.
func (b *Broker) Launch() (time.Duration, error) {
	start := time.Now()
	p, err := b.spawn()
	if err != nil {
		return 0, err
	}
	if err := b.awaitReady(p, start); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// AwaitReady waits until the process that Spawn started is ready and knows who leads each of its partitions.
func (b *Broker) AwaitReady() error {
	b.mu.Lock()
	p := b.proc
	b.mu.Unlock()
	if p == nil {
		return fmt.Errorf("broker %d does not run", b.ID)
	}
	return b.awaitReady(p, time.Now())
}

// Spawn starts the process and does not wait for it: Kill may follow at any moment.
func (b *Broker) Spawn() error {
	_, err := b.spawn()
	return err
}

func (b *Broker) spawn() (*process, error) {
	b.hangUp() // connections to the last process
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(b.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	argv := append([]string{bin}, b.Args()...)
	if m := b.cfg.member; m != nil && m.namespace != "" {
		argv = append([]string{"ip", "netns", "exec", m.namespace}, argv...) // becomes the process, with the same id
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	if n := b.cfg.Limit; n > 0 {
		cmd = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, n), bin}, b.Args()...)...)
	}
	cmd.Env = append(cleanEnv(), b.cfg.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	if err := startLocked(cmd); err != nil {
		return nil, err
	}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	b.mu.Lock()
	b.proc, b.paused = p, false
	b.mu.Unlock()
	return p, nil
}

func (b *Broker) awaitReady(p *process, start time.Time) error {
	client := http.Client{Timeout: 5 * time.Second}
	reason := ""
	for time.Since(start) < readyMax {
		select {
		case <-p.done:
			err := fmt.Errorf("%s ended before it was ready: %v\n%s", p.cmd, p.err, Tail(b.Log, 40))
			if strings.Contains(Tail(b.Log, 3), "address already in use") {
				err = errors.Join(ErrPortTaken, err)
			}
			return err
		default:
		}
		resp, err := client.Get(b.HTTP + "/ready")
		if err == nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
			resp.Body.Close()
			reason = string(body)
			if resp.StatusCode == http.StatusOK {
				why := b.leaderless()
				if why == nil {
					return nil
				}
				reason = why.Error()
			}
		}
		time.Sleep(time.Millisecond) // polling step
	}
	return fmt.Errorf("%s is not ready after %v (it says %q)\n%s", p.cmd, readyMax, reason, Tail(b.Log, 40))
}

// leaderless says why a cluster's node does not know a leader of each of its partitions: it may be ready without. One
// that stands alone has them when it is ready.
func (b *Broker) leaderless() error {
	if b.cfg.member == nil {
		return nil
	}
	m, err := b.Metadata(context.Background())
	if err != nil {
		return err
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Leader < 0 && slices.Contains(p.Replicas, b.ID) {
				return fmt.Errorf("%s-%d has no leader", *t.Topic, p.Partition)
			}
		}
	}
	return nil
}

// Owned reports whether the process is ours; the tests that kill it are skipped when it is not.
func (b *Broker) Owned(tb testing.TB) {
	tb.Helper()
	if b.HTTP == "" {
		tb.Skip("CHRONIK_TEST_BOOTSTRAP is a running broker: this test must own the process")
	}
}

// PID is the process id of the current run, 0 when none runs.
func (b *Broker) PID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc == nil {
		return 0
	}
	return b.proc.cmd.Process.Pid
}

// Running reports whether the process has not ended.
func (b *Broker) Running() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc == nil {
		return false
	}
	select {
	case <-b.proc.done:
		return false
	default:
		return true
	}
}

// kill sends SIGKILL and leaves the rest to Kill.
func (b *Broker) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc != nil {
		b.proc.cmd.Process.Kill()
	}
}

// Kill ends the process with SIGKILL and reaps it. Without a process it does nothing.
func (b *Broker) Kill() {
	if p := b.take(); p != nil {
		p.cmd.Process.Kill()
		<-p.done
	}
}

// Pause stops the process with SIGSTOP: its connections stay, and nothing on them is answered.
func (b *Broker) Pause() error { return b.signal(syscall.SIGSTOP, true) }

// Resume lets it go on.
func (b *Broker) Resume() error { return b.signal(syscall.SIGCONT, false) }

func (b *Broker) signal(s syscall.Signal, paused bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc == nil {
		return fmt.Errorf("broker %d does not run", b.ID)
	}
	b.paused = paused
	return b.proc.cmd.Process.Signal(s)
}

// Serving reports whether it runs and was not paused.
func (b *Broker) Serving() bool {
	if !b.Running() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.paused
}

// Terminate sends SIGTERM and does not wait for the exit; Wait does.
func (b *Broker) Terminate() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc == nil {
		return fmt.Errorf("broker %d does not run", b.ID)
	}
	return b.proc.cmd.Process.Signal(syscall.SIGTERM)
}

// Stop sends SIGTERM, waits for the exit and returns its status; an error means that it had to be killed.
func (b *Broker) Stop() (int, error) {
	p := b.take()
	if p == nil {
		return 0, errors.New("no process runs")
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return p.wait()
}

// Wait waits for the exit after a signal that the caller sent, like Stop.
func (b *Broker) Wait() (int, error) {
	p := b.take()
	if p == nil {
		return 0, errors.New("no process runs")
	}
	return p.wait()
}

// wait returns the exit status; a process that goes on for too long is killed.
func (p *process) wait() (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(stopMax):
		p.cmd.Process.Kill()
		<-p.done
		return -1, fmt.Errorf("pid %d still ran %v after the signal", p.cmd.Process.Pid, stopMax)
	}
}

func (b *Broker) take() *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.proc
	b.proc = nil
	return p
}

// Run starts the binary with args, waits for its end and returns its status and what it printed.
func Run(tb testing.TB, deadline time.Duration, args ...string) (status int, stdout, stderr string) {
	tb.Helper()
	bin, err := Binary()
	if err != nil {
		tb.Fatal(err)
	}
	var o, e bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Env = cleanEnv()
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := startLocked(cmd); err != nil {
		tb.Fatal(err)
	}
	timer := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	if !timer.Stop() {
		tb.Fatalf("%s still ran after %v\nstdout: %s\nstderr: %s", cmd, deadline, o.String(), e.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// Tail returns the last n lines of a file, or why it cannot be read.
func Tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// broker is a chronik-server that lives as long as the demo.
type broker struct {
	addr string
	dir  string
	cmd  *exec.Cmd
	done chan error
}

// startBroker runs bin, or the repository's own build, on free ports with an empty directory, and waits for /ready.
func startBroker(ctx context.Context, bin string) (*broker, error) {
	dir, err := os.MkdirTemp("", "chronik-demo-")
	if err != nil {
		return nil, err
	}
	if bin == "" {
		bin = filepath.Join(dir, "chronik-server")
		cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/chronik-server")
		cmd.Dir = filepath.Dir(filepath.Dir(sourceDir()))
		if out, err := cmd.CombinedOutput(); err != nil {
			os.RemoveAll(dir)
			return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	kafka, metrics, err := freePorts()
	if err != nil {
		return nil, err
	}
	b := &broker{addr: net.JoinHostPort("127.0.0.1", kafka), dir: dir, done: make(chan error, 1)}
	b.cmd = exec.Command(bin, "--bind-addr", "127.0.0.1", "--advertised-addr", "127.0.0.1", "--kafka-port", kafka,
		"--metrics-port", metrics, "--data-dir", filepath.Join(dir, "data"), "--log-level", "warn")
	b.cmd.Stderr = os.Stderr
	start := time.Now()
	if err := b.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	go func() { b.done <- b.cmd.Wait() }()
	if err := b.awaitReady(ctx, "http://"+net.JoinHostPort("127.0.0.1", metrics)+"/ready"); err != nil {
		b.stop()
		return nil, err
	}
	fmt.Printf("broker    %s, pid %d, ready in %v\n", b.addr, b.cmd.Process.Pid, time.Since(start).Round(time.Millisecond))
	return b, nil
}

func (b *broker) awaitReady(ctx context.Context, url string) error {
	client := http.Client{Timeout: time.Second}
	for {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-b.done:
			b.done <- err
			return fmt.Errorf("%s ended before it was ready: %w", b.cmd, err)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", b.cmd, ctx.Err())
		case <-time.After(2 * time.Millisecond): // polling step
		}
	}
}

// stop ends the process and removes its directory.
func (b *broker) stop() {
	b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.done:
	case <-time.After(30 * time.Second):
		b.cmd.Process.Kill()
		<-b.done
	}
	os.RemoveAll(b.dir)
}

// freePorts names two ports that were free a moment ago.
func freePorts() (string, string, error) {
	var ports [2]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		_, ports[i], _ = net.SplitHostPort(l.Addr().String())
	}
	return ports[0], ports[1], nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// recovery is a way in which a log was left and is taken up again.
type recovery struct {
	label, op string
	clean     bool // closed, against a process that was killed
	read      bool // and every entry is read once
}

var recoveries = []recovery{
	{"closed", "open", true, false},
	{"killed", "open after the writer was killed", false, false},
	{"closed, all read", "open and read every entry", true, true},
}

const recoverSize = 4 << 10

// recover measures from open until the log takes an append. The log was
// written by another process, so that a kill is one.
func (b *bench) recover(dir string, how recovery) ([]result, error) {
	var some []contender
	var all []*work
	for _, c := range contenders {
		if !c.raw {
			some, all = append(some, c), append(all, &work{contender: c})
		}
	}
	samples := make([]sample, len(some))
	for round := range b.recoverRounds {
		for k := range some {
			k = (k + round) % len(some)
			d := filepath.Join(dir, some[k].name)
			if round == 0 || !how.clean {
				left := leftKilled
				if how.clean {
					left = leftClosed
				}
				if err := refill(some[k], d, b.recoverBytes, left); err != nil {
					return nil, fmt.Errorf("%s: %w", some[k].name, err)
				}
			}
			if err := b.reopen(some[k], d, how, &samples[k]); err != nil {
				return nil, fmt.Errorf("%s: %w", some[k].name, err)
			}
		}
	}
	out := make([]result, len(some))
	for i := range some {
		out[i] = samples[i].result(all[i])
		out[i].device = 0
	}
	return out, nil
}

func (b *bench) reopen(c contender, dir string, how recovery, s *sample) error {
	runtime.GC()
	if b.limits.settle {
		settle(dir)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	l, err := c.open(dir, options{sync: true, shared: &b.shared})
	if err != nil {
		return err
	}
	read := int64(0)
	if how.read {
		err = l.ReadAll(func(_ uint64, p []byte) error { touch(p); read += int64(len(p)); return nil })
	}
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	if err == nil && how.read && read != b.recoverBytes {
		err = fmt.Errorf("%d bytes came back, %d were appended", read, b.recoverBytes)
	}
	if err == nil && b.check {
		err = verify(l, newEntries(recoverSize, 1), uint64(b.recoverBytes/recoverSize))
	}
	s.latencies, s.means = append(s.latencies, took), append(s.means, took)
	s.ops++
	s.bytes += b.recoverBytes
	s.mallocs += after.Mallocs - before.Mallocs
	return errors.Join(err, l.Close())
}

const fillVariable = "PEERS_FILL"

// How refill leaves a log: closed; synced, its process gone without a close; or
// its process gone with nothing but appends.
const (
	leftClosed   = "closed"
	leftKilled   = "killed"
	leftUnsynced = "unsynced"
)

// refill has a process of its own write a log anew.
func refill(c contender, dir string, bytes int64, left string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, c.name, dir, strconv.FormatInt(bytes, 10), left)
	cmd.Env = append(os.Environ(), fillVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("filling: %w: %s", err, out)
	}
	return nil
}

// filling tells that this process is one of refill's; it has done its work.
func filling() (bool, error) {
	if os.Getenv(fillVariable) == "" {
		return false, nil
	}
	name, dir := os.Args[1], os.Args[2]
	bytes, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		return true, err
	}
	for _, c := range contenders {
		if c.name != name {
			continue
		}
		l, err := c.open(dir, options{sync: name == "raft-wal", shared: new(shared)})
		if err != nil {
			return true, err
		}
		if err := fillAs(l, bytes, os.Args[4]); err != nil || os.Args[4] != leftClosed {
			return true, err
		}
		return true, l.Close()
	}
	return true, fmt.Errorf("no contender %q", name)
}

func fillAs(l log, bytes int64, left string) error {
	if left != leftUnsynced {
		_, _, err := fill(l, recoverSize, bytes)
		return err
	}
	e := newEntries(recoverSize, 1)
	for i := range uint64(bytes / recoverSize) {
		if err := l.Append(i+1, e.batch(i+1)); err != nil {
			return err
		}
	}
	return nil
}

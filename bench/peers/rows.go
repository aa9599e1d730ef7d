package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// row is one kind of work, done by each contender that can.
type row struct {
	group string // a panel of the plot
	label string // where in the panel
	op    string // what one operation is
	run   func(b *bench, dir string) ([]result, error)
}

func (r row) name() string { return r.group + ", " + r.label }

const batchBytesMax = 8 << 20

func (b *bench) rows() []row {
	var rows []row
	for _, sync := range []bool{true, false} {
		for _, batch := range b.batches {
			for _, size := range b.sizes {
				n := min(batch, max(1, batchBytesMax/size))
				rows = append(rows, row{
					group: fmt.Sprintf("append, %s, batches of %d", syncName(sync), batch), label: sizeName(size),
					op:  fmt.Sprintf("%d x %s", n, sizeName(size)),
					run: func(b *bench, dir string) ([]result, error) { return b.append(dir, size, n, sync) },
				})
			}
		}
	}
	for _, size := range b.sizes {
		rows = append(rows, row{group: "read back in order", label: sizeName(size), op: "the whole log",
			run: func(b *bench, dir string) ([]result, error) { return b.read(dir, size, false) }})
	}
	for _, size := range b.sizes {
		rows = append(rows, row{group: "read one by index", label: sizeName(size), op: "one entry",
			run: func(b *bench, dir string) ([]result, error) { return b.read(dir, size, true) }})
	}
	for _, how := range recoveries {
		rows = append(rows, row{group: "open " + bytesName(b.recoverBytes) + " of 4KiB entries", label: how.label, op: how.op,
			run: func(b *bench, dir string) ([]result, error) { return b.recover(dir, how) }})
	}
	for _, n := range b.logs {
		rows = append(rows, row{group: "4KiB into each of N logs, synced", label: fmt.Sprint(n), op: "all of them",
			run: func(b *bench, dir string) ([]result, error) { return b.many(dir, n) }})
	}
	return rows
}

// syncLeast is less than any device takes for a synced append.
const syncLeast = 40 * time.Microsecond

// append measures appends of one batch.
func (b *bench) append(dir string, size, batch int, sync bool) ([]result, error) {
	o := options{sync: sync, shared: &b.shared}
	least := 700 * time.Nanosecond
	if sync {
		least = syncLeast
	}
	l, room := b.limits.bound(size*batch, least)
	var logs []func() error
	all, err := each(dir, o, nil, func(c contender, lg log) (*work, error) {
		e, next := newEntries(size, batch), uint64(1)
		w := &work{op: func() (int64, error) {
			err := lg.Append(next, e.batch(next))
			next += uint64(batch)
			return int64(size * batch), err
		}}
		if p, ok := lg.(preparer); ok {
			w.prepare = func() error { return p.Prepare(room) }
		}
		if w.prepare != nil {
			if err := w.prepare(); err != nil {
				return nil, err
			}
		}
		if _, err := w.op(); err != nil { // the first makes files and buffers
			return nil, err
		}
		logs = append(logs, func() error { return b.compare(c, lg, filepath.Join(dir, c.name), o, e, next-1) })
		w.close = func() error { return nil }
		return w, nil
	})
	if err != nil {
		return nil, errors.Join(err, closeAll(all))
	}
	out, err := measure(dir, all, l)
	for _, done := range logs {
		err = errors.Join(err, done())
	}
	return out, err
}

// compare closes a log, and when the run is a check reads it back before and
// after: every entry must be what was appended.
func (b *bench) compare(c contender, l log, dir string, o options, e *entries, last uint64) error {
	if !b.check {
		return l.Close()
	}
	if err := verify(l, e, last); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", c.name, err), l.Close())
	}
	if err := l.Close(); err != nil || c.raw {
		return err
	}
	l, err := c.open(dir, o)
	if err != nil {
		return fmt.Errorf("%s: opened again: %w", c.name, err)
	}
	if err := verify(l, e, last); err != nil {
		return errors.Join(fmt.Errorf("%s: opened again: %w", c.name, err), l.Close())
	}
	return l.Close()
}

// verify reads all of a log and a few entries by index.
func verify(l log, e *entries, last uint64) error {
	want := uint64(1)
	err := l.ReadAll(func(i uint64, p []byte) error {
		if i != want || !bytes.Equal(p, e.payload(i)) {
			return fmt.Errorf("entry %d of %d bytes is not entry %d as it was appended", i, len(p), want)
		}
		want++
		return nil
	})
	if err != nil {
		return err
	}
	if want != last+1 {
		return fmt.Errorf("%d entries came back, %d were appended", want-1, last)
	}
	for _, i := range []uint64{1, (last + 1) / 2, last} {
		same := false
		err := l.Read(i, func(p []byte) { same = bytes.Equal(p, e.payload(i)) })
		if errors.Is(err, errUnsupported) {
			return nil
		}
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("entry %d read by its index is not as it was appended", i)
		}
	}
	return nil
}

// fill appends bytes of payload and makes them durable.
func fill(l log, size int, bytes int64) (*entries, uint64, error) {
	batch := max(1, min(1024, (1<<20)/size))
	e, next := newEntries(size, batch), uint64(1)
	if p, ok := l.(preparer); ok {
		if err := p.Prepare(bytes + int64(batch*size)); err != nil {
			return nil, 0, err
		}
	}
	for done := int64(0); done < bytes; done += int64(batch * size) {
		if err := l.Append(next, e.batch(next)); err != nil {
			return nil, 0, err
		}
		next += uint64(batch)
	}
	return e, next - 1, l.Sync()
}

var sink byte

// touch takes a byte of every cache line, as a consumer of the entry would.
func touch(p []byte) {
	s := byte(0)
	for i := 0; i < len(p); i += 64 {
		s += p[i]
	}
	sink += s
}

// read measures reading what is in the page cache.
func (b *bench) read(dir string, size int, random bool) ([]result, error) {
	bytes := min(b.readBytes, int64(size)<<18)
	all, err := each(dir, options{shared: &b.shared, sync: false}, nil, func(c contender, l log) (*work, error) {
		return b.reader(c, l, size, bytes, random)
	})
	// raft-wal does not open without syncs; here it does not matter.
	if err == nil {
		var synced []*work
		synced, err = each(dir, options{shared: &b.shared, sync: true}, func(c contender) bool { return c.name == "raft-wal" }, func(c contender, l log) (*work, error) {
			return b.reader(c, l, size, bytes, random)
		})
		all = append(all, synced...)
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(all))
	}
	out, err := measure(dir, all, b.limits)
	return out, errors.Join(err, closeAll(all))
}

func (b *bench) reader(_ contender, l log, size int, bytes int64, random bool) (*work, error) {
	e, last, err := fill(l, size, bytes)
	if err != nil {
		return nil, err
	}
	if b.check {
		if err := verify(l, e, last); err != nil {
			return nil, err
		}
	}
	total := int64(0)
	w := &work{op: func() (int64, error) {
		total = 0
		err := l.ReadAll(func(_ uint64, p []byte) error { touch(p); total += int64(len(p)); return nil })
		return total, err
	}}
	if random {
		if errors.Is(l.Read(1, touch), errUnsupported) {
			return nil, nil
		}
		r := rand.New(rand.NewPCG(1, 2))
		w.op = func() (int64, error) { return int64(size), l.Read(1+r.Uint64N(last), touch) }
	}
	if err := l.ReadAll(func(_ uint64, p []byte) error { touch(p); return nil }); err != nil { // into the caches
		return nil, err
	}
	return w, nil
}

// many measures one round of 4 KiB in each of n logs, each with a goroutine of
// its own, until all are durable.
func (b *bench) many(dir string, n int) ([]result, error) {
	const size = 4 << 10
	o := options{sync: true, segmentBytes: 16 << 20, shared: &b.shared}
	l, room := b.limits.bound(size*n, syncLeast)
	var all []*work
	for _, c := range contenders {
		w, err := b.crowd(c, filepath.Join(dir, c.name), o, n, size, room/int64(n))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", c.name, err), closeAll(all))
		}
		all = append(all, w)
	}
	out, err := measure(dir, all, l)
	return out, errors.Join(err, closeAll(all))
}

func (b *bench) crowd(c contender, dir string, o options, n, size int, prepare int64) (*work, error) {
	var members []*member
	var round sync.WaitGroup
	closeMembers := func() error {
		var errs []error
		for i, m := range members {
			close(m.start)
			<-m.ended
			errs = append(errs, m.err, b.compare(c, m.log, filepath.Join(dir, fmt.Sprint(i)), o, m.entries, m.next-1))
		}
		return errors.Join(errs...)
	}
	for i := range n {
		d := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, errors.Join(err, closeMembers())
		}
		l, err := c.open(d, o)
		if err != nil {
			return nil, errors.Join(err, closeMembers())
		}
		m := &member{log: l, entries: newEntries(size, 1), next: 1, start: make(chan struct{}), ended: make(chan struct{})}
		members = append(members, m)
		go m.run(&round)
	}
	w := &work{contender: c, close: closeMembers}
	w.op = func() (int64, error) {
		round.Add(n)
		for _, m := range members {
			m.start <- struct{}{}
		}
		round.Wait()
		for _, m := range members {
			if m.err != nil {
				return 0, m.err
			}
		}
		return int64(n * size), nil
	}
	w.prepare = func() error {
		for _, m := range members {
			if p, ok := m.log.(preparer); ok {
				if err := p.Prepare(prepare); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return w, nil
}

// member is one of n logs with its goroutine.
type member struct {
	log     log
	entries *entries
	next    uint64
	start   chan struct{}
	ended   chan struct{}
	err     error
}

func (m *member) run(round *sync.WaitGroup) {
	defer close(m.ended)
	for range m.start {
		if err := m.log.Append(m.next, m.entries.batch(m.next)); err != nil {
			m.err = err
		}
		m.next++
		round.Done()
	}
}

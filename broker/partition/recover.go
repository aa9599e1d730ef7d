package partition

import (
	"errors"
	"fmt"
	"runtime/debug"

	"chronik/broker/partition/frames"
	"chronik/broker/partition/producers"
	"chronik/broker/partition/txns"
	"chronik/kafka/batch"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

// replayBytes is how much of the log one step of a replay looks at.
const replayBytes = 4 << 20

// replay is a ledger that is made from the log: from the newest checkpoint, and
// the frames behind it.
type replay struct {
	p      *Partition
	cut    int // p.cuts when it began: frames that were replaced since may be in it
	ledger *txns.Ledger
	of     producers.AsOf
	starts []startEntry // found on the way; they may not be committed
}

// startReplay begins one. Of a checkpoint of version 1, which does not say at
// which index it ends, the segments do.
func (p *Partition) startReplay() (*replay, error) {
	p.mu.Lock()
	r := &replay{p: p, cut: p.cuts, ledger: txns.NewLedger(p.written)}
	p.mu.Unlock()
	blob, end, ok := p.log.Checkpoint()
	if ok {
		r.of.Offset = end
		for _, g := range p.log.Segments() {
			if g.Sealed && g.NextOffset <= end {
				r.of.Next = g.LastIndex + 1
			}
		}
	}
	if err := r.ledger.Load(blob, int64(end), &r.of); err != nil {
		return nil, fmt.Errorf("%s-%d: %w", p.opt.Topic, p.opt.Partition, err)
	}
	return r, nil
}

// read takes in the log as far as it goes.
func (r *replay) read() error {
	log := r.p.log
	now := r.p.opt.Clock.Now().UnixMilli() // when they wrote is not in the log: their records' times are their own
	var scratch []segment.Entry
	for {
		r.of.Next = max(r.of.Next, log.FirstIndex())
		last := log.LastIndex()
		if r.of.Next > last {
			return nil
		}
		fs, ref, err := log.Frames(r.of.Next, last+1, replayBytes, scratch[:0])
		if errors.Is(err, wal.ErrCompacted) || errors.Is(err, wal.ErrUnavailable) {
			continue // the log start has moved meanwhile, or the end is being replaced
		}
		if err != nil {
			return fmt.Errorf("replay %s-%d from index %d: %w", r.p.opt.Topic, r.p.opt.Partition, r.of.Next, err)
		}
		scratch = fs
		err = r.take(fs, now)
		ref.Release()
		if err != nil {
			return fmt.Errorf("replay %s-%d: %w", r.p.opt.Topic, r.p.opt.Partition, err)
		}
	}
}

// take notes what is in entries.
func (r *replay) take(entries []segment.Entry, now int64) (err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "batch headers", &err)
	for i := range entries {
		f := &entries[i]
		if f.Count > 0 {
			if err := observe(r.ledger, f, int64(r.of.Offset), now); err != nil {
				return err
			}
		} else if offset, ok := frames.ParseStart(f.Payload); ok && f.Kind == segment.KindData {
			r.starts = append(r.starts, startEntry{f.Index, offset})
		}
		r.of.Next = f.Index + 1
	}
	return nil
}

// observe records the batches of a frame that are not below an offset.
func observe(l *txns.Ledger, f *segment.Entry, from, now int64) error {
	for rest := f.Payload; len(rest) > 0; {
		h, tail, err := batch.Next(rest)
		if err != nil {
			return fmt.Errorf("index %d: %w", f.Index, err)
		}
		if h.BaseOffset() >= from {
			l.Observe(h, h.BaseOffset(), now)
		}
		rest = tail
	}
	return nil
}

// recoverLedger makes the ledger cover the log, unless it does
// already. It goes on as long as the log grows meanwhile, and begins again when
// its end is replaced.
func (p *Partition) recoverLedger() (*replay, error) {
	for {
		r, err := p.startReplay()
		for done := false; err == nil; {
			if err = r.read(); err == nil {
				if done, err = r.install(); done {
					return r, err
				}
			}
		}
		if !errors.Is(err, errReplaced) && !r.replaced() {
			return nil, err
		}
	}
}

var errReplaced = errors.New("the end of the log was replaced")

// replaced reports whether what was read may no longer be in the log: an error
// of the replay then has no other meaning.
func (r *replay) replaced() bool {
	if r == nil {
		return false
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.cut != r.p.cuts
}

// install puts the ledger in its place if it covers the log.
func (r *replay) install() (done bool, err error) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.current:
		return true, nil // somebody was faster
	case p.failure != nil:
		return true, p.failure
	case r.cut != p.cuts:
		return false, errReplaced
	case r.of.Next <= p.last && p.last >= p.log.FirstIndex():
		return false, nil
	}
	r.ledger.Settle(p.written)
	p.ledger, p.current = r.ledger, true
	p.wakeLocked() // the last stable offset is known
	return true, nil
}

// rebuildLocked has the ledger made anew, beside the shard.
func (p *Partition) rebuildLocked() {
	if p.rebuilding || p.failure != nil {
		return
	}
	p.rebuilding = true
	p.beside.Go(func() {
		_, err := p.recoverLedger()
		p.mu.Lock()
		p.rebuilding = false
		again := err == nil && !p.current && !p.leading
		if again {
			p.rebuildLocked()
		}
		over := p.failure != nil || p.current // closed, or somebody was luckier
		p.mu.Unlock()
		if err != nil && !over {
			p.abandon(err)
		}
	})
}

// abandon takes a partition out of service whose log cannot be read: it leaves
// the raft group too, so that another replica may lead.
func (p *Partition) abandon(err error) {
	(*machine)(p).Failed(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.beside.Go(func() {
		if err := p.opt.Host.Remove(p.opt.GroupID); err != nil && !errors.Is(err, multiraft.ErrUnknownGroup) {
			p.opt.Logger.Error("cannot leave the raft group", "topic", p.opt.Topic, "partition", p.opt.Partition, "err", err)
		}
	})
}

// checkpoint is asked for by the log when it seals a segment that ends at
// end. It runs on the shard, inside the append of the frame behind it. Nothing
// is checkpointed while the ledger does not cover the log, or covers an end that
// has just been replaced, before Appended tells: recovery then reads from an
// older checkpoint, or all of the log.
func (p *Partition) checkpoint(end segment.Offset) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.current {
		return nil
	}
	if term, err := p.log.Term(p.last); err != nil || term != p.lastTerm { // the same index and term: the same log so far
		return nil
	}
	of := producers.AsOf{Offset: end, Next: p.last + 1, Start: p.start.Load()}
	if !p.leading { // what is being appended is noted when it is
		of.Offset = min(end, segment.Offset(p.written))
	}
	return p.ledger.Checkpoint(of, int64(end), p.LogStart(), p.sealedAt)
}

// ExpireProducers forgets producers that last wrote before the given time in
// ms and have no transaction open (P27); those that were found by replaying the
// log wrote when it was opened.
func (p *Partition) ExpireProducers(before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger.Expire(before)
}

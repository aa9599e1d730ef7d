package main

import (
	"sync"

	"chronik/segment"
	"chronik/wal"
)

// chronikShared is the syncer that a node has for all of its logs.
type chronikShared struct {
	once   sync.Once
	syncer *wal.Syncer
}

func (s *chronikShared) get() *wal.Syncer {
	s.once.Do(func() { s.syncer = wal.NewSyncer(wal.SyncerOptions{}) })
	return s.syncer
}

func (s *chronikShared) close() {
	if s.syncer != nil {
		s.syncer.Close()
	}
}

type chronikLog struct {
	l       *wal.Log
	sync    bool
	entries []segment.Entry
}

func openChronik(dir string, o options) (log, error) {
	wo := wal.Options{Dir: dir, Syncer: o.shared.chronik.get()}
	if o.segmentBytes > 0 {
		wo.SegmentBytes = func() int64 { return o.segmentBytes }
	}
	l, _, err := wal.Open(wo)
	if err != nil {
		return nil, err
	}
	return &chronikLog{l: l, sync: o.sync}, nil
}

func (c *chronikLog) Append(index uint64, payloads [][]byte) error {
	c.entries = c.entries[:0]
	for i, p := range payloads {
		at := index + uint64(i)
		c.entries = append(c.entries, segment.Entry{Index: wal.Index(at), Term: 1, Kind: segment.KindData,
			BaseOffset: wal.Offset(at - 1), Count: 1, MaxTimestamp: int64(at), Payload: p})
	}
	if err := c.l.Append(c.entries); err != nil || !c.sync {
		return err
	}
	return c.l.SyncWait()
}

func (c *chronikLog) Sync() error { return c.l.SyncWait() }

func (c *chronikLog) ReadAll(use func(uint64, []byte) error) error {
	end := c.l.NextOffset()
	for off := c.l.StartOffset(); off < end; {
		out, ref, err := c.l.Read(off, end, 1<<20, c.entries[:0])
		if err != nil {
			return err
		}
		for i := range out {
			if err := use(uint64(out[i].Index), out[i].Payload); err != nil {
				ref.Release()
				return err
			}
		}
		off = out[len(out)-1].Next()
		ref.Release()
		c.entries = out[:0]
	}
	return nil
}

// Read finds by the Kafka offset, which is index-1 here.
func (c *chronikLog) Read(index uint64, use func([]byte)) error {
	out, ref, err := c.l.Read(wal.Offset(index-1), wal.Offset(index), 1, c.entries[:0])
	if err != nil {
		return err
	}
	c.entries = out[:0]
	use(out[0].Payload)
	ref.Release()
	return nil
}

func (c *chronikLog) Close() error { return c.l.Close() }

package main

import "github.com/tidwall/wal"

type tidwallLog struct {
	l     *wal.Log
	batch wal.Batch
}

func openTidwall(dir string, o options) (log, error) {
	// NoCopy, and a cache that holds every segment of the rows that read.
	to := wal.Options{NoSync: !o.sync, NoCopy: true, SegmentCacheSize: 16, SegmentSize: int(o.segmentBytes)}
	l, err := wal.Open(dir, &to)
	if err != nil {
		return nil, err
	}
	return &tidwallLog{l: l}, nil
}

func (t *tidwallLog) Append(index uint64, payloads [][]byte) error {
	if len(payloads) == 1 {
		return t.l.Write(index, payloads[0])
	}
	t.batch.Clear()
	for i, p := range payloads {
		t.batch.Write(index+uint64(i), p)
	}
	return t.l.WriteBatch(&t.batch)
}

func (t *tidwallLog) Sync() error { return t.l.Sync() }

func (t *tidwallLog) ReadAll(use func(uint64, []byte) error) error {
	first, err := t.l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := t.l.LastIndex()
	if err != nil {
		return err
	}
	for i := first; i <= last; i++ {
		p, err := t.l.Read(i)
		if err != nil {
			return err
		}
		if err := use(i, p); err != nil {
			return err
		}
	}
	return nil
}

func (t *tidwallLog) Read(index uint64, use func([]byte)) error {
	p, err := t.l.Read(index)
	if err != nil {
		return err
	}
	use(p)
	return nil
}

func (t *tidwallLog) Close() error { return t.l.Close() }

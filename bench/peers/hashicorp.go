package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	raftwal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// store is what the two logs for hashicorp/raft have in common.
type store interface {
	raft.LogStore
	Close() error
}

type hashicorpLog struct {
	s    store
	sync func() error
	also func() error // nil, or to be closed as well
	logs []*raft.Log  // reused: in raft they come as they are
	one  raft.Log
}

func openRaftWAL(dir string, o options) (log, error) {
	if !o.sync {
		return nil, errUnsupported
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	size := raftwal.DefaultSegmentSize
	if o.segmentBytes > 0 {
		size = int(o.segmentBytes)
	}
	meta := new(metadb.BoltMetaDB) // its default; given, because its Close leaves it open
	w, err := raftwal.Open(dir, raftwal.WithSegmentSize(size), raftwal.WithLogger(hclog.NewNullLogger()), raftwal.WithMetaStore(meta))
	if err != nil {
		return nil, errors.Join(err, meta.Close())
	}
	return &hashicorpLog{s: w, sync: func() error { return nil }, also: meta.Close}, nil
}

func openBolt(dir string, o options) (log, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft.db"), NoSync: !o.sync})
	if err != nil {
		return nil, err
	}
	return &hashicorpLog{s: b, sync: b.Sync}, nil
}

func (h *hashicorpLog) Append(index uint64, payloads [][]byte) error {
	for len(h.logs) < len(payloads) {
		h.logs = append(h.logs, &raft.Log{Term: 1, Type: raft.LogCommand})
	}
	for i, p := range payloads {
		h.logs[i].Index, h.logs[i].Data = index+uint64(i), p
	}
	return h.s.StoreLogs(h.logs[:len(payloads)])
}

func (h *hashicorpLog) Sync() error { return h.sync() }

func (h *hashicorpLog) ReadAll(use func(uint64, []byte) error) error {
	first, err := h.s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := h.s.LastIndex()
	if err != nil {
		return err
	}
	for i := max(first, 1); i <= last; i++ {
		h.one = raft.Log{}
		if err := h.s.GetLog(i, &h.one); err != nil {
			return err
		}
		if err := use(i, h.one.Data); err != nil {
			return err
		}
	}
	return nil
}

func (h *hashicorpLog) Read(index uint64, use func([]byte)) error {
	h.one = raft.Log{}
	if err := h.s.GetLog(index, &h.one); err != nil {
		return err
	}
	use(h.one.Data)
	return nil
}

func (h *hashicorpLog) Close() error {
	err := h.s.Close()
	if h.also != nil {
		err = errors.Join(err, h.also())
	}
	return err
}

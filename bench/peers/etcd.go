package main

import (
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

type etcdLog struct {
	w       *wal.WAL
	dir     string
	state   raftpb.HardState
	entries []*raftpb.Entry // reused: in etcd they come from raft as they are
	opened  []*raftpb.Entry // what opening had to read anyway, for the first ReadAll
}

func openEtcd(dir string, o options) (log, error) {
	wal.SegmentSizeBytes = 64 << 20 // its default
	if o.segmentBytes > 0 {
		wal.SegmentSizeBytes = o.segmentBytes
	}
	e := &etcdLog{dir: filepath.Join(dir, "wal")}
	var err error
	if wal.Exist(e.dir) {
		e.w, err = wal.Open(zap.NewNop(), e.dir, &walpb.Snapshot{})
		if err == nil {
			_, _, e.opened, err = e.w.ReadAll() // it takes appends only after that
		}
	} else if err = os.MkdirAll(dir, 0o755); err == nil {
		e.w, err = wal.Create(zap.NewNop(), e.dir, nil)
	}
	if err != nil {
		return nil, err
	}
	if !o.sync {
		e.w.SetUnsafeNoFsync()
	}
	return e, nil
}

func (e *etcdLog) Append(index uint64, payloads [][]byte) error {
	for len(e.entries) < len(payloads) {
		e.entries = append(e.entries, &raftpb.Entry{Term: new(uint64(1)), Index: new(uint64), Type: raftpb.EntryNormal.Enum()})
	}
	for i, p := range payloads {
		*e.entries[i].Index = index + uint64(i)
		e.entries[i].Data = p
	}
	return e.w.Save(&e.state, e.entries[:len(payloads)])
}

// Sync is nothing on an unsynced one: all that it was given is written, and
// what is asked for is the page cache's to do.
func (e *etcdLog) Sync() error { return e.w.Sync() }

func (e *etcdLog) ReadAll(use func(uint64, []byte) error) error {
	entries := e.opened
	e.opened = nil
	if entries == nil {
		r, err := wal.OpenForRead(zap.NewNop(), e.dir, &walpb.Snapshot{})
		if err != nil {
			return err
		}
		defer r.Close()
		if _, _, entries, err = r.ReadAll(); err != nil {
			return err
		}
	}
	for _, en := range entries {
		if err := use(en.GetIndex(), en.GetData()); err != nil {
			return err
		}
	}
	return nil
}

func (e *etcdLog) Read(uint64, func([]byte)) error { return errUnsupported }

func (e *etcdLog) Close() error { return e.w.Close() }

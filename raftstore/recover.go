package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"chronik/internal/vfs"
	"chronik/segment"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Recovery says what OpenHardStates found.
type Recovery struct {
	Groups    int
	TornBytes int64 // cut from the end of the file: none of it was acknowledged
}

// OpenHardStates opens the log in a directory, creating both when they are
// missing. The states of FORMAT.md, in the order they are tried:
//
//	S1 no file            a new log, generation 1
//	S2 leftovers          a half-made file (hardstate.tmp) and older generations are removed
//	S3 newer version      segment.ErrNewerVersion: nothing is touched
//	S4 clean              the log goes on behind its last record
//	S5 torn tail          what follows the last good record was never acknowledged:
//	                      a new generation is written without it
//	S6 corruption         *segment.CorruptError: nothing is touched
func OpenHardStates(o HardStatesOptions) (*HardStates, Recovery, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &HardStates{fs: o.FS, dir: o.Dir, logger: o.Logger, groups: map[uint64]*Group{}}
	h.idle = sync.NewCond(&h.mu)
	if err := h.fs.MkdirAll(h.dir); err != nil {
		return nil, Recovery{}, fmt.Errorf("raftstore: hard states: %w", err)
	}
	generations, leftovers, err := h.list()
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("raftstore: hard states: %w", err)
	}
	rec, err := h.open(generations)
	if err != nil {
		return nil, Recovery{}, err
	}
	for _, name := range leftovers {
		if err := h.fs.Remove(h.dir + "/" + name); err != nil {
			h.logger.Warn("removing a leftover hard-state file", "dir", h.dir, "name", name, "err", err)
		}
	}
	return h, rec, nil
}

// list finds the newest generation (0: none) and what else may go.
func (h *HardStates) list() (newest uint64, leftovers []string, err error) {
	names, err := h.fs.ReadDir(h.dir)
	if err != nil {
		return 0, nil, err
	}
	for _, name := range names {
		hex, ours := strings.CutPrefix(name, namePrefix)
		if name == tmpName {
			leftovers = append(leftovers, name)
		}
		if !ours {
			continue
		}
		g, err := strconv.ParseUint(hex, 16, 64)
		if err != nil || fileName(g) != name {
			continue
		}
		switch {
		case newest == 0:
			newest = g
		case g > newest:
			leftovers, newest = append(leftovers, fileName(newest)), g
		default:
			leftovers = append(leftovers, name)
		}
	}
	return newest, leftovers, nil
}

func (h *HardStates) open(generation uint64) (Recovery, error) {
	var rec Recovery
	h.generation = generation
	if generation > 0 {
		path := h.dir + "/" + fileName(generation)
		data, err := vfs.ReadFile(h.fs, path, fileBytesMax)
		if err != nil {
			return rec, fmt.Errorf("raftstore: hard states: %w", err)
		}
		end, synced, err := scan(path, data, generation, h.groups)
		if err != nil {
			return rec, err
		}
		for _, g := range h.groups {
			h.live += g.recordBytes()
		}
		rec = Recovery{Groups: len(h.groups), TornBytes: int64(len(data)) - end}
		if rec.TornBytes == 0 {
			return rec, h.reopen(path, data, synced)
		}
		h.logger.Warn("cut a torn tail off the hard states", "path", path, "bytes", rec.TornBytes, "at", end)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return rec, h.rewriteLocked()
}

// reopen goes on with a clean file. What it holds may be in the page cache
// only, left there by a process that ended before its sync: states that were
// read, and may be acted on, must not vanish, so it is synced first. A sync that
// failed may have left pages marked as written though they were not: what is
// not known to be durable is written again, for this sync to mean it.
func (h *HardStates) reopen(path string, data []byte, synced int64) error {
	end := int64(len(data))
	file, err := h.fs.Open(path)
	if err == nil {
		// And its name: that process may have ended in the middle of a rewrite.
		_, err = file.WriteAt(data[synced:], synced)
		if err = errors.Join(err, file.Datasync(), h.fs.SyncDir(h.dir)); err != nil {
			file.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("raftstore: hard states: %w", err)
	}
	h.file, h.fileGen, h.end, h.synced = file, h.generation, end, end
	return nil
}

// scan replays a file into groups and returns the end of its last good record,
// and how much of it the records say was durable.
//
// A bad record is corruption when any record says that more than its position
// was durable: an acknowledged record is gone. Otherwise everything from it on
// was in flight together when power failed (pages of one write reach the disk
// in any order, so good records may stand behind it), and it is a torn tail.
func scan(path string, data []byte, generation uint64, groups map[uint64]*Group) (at, synced int64, _ error) {
	if err := checkFileHeader(path, data, generation); err != nil {
		return 0, 0, err
	}
	at = fileHeaderSize
	for at < int64(len(data)) {
		r, n, err := parseRecord(data[at:], generation)
		if err != nil {
			for q := at + 8; q < int64(len(data)); q += 8 {
				if later, _, err := parseRecord(data[q:], generation); err == nil {
					synced = max(synced, later.syncedThrough)
				}
			}
			if synced > at {
				return 0, 0, corrupt(path, at, fmt.Sprintf("records, durable up to %d", synced), "a valid record", err)
			}
			return at, synced, nil
		}
		if r.syncedThrough < synced || r.syncedThrough > at { // it was not written here
			return 0, 0, corrupt(path, at, "order of records: synced through", fmt.Sprintf("within [%d, %d]", synced, at), r.syncedThrough)
		}
		synced = r.syncedThrough
		r.replay(groups)
		at += int64(n)
	}
	if synced > at {
		return 0, 0, corrupt(path, at, "end of file", fmt.Sprintf("%d, which was durable", synced), at)
	}
	return at, synced, nil
}

func (r *record) replay(groups map[uint64]*Group) {
	if r.kind == kindSynced {
		return
	}
	if r.kind == kindRemoved {
		delete(groups, r.group)
		return
	}
	g := groups[r.group]
	if g == nil {
		g = &Group{Conf: &pb.ConfState{}}
		groups[r.group] = g
	}
	if r.kind == kindConf {
		g.ConfIndex, g.Conf, g.Ahead = r.confIndex, r.conf, r.ahead
	} else {
		g.State = r.state
	}
}

// checkFileHeader tells a newer version from damage. A file gets its name only
// when it is complete and durable, so a short one is damage too.
func checkFileHeader(path string, data []byte, generation uint64) error {
	if len(data) < fileHeaderSize {
		return corrupt(path, 0, "file header bytes", fileHeaderSize, len(data))
	}
	if string(data[:8]) != fileMagic {
		return corrupt(path, 0, "file magic", fmt.Sprintf("%q", fileMagic), fmt.Sprintf("%q", data[:8]))
	}
	if want, got := binary.LittleEndian.Uint64(data[24:]), xxhash.Sum64(data[:24]); want != got {
		return corrupt(path, 24, "file header hash", fmt.Sprintf("%016x", want), fmt.Sprintf("%016x", got))
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != fileVersion {
		return &segment.VersionError{Path: path, Offset: 8, Got: uint16(v), Most: fileVersion}
	}
	if g := binary.LittleEndian.Uint64(data[16:]); g != generation {
		return corrupt(path, 16, "generation", generation, g)
	}
	return nil
}

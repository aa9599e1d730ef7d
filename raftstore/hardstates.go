package raftstore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"chronik/internal/vfs"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrClosed is a call on a HardStates that has been closed.
var ErrClosed = errors.New("raftstore: hard states are closed")

// State is what a group must remember across a restart.
//
//	Term    the latest term seen, durable before a message of it goes out
//	Vote    who got the vote in that term, durable before the vote goes out
//	Commit  a lower bound of the commit index: an index that was committed,
//	        applied and durable in the log when it was written
type State struct {
	Term, Vote, Commit uint64
}

// Group is everything known of one group.
type Group struct {
	State     State
	ConfIndex uint64        // raft index of the entry that made Conf; 0: given when the group was created
	Conf      *pb.ConfState // never changed in place
	// Ahead: the entries up to ConfIndex were on their way when it was saved;
	// the log may end before them.
	Ahead bool
}

const (
	rewriteBytesMin = 1 << 20 // a file smaller than this is never rewritten
	rewriteFactor   = 4       // a larger one is when it holds this many times what is live
	bufferBytesMax  = 64 << 10
	fileBytesMax    = 1 << 30
	tmpName         = "hardstate.tmp"
	namePrefix      = "hardstate-"
)

// HardStates is the node-wide log of the groups' hard states. See doc.go.
type HardStates struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger

	mu         sync.Mutex
	idle       *sync.Cond // signalled when a writer goroutine ends
	groups     map[uint64]*Group
	live       int64    // what their newest records take in a file
	generation uint64   // of the records in buf
	file       vfs.File // only the writer goroutine writes to it
	fileGen    uint64   // its generation
	behind     bool     // the disk was full: what the file lacks comes with the next generation
	buf        []byte   // records not yet written, in order
	end        int64    // file position behind what was written
	synced     int64    // file position up to which everything is durable
	waiters    []func(error)
	writing    bool // a writer goroutine runs
	writeAsked bool // write buf even if nobody waits for it to be durable
	closed     bool
	err        error // of the first failure: the log is poisoned
}

// HardStatesOptions says where the log is.
type HardStatesOptions struct {
	FS     vfs.FS
	Dir    string
	Logger *slog.Logger // nil: slog.Default
}

// Load returns what is known of a group: the newest that was saved, which
// need not be durable yet.
func (h *HardStates) Load(group uint64) (Group, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[group]
	if g == nil {
		return Group{}, false
	}
	return *g, true
}

// Groups lists the groups that are known.
func (h *HardStates) Groups() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]uint64, 0, len(h.groups))
	for id := range h.groups {
		ids = append(ids, id)
	}
	return ids
}

// Save records a group's term, vote and commit. With done it is made durable
// at once, together with every other save that waits; done runs on a goroutine
// of the log, must be quick, and gets the error that poisoned the log, if any.
// Without done the record is written with the next durable one, at the next
// Checkpoint or at Close, and an error shows there.
//
// An error for which DiskFull holds poisons nothing: what was saved is kept,
// and the next Checkpoint, or Save with done, tries to write all of it.
//
// The caller sees to it that Commit is within the durable part of the log.
func (h *HardStates) Save(group uint64, s State, done func(error)) {
	h.mu.Lock()
	if g := h.groups[group]; g != nil {
		g.State = s
	} else if !h.closed {
		h.set(group, &Group{State: s, Conf: &pb.ConfState{}})
	}
	h.buf = appendState(h.buf, h.generation, h.synced, group, s)
	h.submit(done)
}

// SaveConf records the members of a group as of the raft entry at index, as
// Save does. The ConfState belongs to the log from here on.
func (h *HardStates) SaveConf(group, index uint64, cs *pb.ConfState, done func(error)) {
	h.saveConf(group, Group{ConfIndex: index, Conf: cs}, done)
}

// SaveConfAhead is SaveConf of members whose entry is not in the log yet, since
// a snapshot brings it: see Group.Ahead.
func (h *HardStates) SaveConfAhead(group, index uint64, cs *pb.ConfState, done func(error)) {
	h.saveConf(group, Group{ConfIndex: index, Conf: cs, Ahead: true}, done)
}

func (h *HardStates) saveConf(group uint64, now Group, done func(error)) {
	h.mu.Lock()
	if g := h.groups[group]; g != nil {
		now.State = g.State
	}
	if h.groups[group] != nil || !h.closed {
		h.set(group, &now)
	}
	h.buf = appendConf(h.buf, h.generation, h.synced, group, &now)
	h.submit(done)
}

// Remove forgets a group; its id must not be used again. It is not synced: a
// group that comes back after a power cut is removed again by whoever finds
// that it has no log.
func (h *HardStates) Remove(group uint64) {
	h.mu.Lock()
	h.set(group, nil)
	h.buf = appendRemoved(h.buf, h.generation, h.synced, group)
	h.submit(nil)
}

// Checkpoint hands everything saved so far to the operating system, where it
// survives the end of this process, and, with done, makes it durable.
func (h *HardStates) Checkpoint(done func(error)) {
	h.mu.Lock()
	h.writeAsked = true
	h.submit(done)
}

// submit is called with mu held and gives it back.
func (h *HardStates) submit(done func(error)) {
	err := h.err
	if err == nil && h.closed {
		err = ErrClosed
	}
	if err != nil {
		h.buf = nil
		h.mu.Unlock()
		if done != nil {
			done(err)
		}
		return
	}
	if done != nil {
		h.waiters = append(h.waiters, done)
	}
	start := !h.writing && (len(h.waiters) > 0 || h.writeAsked || len(h.buf) >= bufferBytesMax)
	if start {
		h.writing = true
		go h.write()
	}
	h.mu.Unlock()
}

// write is the writer goroutine: rounds of one write and, if somebody waits,
// one sync, until nothing is asked for. Saves that arrive during a round share
// the next.
func (h *HardStates) write() {
	h.mu.Lock()
	for h.err == nil && (len(h.waiters) > 0 || h.writeAsked || len(h.buf) >= bufferBytesMax) {
		waiters := h.waiters
		h.waiters, h.writeAsked = nil, false
		var err error
		if size := h.end + int64(len(h.buf)); h.behind || size > rewriteBytesMin && size > rewriteFactor*(fileHeaderSize+h.live) {
			err = h.rewriteLocked()
		} else {
			err = h.writeRoundLocked(len(waiters) > 0)
		}
		switch {
		case err == nil:
		case DiskFull(err):
			err = fmt.Errorf("raftstore: hard states: %w", err)
			if !h.behind {
				h.logger.Warn("no room for the hard states: no group can change its term or vote before there is", "dir", h.dir, "err", err)
			}
			h.behind, h.buf = true, nil
		default:
			h.err = fmt.Errorf("raftstore: hard states: %w", poisoned(err))
			h.logger.Error("hard states poisoned: no group can change its term or vote any more", "dir", h.dir, "err", err)
			waiters = append(waiters, h.waiters...)
			h.waiters, h.buf = nil, nil
			err = h.err
		}
		h.mu.Unlock()
		for _, done := range waiters {
			done(err)
		}
		h.mu.Lock()
	}
	h.writing = false
	h.idle.Broadcast()
	h.mu.Unlock()
}

// writeRoundLocked writes what is buffered. After a sync it buffers a record
// that says so: should the last synced record be damaged later, that is how
// recovery knows it from a torn write.
func (h *HardStates) writeRoundLocked(sync bool) error {
	buf, at, file := h.buf, h.end, h.file
	h.buf = nil
	h.mu.Unlock()
	var err error
	if len(buf) > 0 {
		_, err = file.WriteAt(buf, at)
	}
	if err == nil && sync {
		if err = file.Datasync(); err != nil {
			err = poisoned(err)
		}
	}
	h.mu.Lock()
	if err != nil {
		return err
	}
	h.end = at + int64(len(buf))
	if sync && h.end > h.synced {
		h.synced = h.end
		h.buf = appendSynced(h.buf, h.generation, h.synced)
		if len(h.waiters) == 0 {
			h.writeAsked = true
		}
	}
	return nil
}

// set makes g what is known of a group; nil: nothing. It keeps count of what is
// live: asking all groups at every write would be most of a start with many.
func (h *HardStates) set(group uint64, g *Group) {
	if old := h.groups[group]; old != nil {
		h.live -= old.recordBytes()
	}
	if g == nil {
		delete(h.groups, group)
		return
	}
	h.groups[group] = g
	h.live += g.recordBytes()
}

// recordBytes is what one group takes in a rewritten file.
func (g *Group) recordBytes() int64 {
	ids := 0
	for _, l := range confLists(g.Conf) {
		ids += len(*l)
	}
	return 2*(recordHeaderSize+32) + 8*int64(ids)
}

// rewriteLocked replaces the log by one of the next generation that holds only
// what is live. What was buffered is in it, and durable when it returns.
func (h *HardStates) rewriteLocked() error {
	next := h.generation + 1
	image := appendFileHeader(nil, next)
	for id, g := range h.groups {
		image = appendConf(image, next, 0, id, g)
		image = appendState(image, next, 0, id, g.State)
	}
	image = appendSynced(image, next, int64(len(image)))
	h.generation, h.buf = next, nil
	old, oldName := h.file, fileName(h.fileGen)
	// Saves that come meanwhile are records of the new generation, behind
	// the image. They cannot be written before this returns.
	h.synced, h.end = int64(len(image)), int64(len(image))
	h.mu.Unlock()
	file, err := h.replace(next, image)
	h.mu.Lock()
	if err != nil {
		return err
	}
	h.file, h.fileGen, h.behind = file, next, false
	if old != nil {
		if err := old.Close(); err != nil {
			h.logger.Warn("closing the previous hard-state file", "dir", h.dir, "err", err)
		}
		if err := h.fs.Remove(h.dir + "/" + oldName); err != nil {
			h.logger.Warn("removing the previous hard-state file", "dir", h.dir, "err", err)
		}
	}
	return nil
}

func (h *HardStates) replace(generation uint64, image []byte) (vfs.File, error) {
	name := fileName(generation)
	if err := vfs.ReplaceFile(h.fs, h.dir, tmpName, name, image); err != nil {
		return nil, err
	}
	return h.fs.Open(h.dir + "/" + name)
}

// Close writes and syncs what was saved, and closes the file. It returns the
// error that poisoned the log, if any.
func (h *HardStates) Close() error {
	synced := make(chan error, 1)
	h.Checkpoint(func(err error) { synced <- err })
	err := <-synced
	if errors.Is(err, ErrClosed) {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for h.writing {
		h.idle.Wait()
	}
	return errors.Join(err, h.file.Close())
}

func fileName(generation uint64) string { return fmt.Sprintf("%s%016x", namePrefix, generation) }

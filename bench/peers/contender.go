package main

import (
	"errors"
	"math/rand/v2"
)

// log is one contender's log in one directory.
type log interface {
	// Append adds a batch, the first entry of which has this index, and makes
	// it durable if the log was opened so. Nothing of payloads is kept.
	Append(index uint64, payloads [][]byte) error
	// Sync makes everything durable whatever the log was opened for.
	Sync() error
	// ReadAll shows each entry in order, in the way that is meant for many.
	ReadAll(use func(index uint64, payload []byte) error) error
	// Read shows one entry, errUnsupported if there is no way to.
	Read(index uint64, use func(payload []byte)) error
	Close() error
}

// preparer is a log that wants to know how many bytes are about to come; what
// it does then is not measured.
type preparer interface{ Prepare(bytes int64) error }

var errUnsupported = errors.New("not offered")

// options are the same for every contender.
type options struct {
	sync         bool  // each append is durable on return
	segmentBytes int64 // for those who have segments; 0: the contender's own default
	shared       *shared
}

// shared is what one process would have once for all of its logs.
type shared struct {
	chronik chronikShared
	pebble  pebbleShared
}

func (s *shared) close() {
	s.chronik.close()
	s.pebble.close()
}

// contender makes and opens logs.
type contender struct {
	name string
	raw  bool // takes no place
	// keeps tells that an unsynced append may stay in the process's own memory,
	// so that it is lost with the process: less than what the others do.
	keeps bool
	// open opens the log in dir and makes one if there is none; it can be
	// appended to on return. errUnsupported if it cannot do what options say.
	open func(dir string, o options) (log, error)
}

var contenders = []contender{
	{name: "chronik", open: openChronik},
	{name: "etcd", open: openEtcd},
	{name: "raft-wal", open: openRaftWAL},
	{name: "tidwall", open: openTidwall},
	{name: "raft-boltdb", open: openBolt},
	{name: "pebble", keeps: true, open: openPebble},
	{name: "raw", raw: true, open: openRaw},
	{name: "raw-append", raw: true, open: openRawAppend},
}

// entries are payloads that are a function of their index: windows of one
// random buffer, which fits a cache as what just came from a socket does.
type entries struct {
	size int
	list [][]byte // the batch's
}

const (
	poolBytes  = 2 << 20
	payloadMax = 1 << 20
)

var pool = func() []byte {
	b := make([]byte, poolBytes+payloadMax)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

func newEntries(size, batch int) *entries {
	return &entries{size: size, list: make([][]byte, batch)}
}

func (e *entries) payload(index uint64) []byte {
	at := index * 8191 % poolBytes
	return pool[at : at+uint64(e.size) : at+uint64(e.size)]
}

// batch is the payloads from index on, valid until the next call.
func (e *entries) batch(index uint64) [][]byte {
	for i := range e.list {
		e.list[i] = e.payload(index + uint64(i))
	}
	return e.list
}

package main

import (
	"encoding/binary"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleShared is the block cache, large enough for what the rows read.
type pebbleShared struct {
	once  sync.Once
	cache *pebble.Cache
}

func (s *pebbleShared) get() *pebble.Cache {
	s.once.Do(func() { s.cache = pebble.NewCache(256 << 20) })
	return s.cache
}

func (s *pebbleShared) close() {
	if s.cache != nil {
		s.cache.Unref()
	}
}

type pebbleLog struct {
	db    *pebble.DB
	write *pebble.WriteOptions
	key   [8]byte
}

// quiet is a logger that only dies when it has to.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}

func openPebble(dir string, o options) (log, error) {
	po := &pebble.Options{
		Cache:  o.shared.pebble.get(),
		Logger: quiet{},
		// As the database that it was made for sets it.
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
	}
	db, err := pebble.Open(dir, po)
	if err != nil {
		return nil, err
	}
	p := &pebbleLog{db: db, write: pebble.NoSync}
	if o.sync {
		p.write = pebble.Sync
	}
	return p, nil
}

func (p *pebbleLog) Append(index uint64, payloads [][]byte) error {
	b := p.db.NewBatch()
	for i, payload := range payloads {
		binary.BigEndian.PutUint64(p.key[:], index+uint64(i))
		if err := b.Set(p.key[:], payload, nil); err != nil {
			return err
		}
	}
	if err := b.Commit(p.write); err != nil {
		return err
	}
	return b.Close()
}

func (p *pebbleLog) Sync() error { return p.db.LogData(nil, pebble.Sync) }

func (p *pebbleLog) ReadAll(use func(uint64, []byte) error) error {
	it, err := p.db.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = use(binary.BigEndian.Uint64(it.Key()), v)
		}
		if err != nil {
			it.Close()
			return err
		}
	}
	return it.Close()
}

func (p *pebbleLog) Read(index uint64, use func([]byte)) error {
	binary.BigEndian.PutUint64(p.key[:], index)
	v, closer, err := p.db.Get(p.key[:])
	if err != nil {
		return err
	}
	use(v)
	return closer.Close()
}

func (p *pebbleLog) Close() error { return p.db.Close() }

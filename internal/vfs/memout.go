package vfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

func (f *memFile) Device() Device { return f.m.device }

func (f *memFile) WriteOut(off, n int64) {}

// WaitOut puts the dirty pages of the range into the device's cache.
func (f *memFile) WaitOut(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	node := f.node
	for page := off / PageSize; page*PageSize < off+n; page++ {
		if _, dirty := node.dirty[page]; !dirty {
			continue
		}
		lo := page * PageSize
		if hi := min(lo+PageSize, int64(len(node.data))); lo < hi {
			node.out[page] = bytes.Clone(node.data[lo:hi])
			f.m.out[node] = struct{}{}
		}
	}
	return nil
}

// flush empties the device's cache: the pages in it are durable if nothing but
// their bytes was missing. One beyond the durable size or in a hole is on the
// device where nothing points to it, until its own file is synced.
func (m *Mem) flush() {
	for n := range m.out {
		for page, b := range n.out {
			lo := page * PageSize
			hi := lo + int64(len(b))
			if _, solid := n.solid[page]; !solid || hi > int64(len(n.durable)) {
				continue
			}
			copy(n.durable[lo:hi], b)
			if bytes.Equal(b, n.data[lo:hi]) {
				delete(n.dirty, page)
			}
		}
		clear(n.out)
	}
	clear(m.out)
}

// crashOut keeps half of what is in the device's cache and has its extents.
func (n *memNode) crashOut(r *rand.Rand, out []byte) []byte {
	for _, page := range slices.Sorted(maps.Keys(n.out)) {
		b, lo := n.out[page], page*PageSize
		_, solid := n.solid[page]
		if r.IntN(2) == 0 && solid && lo+int64(len(b)) <= int64(len(out)) {
			copy(out[lo:], b)
		}
	}
	return out
}

package repair

import (
	"errors"
	"fmt"
	"io"
	"path"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
	"chronik/wal/inspect"
)

// write makes the copy, durably, and verifies it. After an error nothing of it
// is left.
func (r *repairer) write(p *plan, report *Report) (err error) {
	if err := r.o.FS.MkdirAll(r.o.To); err != nil {
		return err
	}
	var made []string
	defer func() {
		for i := len(made) - 1; i >= 0 && err != nil; i-- {
			err = errors.Join(err, r.o.FS.Remove(made[i]))
		}
		if err != nil && r.made {
			err = errors.Join(err, r.o.FS.Remove(r.o.To))
		}
	}()
	for i := range p.pieces {
		c := &p.pieces[i]
		name := wal.SegmentName(c.meta.ID)
		if err := r.copy(c, path.Join(r.dir, name), path.Join(r.o.To, name)); err != nil {
			return err
		}
		made = append(made, path.Join(r.o.To, name))
	}
	b, err := wal.EncodeManifest(p.manifest)
	if err != nil {
		return err
	}
	manifest := path.Join(r.o.To, wal.ManifestName)
	if err := r.create(manifest, func(f vfs.File) error { _, err := f.WriteAt(b, 0); return err }); err != nil {
		return err
	}
	made = append(made, manifest)
	if err := r.o.FS.SyncDir(r.o.To); err != nil {
		return err
	}
	reports, err := inspect.Verify(r.ctx, r.o.To, r.o.Options)
	if err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	if len(reports) != 1 || reports[0].State != inspect.Clean {
		return fmt.Errorf("the copy is not clean: %+v", reports)
	}
	segments := p.manifest.Segments
	report.Copy = &Copy{FirstIndex: uint64(segments[0].BaseIndex), LastIndex: uint64(p.last),
		StartOffset: int64(p.manifest.Start), NextOffset: int64(p.next), Counts: reports[0].Counts}
	return nil
}

// create makes a file and fills it, durably; when that fails, it is removed.
func (r *repairer) create(name string, fill func(vfs.File) error) error {
	f, err := r.o.FS.Create(name)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, r.o.FS.Remove(name))
	}
	return err
}

// copy writes a piece: header page, what is taken of the source, trailer, and
// zeroes to the end of a page.
func (r *repairer) copy(c *piece, from, to string) error {
	return r.create(to, func(f vfs.File) error {
		at := int64(0)
		if c.header != nil {
			if _, err := f.WriteAt(c.header, 0); err != nil {
				return err
			}
			at = int64(len(c.header))
		}
		if at < int64(c.through) {
			if err := r.copyRange(f, from, at, int64(c.through)); err != nil {
				return err
			}
		}
		at = int64(c.through)
		if _, err := f.WriteAt(c.trailer, at); err != nil {
			return err
		}
		at += int64(len(c.trailer))
		return f.Zero(at, -at&(vfs.PageSize-1))
	})
}

// copyBytes is what is copied at a time.
const copyBytes = 1 << 20

func (r *repairer) copyRange(f vfs.File, from string, at, end int64) error {
	in, err := r.o.FS.OpenReadOnly(from)
	if err != nil {
		return err
	}
	defer in.Close()
	buf := make([]byte, min(copyBytes, end-at))
	for at < end && err == nil {
		b := buf[:min(int64(len(buf)), end-at)]
		var n int
		if n, err = in.ReadAt(b, at); n < len(b) {
			return fmt.Errorf("%s at %d: %w", from, at+int64(n), errors.Join(err, io.ErrUnexpectedEOF))
		}
		_, err = f.WriteAt(b, at)
		at += int64(len(b))
		if err == nil {
			err = r.ctx.Err()
		}
	}
	return err
}

// headerPage is the first page of a segment's file. When the segment was made is
// not known: its first append came soon after, and if that is not known either,
// the present has to do.
func (r *repairer) headerPage(m *segment.Meta) []byte {
	created := m.FirstAppend
	if created == 0 {
		created = r.o.Clock.Now().UnixMilli()
	}
	return segment.HeaderPage(m, created)
}

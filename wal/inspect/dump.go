package inspect

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"path"

	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/segment/scan"
	"chronik/wal"
)

// Line is a frame, a batch or a record of a dump: exactly one field is set.
type Line struct {
	Frame  *Frame  `json:"frame,omitempty" yaml:"frame,omitempty"`
	Batch  *Batch  `json:"batch,omitempty" yaml:"batch,omitempty"`
	Record *Record `json:"record,omitempty" yaml:"record,omitempty"`
}

// Frame is a frame without its payload.
type Frame struct {
	Path          string `json:"path" yaml:"path"`
	Position      int64  `json:"position" yaml:"position"`
	Index         uint64 `json:"index" yaml:"index"`
	Term          uint64 `json:"term" yaml:"term"`
	Kind          string `json:"kind" yaml:"kind"`
	BaseOffset    int64  `json:"base_offset" yaml:"base_offset"`
	Count         uint32 `json:"count" yaml:"count"` // offsets taken
	MaxTimestamp  int64  `json:"max_timestamp" yaml:"max_timestamp"`
	PayloadBytes  int    `json:"payload_bytes" yaml:"payload_bytes"`
	SyncedThrough int64  `json:"synced_through" yaml:"synced_through"`
}

// Batch is the header of a record batch.
type Batch struct {
	Position      int64  `json:"position" yaml:"position"` // in the file of the frame before
	BaseOffset    int64  `json:"base_offset" yaml:"base_offset"`
	LastOffset    int64  `json:"last_offset" yaml:"last_offset"`
	LeaderEpoch   int32  `json:"leader_epoch" yaml:"leader_epoch"`
	Records       int32  `json:"records" yaml:"records"`
	Bytes         int    `json:"bytes" yaml:"bytes"`
	Codec         string `json:"codec" yaml:"codec"`
	CRC           uint32 `json:"crc" yaml:"crc"`
	MaxTimestamp  int64  `json:"max_timestamp" yaml:"max_timestamp"`
	ProducerID    int64  `json:"producer_id" yaml:"producer_id"`
	ProducerEpoch int16  `json:"producer_epoch" yaml:"producer_epoch"`
	BaseSequence  int32  `json:"base_sequence" yaml:"base_sequence"`
	Transactional bool   `json:"transactional" yaml:"transactional"`
	Control       bool   `json:"control" yaml:"control"`
}

// Record is a record, its bytes as text (see Escape); nil is Kafka's null.
type Record struct {
	Offset    int64    `json:"offset" yaml:"offset"`
	Timestamp int64    `json:"timestamp" yaml:"timestamp"`
	Key       *string  `json:"key" yaml:"key"`
	Value     *string  `json:"value" yaml:"value"`
	Headers   []Header `json:"headers,omitempty" yaml:"headers,omitempty"`
}

// Header is a header of a record.
type Header struct {
	Key   string  `json:"key" yaml:"key"`
	Value *string `json:"value" yaml:"value"`
}

// Dump gives the frames of the logs at or below name (see Verify) to each, in
// order, and with Options.Records the batches and records behind their frame.
// It ends at the first damage, which is a *segment.CorruptError or a
// *segment.VersionError, after what stands before it; a torn tail is an end.
// No index comes twice, also when the log changes meanwhile: entries that
// replace ones cut off the end are left out if those have been given already.
func Dump(ctx context.Context, name string, o Options, each func(Line) error) error {
	o.defaults()
	if o.To == 0 {
		o.To = math.MaxInt64
	}
	targets, err := find(o.FS, name)
	if err != nil {
		return err
	}
	for _, t := range targets {
		d := &dumper{o: &o, t: t, each: each, scratch: new(batch.Scratch)}
		d.visit = d.frame
		if err := d.log(ctx); err != nil {
			return err
		}
	}
	return nil
}

type dumper struct {
	o       *Options
	t       target
	visit   func(p string, pos segment.Pos, f *segment.Frame) error
	each    func(Line) error // of frame, which is what visit is in a dump
	scratch *batch.Scratch
	next    segment.Index // frames before it have been visited, and are not again
	last    error         // of visit: nothing that could have moved
	before  error         // the damage found the last time
}

func (d *dumper) log(ctx context.Context) error {
	for ctx.Err() == nil {
		if d.t.file != "" && !d.t.named {
			if err := d.alone(); !errors.Is(err, errMoved) {
				return err
			}
			continue
		}
		m, ok, err := wal.ReadManifest(d.o.FS, d.t.dir)
		if err != nil {
			return err
		}
		if !ok {
			return noLog(ctx, d.o, d.t)
		}
		if err = d.segments(&m); !errors.Is(err, errMoved) {
			return err
		}
	}
	return ctx.Err()
}

// alone dumps a file that no manifest names.
func (d *dumper) alone() error {
	err := d.segment(d.t.file, nil, false)
	if errors.Is(err, fs.ErrNotExist) && d.last == nil {
		return nil
	}
	return d.again(err)
}

// again makes errMoved of damage that is found for the first time and may have
// been a write under way.
func (d *dumper) again(err error) error {
	if d.last == nil && errors.Is(err, segment.ErrCorrupt) && !sameDamage(err, d.before) {
		d.before = err
		return errMoved
	}
	return err
}

// noLog tells what a directory without a manifest is: nothing, or damage.
func noLog(ctx context.Context, o *Options, t target) error {
	r, ok, err := verifyLog(ctx, o, t)
	if err == nil && ok && r.State == Corrupt {
		return &segment.CorruptError{Path: r.Damage.Path, Offset: segment.Pos(r.Damage.Position), What: r.Damage.What, Want: r.Damage.Want, Got: r.Damage.Got}
	}
	return err
}

// segments dumps what the manifest names; errMoved when it is to be read again.
func (d *dumper) segments(m *wal.Manifest) error {
	for i := range m.Segments {
		meta, sealed := &m.Segments[i], i < len(m.Segments)-1
		if d.t.file != "" && !d.t.is(meta.ID) || int64(meta.BaseOffset) >= d.o.To ||
			sealed && (int64(meta.NextOffset) < d.o.From || meta.BaseIndex+segment.Index(meta.Frames) <= d.next) {
			continue
		}
		p := path.Join(d.t.dir, wal.SegmentName(meta.ID))
		err := d.segment(p, meta, sealed)
		if err == nil {
			continue
		}
		if d.last != nil {
			return d.last
		}
		return d.again(explain(d.o.FS, d.t.dir, p, meta, sealed, err))
	}
	return nil
}

// sameDamage tells whether two readings found damage at the same position.
func sameDamage(a, b error) bool {
	var c, d *segment.CorruptError
	return errors.As(a, &c) && errors.As(b, &d) && c.Path == d.Path && c.Offset == d.Offset
}

func (d *dumper) segment(p string, meta *segment.Meta, sealed bool) error {
	s, err := scan.Open(d.o.FS, p, meta, sealed)
	if err != nil {
		return err
	}
	defer s.Close()
	if meta == nil {
		if err := s.FindTrailer(); err != nil {
			return err
		}
	}
	s.Visit = func(pos segment.Pos, f *segment.Frame) error {
		if f.Index < d.next {
			return nil
		}
		d.next, d.last = f.Index+1, d.visit(p, pos, f)
		return d.last
	}
	if s.Sealed {
		return s.ReadSealed()
	}
	return s.ReadActive(s.Meta.DataEnd)
}

var kinds = map[segment.Kind]string{segment.KindData: "data", segment.KindConf: "membership", segment.KindConfV2: "membership v2"}

func (d *dumper) frame(p string, pos segment.Pos, f *segment.Frame) error {
	first, next := int64(f.BaseOffset), int64(f.Next())
	if first >= d.o.To || next < d.o.From || next == d.o.From && f.Count > 0 {
		return nil
	}
	payload := f.Payload
	err := d.each(Line{Frame: &Frame{Path: p, Position: int64(pos), Index: uint64(f.Index), Term: uint64(f.Term), Kind: kinds[f.Kind],
		BaseOffset: first, Count: f.Count, MaxTimestamp: f.MaxTimestamp, PayloadBytes: len(payload), SyncedThrough: int64(f.SyncedThrough)}})
	if err != nil || !d.o.Records || f.Kind != segment.KindData || f.Count == 0 {
		return err
	}
	for rest := payload; len(rest) > 0; {
		at := pos + segment.Pos(segment.FrameHeaderLen+len(payload)-len(rest))
		v, tail, err := batch.Next(rest)
		if err != nil {
			return scan.Damage(p, at, "record batch", "a whole batch of magic 2", err)
		}
		if v.NextOffset() > d.o.From && v.BaseOffset() < d.o.To {
			if err := d.batch(p, at, v); err != nil {
				return err
			}
		}
		rest = tail
	}
	return nil
}

func (d *dumper) batch(p string, at segment.Pos, v batch.View) error {
	a := v.Attributes()
	err := d.each(Line{Batch: &Batch{Position: int64(at), BaseOffset: v.BaseOffset(), LastOffset: v.LastOffset(), LeaderEpoch: v.LeaderEpoch(),
		Records: v.Count(), Bytes: len(v), Codec: v.Codec().String(), CRC: v.CRC(), MaxTimestamp: v.MaxTimestamp(),
		ProducerID: v.ProducerID(), ProducerEpoch: v.ProducerEpoch(), BaseSequence: v.BaseSequence(),
		Transactional: a.Transactional(), Control: a.Control()}})
	if err != nil {
		return err
	}
	for r, err := range batch.Records(v, d.scratch) {
		if err != nil {
			return scan.Damage(p, at, "records of a batch", "records that can be decoded", err)
		}
		if r.Offset < d.o.From || r.Offset >= d.o.To {
			continue
		}
		out := &Record{Offset: r.Offset, Timestamp: r.Timestamp, Key: Escape(r.Key), Value: Escape(r.Value)}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, Header{*Escape(h.Key), Escape(h.Value)})
		}
		if err := d.each(Line{Record: out}); err != nil {
			return err
		}
	}
	return nil
}

package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
	"chronik/wal/inspect"
)

// Options say what is to be given up and how the log is read.
type Options struct {
	inspect.Options        // FS, Clock, FramesOnly
	To              string // the directory to write, which must not exist, or be empty
	// CutFrom, if not 0, gives up everything from the frame at or around that
	// position of the named segment to the end of the log.
	CutFrom int64
	// DropThrough gives up everything from the start of the log to the end of
	// the named segment.
	DropThrough bool
}

// Report says what was done.
type Report struct {
	Path   string          `json:"path" yaml:"path"`   // of the log
	State  inspect.State   `json:"state" yaml:"state"` // in which it was found
	Damage *inspect.Damage `json:"damage,omitempty" yaml:"damage,omitempty"`
	To     string          `json:"to" yaml:"to"` // "" when nothing was written
	Done   []Step          `json:"done" yaml:"done"`
	Lost   *Loss           `json:"lost,omitempty" yaml:"lost,omitempty"` // nil: nothing
	Copy   *Copy           `json:"copy,omitempty" yaml:"copy,omitempty"`
	// Choices are, when the repair was refused, what could be given up.
	Choices []Choice `json:"choices,omitempty" yaml:"choices,omitempty"`
}

// Step is something that is different in the copy.
type Step struct {
	Path     string `json:"path" yaml:"path"`
	Position int64  `json:"position" yaml:"position"`
	What     string `json:"what" yaml:"what"`
}

// Loss is what the source has, or had, and the copy has not. What is not known
// is nil.
type Loss struct {
	FirstIndex  *uint64 `json:"first_index" yaml:"first_index"`
	LastIndex   *uint64 `json:"last_index" yaml:"last_index"`
	FirstOffset *int64  `json:"first_offset" yaml:"first_offset"`
	NextOffset  *int64  `json:"next_offset" yaml:"next_offset"`
	Records     *int64  `json:"records" yaml:"records"` // offsets in that range
	Bytes       int64   `json:"bytes" yaml:"bytes"`     // of frames, damaged ones included
}

// Copy describes the log that was written.
type Copy struct {
	FirstIndex     uint64 `json:"first_index" yaml:"first_index"`
	LastIndex      uint64 `json:"last_index" yaml:"last_index"` // first index - 1 when empty
	StartOffset    int64  `json:"start_offset" yaml:"start_offset"`
	NextOffset     int64  `json:"next_offset" yaml:"next_offset"`
	inspect.Counts `yaml:",inline"`
}

// Choice is a way to go on.
type Choice struct {
	Option string `json:"option" yaml:"option"`
	Path   string `json:"path" yaml:"path"`
	Loses  Loss   `json:"loses" yaml:"loses"`
}

// ErrRefused is damage that Repair does not give up anything for without being told.
var ErrRefused = errors.New("not repaired")

// triesMax is how often a log that changes meanwhile is copied anew.
const triesMax = 10

// Repair copies the log in a directory, or the one that a segment file belongs
// to. A refusal is an ErrRefused with the damage in it, and has a report too.
// A wrong use is an inspect.ErrUsage.
func Repair(ctx context.Context, name string, o Options) (*Report, error) {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	r := &repairer{o: o, ctx: ctx}
	if err := r.target(name); err != nil {
		return nil, err
	}
	if err := r.free(); err != nil {
		return nil, err
	}
	for range triesMax {
		report, err := r.once()
		if !errors.Is(err, errChanged) || ctx.Err() != nil {
			return report, err
		}
	}
	return nil, fmt.Errorf("%s changes faster than it can be copied", r.dir)
}

// errChanged is a log that has changed while it was copied.
var errChanged = errors.New("the log has changed")

type repairer struct {
	o    Options
	ctx  context.Context
	dir  string
	file string // the segment that positions are in, by its name; "" for none
	made bool   // the directory of the copy is ours
}

// target finds the log.
func (r *repairer) target(name string) error {
	info, err := r.o.FS.Stat(name)
	if errors.Is(err, fs.ErrNotExist) && r.names(name) {
		err = nil // it is missing, which is the damage
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usage("%s: there is nothing of that name; want a segment file or a log's directory", name)
	}
	if err != nil {
		return err
	}
	r.dir = path.Clean(name)
	if !info.IsDir {
		r.dir, r.file = path.Dir(r.dir), path.Base(r.dir)
	}
	names, err := r.o.FS.ReadDir(r.dir)
	if err != nil {
		return err
	}
	log := false
	for _, n := range names {
		log = log || n == wal.ManifestName || strings.HasSuffix(n, wal.SegmentSuffix)
	}
	switch given := r.o.CutFrom != 0 || r.o.DropThrough; {
	case !log || r.file != "" && !strings.HasSuffix(r.file, wal.SegmentSuffix):
		return usage("%s: no log there; want a segment file or a log's directory", name)
	case given && r.file == "":
		return usage("%s: want the segment file that is meant", name)
	case r.o.CutFrom < 0 || r.o.CutFrom != 0 && r.o.DropThrough:
		return usage("want one position to cut from, or everything to be dropped through %s", r.file)
	}
	return nil
}

// names tells whether the manifest beside a file names it.
func (r *repairer) names(name string) bool {
	m, _, err := wal.ReadManifest(r.o.FS, path.Dir(name))
	return err == nil && slices.ContainsFunc(m.Segments, func(s segment.Meta) bool { return wal.SegmentName(s.ID) == path.Base(name) })
}

// free checks that the copy overwrites nothing.
func (r *repairer) free() error {
	to := path.Clean(r.o.To)
	if r.o.To == "" {
		return usage("want a directory to write the copy to")
	}
	if to == r.dir || strings.HasPrefix(to, r.dir+"/") {
		return usage("%s: want a directory outside of %s", r.o.To, r.dir)
	}
	info, err := r.o.FS.Stat(to)
	if r.made = errors.Is(err, fs.ErrNotExist); r.made {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir {
		return usage("%s: there is a file of that name; want a directory that does not exist", r.o.To)
	}
	names, err := r.o.FS.ReadDir(to)
	if err == nil && len(names) > 0 {
		return usage("%s is not empty; want a directory that does not exist", r.o.To)
	}
	return err
}

// once verifies the source, plans, copies, and verifies the copy.
func (r *repairer) once() (*Report, error) {
	found, err := inspect.Verify(r.ctx, r.dir, r.o.Options)
	var damage *inspect.Damage
	if err != nil && !errors.As(err, &damage) {
		return nil, err
	}
	if len(found) != 1 {
		return nil, usage("%s: no log there; want a segment file or a log's directory", r.dir)
	}
	report := &Report{Path: r.dir, State: found[0].State, Damage: found[0].Damage, Done: []Step{}}
	if report.State == inspect.NewerMade {
		return report, fmt.Errorf("%w: %w; a newer release can read it", ErrRefused, damage)
	}
	p, err := r.plan(report)
	if err == nil {
		report.To = r.o.To
		err = r.write(p, report)
	}
	if err == nil {
		return report, nil
	}
	report.To = ""
	// Frames that were in order a moment ago are being written to.
	if r.changed(p) || report.State != inspect.Corrupt && errors.Is(err, ErrRefused) {
		err = fmt.Errorf("%w: %w", errChanged, err)
	}
	return report, err
}

// changed tells whether the source's manifest is not the one that was planned
// with.
func (r *repairer) changed(p *plan) bool {
	m, ok, err := wal.ReadManifest(r.o.FS, r.dir)
	return err == nil && (ok != (p.generation != 0) || m.Generation != p.generation)
}

func usage(format string, args ...any) error {
	return usageError(fmt.Sprintf(format, args...))
}

// usageError is an inspect.ErrUsage with words of its own.
type usageError string

func (e usageError) Error() string { return string(e) }
func (usageError) Unwrap() error   { return inspect.ErrUsage }

// refusal wraps the damage that is in the way.
func refusal(damage error, report *Report) error {
	report.Done, report.Lost = []Step{}, nil
	var c *segment.CorruptError
	if errors.As(damage, &c) {
		damage = &inspect.Damage{Path: c.Path, Position: int64(c.Offset), What: c.What, Want: c.Want, Got: c.Got}
	}
	if len(report.Choices) == 0 {
		return fmt.Errorf("%w: %w", ErrRefused, damage)
	}
	options := make([]string, len(report.Choices))
	for i, c := range report.Choices {
		options[i] = c.Option
	}
	return fmt.Errorf("%w: %w; want %s, with %s as FILE, and what that loses", ErrRefused, damage, strings.Join(options, " or "), report.Choices[0].Path)
}

package main

import (
	"path/filepath"
	"strings"

	"chronik/wal/inspect"
	"chronik/wal/repair"

	"github.com/spf13/cobra"
)

const repairLong = `Write a repaired copy of a log, and say what is lost. The source is only read.

A clean log is copied as it is, and a torn tail is left out. A manifest, a file
header or a segment's table that is damaged is made anew of the rest; no frame is
lost. Anything else is refused with status 1, the position of the damage, and
what it would cost to give up:

  --cut-from POSITION   everything from the frame at POSITION of FILE to the end
                        of the log. Frames before it stay. A broker that had
                        committed more refuses to start from the copy; it is for
                        reading.
  --drop-through        everything from the start of the log to the end of FILE.
                        The log then begins with the segment behind, as after
                        retention: not for logs that are needed from their start,
                        as the metadata.

Indexes of a raft log follow each other, so that a hole in the middle cannot be
left. Where another replica is whole, copy that one instead.`

func (a *app) segmentRepairCommand() *cobra.Command {
	var o repair.Options
	cmd := a.segmentVerb("repair", "Write a repaired copy of a log", func(cmd *cobra.Command, name string) (inspect.Answer, error) {
		if cmd.Flags().Changed("cut-from") && o.CutFrom <= 0 {
			return nil, usagef("--cut-from %d: want the position of a frame, as segment verify prints it", o.CutFrom)
		}
		if o.To == "" {
			return nil, usagef("segment repair: want --to, a directory to write the copy to")
		}
		if inside(name, o.To) {
			return nil, usagef("--to %s: want a directory outside of the log's", o.To)
		}
		report, err := repair.Repair(cmd.Context(), name, o)
		if report == nil {
			return nil, err
		}
		return report, err
	})
	cmd.Long = repairLong
	cmd.Flags().StringVar(&o.To, "to", "", "The directory to write, which must not exist or be empty")
	cmd.Flags().Int64Var(&o.CutFrom, "cut-from", 0, "Give up everything from the frame at this position of FILE on")
	cmd.Flags().BoolVar(&o.DropThrough, "drop-through", false, "Give up everything up to the end of FILE")
	cmd.Flags().BoolVar(&o.FramesOnly, "frames-only", false, "Do not look for record batches in the frames")
	return cmd
}

// inside tells whether a directory, which need not exist, is that of a log or
// of a segment file, or below it, whatever links lead there.
func inside(log, dir string) bool {
	if strings.HasSuffix(log, ".seg") {
		log = filepath.Dir(log)
	}
	log, dir = resolved(log), resolved(dir)
	return dir == log || strings.HasPrefix(dir, log+string(filepath.Separator))
}

// resolved is a path without links, as far as it exists.
func resolved(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil || abs == filepath.Dir(abs) {
		return real
	}
	return filepath.Join(resolved(filepath.Dir(abs)), filepath.Base(abs))
}

package room

import (
	"log/slog"
	"sync/atomic"
	"time"

	"chronik/internal/clock"
)

// The pause between two attempts to write to a full disk.
const (
	pauseMin = 100 * time.Millisecond
	pauseMax = time.Second

	// logPause is the time between two waits of a group that are logged.
	logPause = 10 * time.Second
)

// Wait is a group's wait for room. The zero value needs Init.
type Wait struct {
	group  uint64
	clock  clock.Clock
	logger *slog.Logger
	wake   func()

	err    error // why there is no room; nil: there is
	pause  time.Duration
	timer  clock.Timer
	logged time.Time   // when the last wait began that was logged
	told   bool        // this one was
	due    atomic.Bool // it is time for another attempt
}

// Init readies a Wait. wake is called when an attempt is due.
func (w *Wait) Init(group uint64, clock clock.Clock, logger *slog.Logger, wake func()) {
	w.group, w.clock, w.logger, w.wake = group, clock, logger, wake
}

// Err is why the group waits, nil when it does not.
func (w *Wait) Err() error { return w.err }

// Full notes that an attempt has found no room, and sees to the next. It reports
// whether a wait has begun.
func (w *Wait) Full(err error) (began bool) {
	if began = w.err == nil; began {
		now := w.clock.Now()
		if w.told = w.logged.IsZero() || now.Sub(w.logged) >= logPause; w.told {
			w.logger.Warn("no room on the disk: the group waits for it", "group", w.group, "err", err)
			w.logged = now
		}
		w.err, w.pause = err, pauseMin
	} else if w.timer != nil {
		return false // that attempt is for all
	} else {
		w.pause = min(2*w.pause, pauseMax)
	}
	w.timer = w.clock.AfterFunc(w.pause, func() {
		w.due.Store(true)
		w.wake()
	})
	return began
}

// Due reports, once, that it is time for another attempt.
func (w *Wait) Due() bool {
	if !w.due.Swap(false) {
		return false
	}
	w.timer = nil
	return true
}

// Over ends the wait: there is room.
func (w *Wait) Over() {
	if w.told {
		w.logger.Info("there is room on the disk again", "group", w.group)
	}
	w.err = nil
}

// Stop ends the wait of a group that stops.
func (w *Wait) Stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.err, w.timer = nil, nil
}

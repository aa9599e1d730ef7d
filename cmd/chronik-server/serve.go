package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"chronik/internal/clock"
	"chronik/internal/config"
	"chronik/internal/vfs"
	"chronik/node"

	"github.com/spf13/cobra"
)

// serve runs a broker until a signal stops it.
func (a *app) serve(cmd *cobra.Command, command string) error {
	c, err := a.load(command)
	if err != nil {
		return err
	}
	if err := config.CheckDataDir(c.Server.DataDir); err != nil {
		return usageError{err}
	}
	logger := newLogger(cmd.ErrOrStderr(), c.Server.LogLevel)
	for _, warning := range c.Warnings {
		logger.Warn("configuration", "note", warning)
	}
	ctx, stop := untilSignal(cmd.Context(), logger)
	defer stop()
	v := readBuildVersion()
	err = node.Run(ctx, c, node.Build{Version: v.FeatureLevel, GoVersion: v.Go, Revision: v.Revision}, logger)
	if errors.Is(err, vfs.ErrLocked) {
		return usagef("data directory %s: another process uses it; want one of this node's own (--data-dir)", c.Server.DataDir)
	}
	for _, theirs := range []error{node.ErrDataDir, node.ErrAddress, node.ErrMembership, node.ErrTLS} {
		if errors.Is(err, theirs) {
			return usageError{err}
		}
	}
	return err
}

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		panic("BUG: config accepted the log level " + level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

// untilSignal is a context that ends with the first SIGTERM, SIGINT or SIGHUP. What
// comes then does not cut the stop short, but for a second SIGINT: it ends the
// process with status 1.
func untilSignal(parent context.Context, logger *slog.Logger) (context.Context, func()) {
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithCancel(parent)
	over := make(chan struct{})
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	w := signalWatch{clock: clock.Real, logger: logger, stop: cancel, abort: func() { os.Exit(1) }}
	go func() {
		for {
			select {
			case s := <-signals:
				w.got(s)
			case <-over:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		cancel()
	}
}

// twiceWithin is the time in which the same signal comes twice by one act:
// timeout(1) sends it to its child and to its process group, a terminal to
// every process, and what supervises them may pass it on.
const twiceWithin = 200 * time.Millisecond

// signalWatch knows what each signal means after those before it.
type signalWatch struct {
	clock       clock.Clock
	logger      *slog.Logger
	stop, abort func()

	stopping    bool
	interrupted time.Time // by the first SIGINT
}

func (w *signalWatch) got(s os.Signal) {
	switch now := w.clock.Now(); {
	case s == syscall.SIGINT && !w.interrupted.IsZero() && now.Sub(w.interrupted) >= twiceWithin:
		w.logger.Error("aborted: what this node leads is not handed over", "signal", s.String())
		w.abort()
		return
	case s == syscall.SIGINT && w.interrupted.IsZero():
		w.interrupted = now
	}
	if w.stopping {
		w.logger.Debug("stopping already", "signal", s.String())
		return
	}
	w.stopping = true
	w.logger.Info("stopping", "signal", s.String())
	w.stop()
}

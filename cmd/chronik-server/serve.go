package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

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

// untilSignal is a context that ends with the first SIGTERM, SIGINT or SIGHUP; the
// second ends the process with status 1.
func untilSignal(parent context.Context, logger *slog.Logger) (context.Context, func()) {
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		select {
		case s := <-signals:
			logger.Info("stopping", "signal", s.String())
			cancel()
		case <-ctx.Done():
			return
		}
		if s, again := <-signals; again {
			logger.Error("aborted", "signal", s.String())
			os.Exit(1)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

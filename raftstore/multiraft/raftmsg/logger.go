package raftmsg

import (
	"context"
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
)

// Logger passes raft's own messages to slog. Its steps in elections are
// many and only of use to those who debug raft: they are debug. A panic of
// raft's stops the group it happens in.
type Logger struct{ Log *slog.Logger }

var _ raft.Logger = Logger{}

func (l Logger) at(level slog.Level, format string, v []any) {
	if l.Log.Enabled(context.Background(), level) {
		l.Log.Log(context.Background(), level, "raft: "+fmt.Sprintf(format, v...))
	}
}

func (l Logger) Debug(...any)                {}
func (l Logger) Debugf(string, ...any)       {}
func (l Logger) Info(v ...any)               { l.at(slog.LevelDebug, "%s", []any{fmt.Sprint(v...)}) }
func (l Logger) Infof(f string, v ...any)    { l.at(slog.LevelDebug, f, v) }
func (l Logger) Warning(v ...any)            { l.at(slog.LevelWarn, "%s", []any{fmt.Sprint(v...)}) }
func (l Logger) Warningf(f string, v ...any) { l.at(slog.LevelWarn, f, v) }
func (l Logger) Error(v ...any)              { l.at(slog.LevelError, "%s", []any{fmt.Sprint(v...)}) }
func (l Logger) Errorf(f string, v ...any)   { l.at(slog.LevelError, f, v) }
func (l Logger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l Logger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l Logger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l Logger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }

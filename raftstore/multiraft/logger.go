package multiraft

import (
	"context"
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
)

// raftLogger passes raft's own messages to slog. Its steps in elections are
// many and only of use to those who debug raft: they are debug. A panic of
// raft's stops the group it happens in, see Group.rescue.
type raftLogger struct{ log *slog.Logger }

var _ raft.Logger = raftLogger{}

func (l raftLogger) at(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "raft: "+fmt.Sprintf(format, v...))
	}
}

func (l raftLogger) Debug(...any)                {}
func (l raftLogger) Debugf(string, ...any)       {}
func (l raftLogger) Info(v ...any)               { l.at(slog.LevelDebug, "%s", []any{fmt.Sprint(v...)}) }
func (l raftLogger) Infof(f string, v ...any)    { l.at(slog.LevelDebug, f, v) }
func (l raftLogger) Warning(v ...any)            { l.at(slog.LevelWarn, "%s", []any{fmt.Sprint(v...)}) }
func (l raftLogger) Warningf(f string, v ...any) { l.at(slog.LevelWarn, f, v) }
func (l raftLogger) Error(v ...any)              { l.at(slog.LevelError, "%s", []any{fmt.Sprint(v...)}) }
func (l raftLogger) Errorf(f string, v ...any)   { l.at(slog.LevelError, f, v) }
func (l raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }

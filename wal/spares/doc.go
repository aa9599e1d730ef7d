// Package spares makes the files of a log's next segments ready ahead, and keeps those of dropped segments for that.
//
// It guarantees:
//   - ids ascend: a spare that comes too late is removed, never used;
//   - a spare made by Prepare is durable with its name before it is taken;
//   - a file is used again only when nobody reads it;
//   - a log has one spare and one file for another at most.
//
// No manifest names these files: after a crash whoever opens the log removes
// them. It does not decide when a log wants a spare, nor whether one is worth
// the room.
//
// Concurrency: all methods may be called from anywhere; Init comes first.
//
// Lifetime: a spare that was taken belongs to who took it.
package spares

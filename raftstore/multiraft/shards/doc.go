// Package shards runs many tasks on few goroutines: each when it has something to do, and all at each tick.
//
// A Shard is one goroutine and its tasks. A task that has something to do stands
// in the queue, once (the task sees to that), and tasks run in the order in which
// they came to have it. Ticks and events go to the tasks that tick; a
// checkpoint goes to those that asked for one since the last.
//
// It guarantees that the methods of a task are called by one goroutine, one at a
// time. It has no timers: who owns the shard says when it is time. Ticks that
// find it busy are one tick.
//
// Concurrency: a Shard is safe for concurrent use; its calls never wait for a
// task.
package shards

// Package room times the attempts of one raft group to write to a disk that is full.
//
// What finds no room is tried again after a pause that grows; the waits of a
// group are logged now and then. What is tried, and that nothing is in doubt
// meanwhile, is package multiraft's.
//
// Concurrency: the timer runs on a goroutine of the clock's; all else is called
// by the runner of the group.
package room

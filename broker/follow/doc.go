// Package follow decides which replica answers a consumer: whether one that does not lead may, and which one is nearer.
//
// Guarantee: with the policy Safe, what a replica that does not lead returns
// is not older than what the leader had acknowledged when it was asked.
//
// It does not read, nor decide who leads.
//
// Concurrency: all methods are safe for concurrent use.
package follow

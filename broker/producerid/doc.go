// Package producerid hands out producer ids from blocks that the cluster has reserved for this node.
//
// It guarantees that no two calls get the same id, on any node: a block is
// reserved once, and what is left of it at a restart is not used.
//
// Concurrency: Next is safe for concurrent use.
package producerid

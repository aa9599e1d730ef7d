// Package txns is what a partition's log says of transactions: which are open, which were aborted, and which producers are fenced.
//
// A transaction of a producer begins in a partition with the first
// transactional batch and ends with a marker: a control batch that commits or
// aborts it (KIP-98). All of it follows from the log alone: whoever reads the
// same batches in the same order has the same Table, leader or follower, before
// a restart or after it. Readers that want committed records only end at the
// last stable offset, the first record of the oldest transaction whose marker
// is not below the high watermark, and leave out what Find says was aborted
// below it.
//
// Those that were aborted are kept in memory until a segment is sealed with a
// checkpoint that has them (a page); of the pages a Table knows where they are
// and what they span. So memory depends on what is open and on how much is
// aborted in one segment: Crowded says when to seal it.
//
// A Ledger joins the table of producers' sequences (package producers) and that
// of transactions: they see the same batches, fence the same producers and are
// checkpointed as one. Permits are what a leader has asked the coordinators
// before it lets a transaction begin.
//
// A leader notes batches before they are in the log. A checkpoint as of an
// offset has none from there on.
//
// It does not read the log, nor decide what is committed: package partition
// does.
//
// Concurrency: none; the partition's lock guards it.
//
// Lifetime: nothing given to it is kept.
package txns

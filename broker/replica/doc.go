// Package replica watches over the partitions that this node leads: who is in sync, who is told, and who should lead instead.
//
// A Tracker looks at the progress of the other replicas of each led partition
// from time to time, and at once when leadership begins. It tells the
// partition which replicas are in sync (min.insync.replicas is measured by
// that) and the cluster's metadata who leads in which epoch with which
// replicas in sync, many partitions in one command. It hands leadership back
// to preferred replicas, gently, and to others when the node stops (Drain).
//
// Guarantees: what has changed is told until it is told, or leadership is
// lost. A replica that the partition is told to be in sync has confirmed the
// leader's log in this epoch. So has one that the metadata is told to be, but
// for the first seconds of a new partition: there all live ones are named.
//
// It does not decide who leads (raft does), nor what is committed.
//
// Concurrency: RoleChanged, ISR and Drain may be called from any goroutine;
// RoleChanged does not block. Run is called once.
package replica

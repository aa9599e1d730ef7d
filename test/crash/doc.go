// Package crash proves that SIGKILL of the real binary loses nothing that was acknowledged.
//
// Each round kills the process in the middle of the traffic of package load, restarts it on the same directory and has
// the load check that everything acknowledged is there.
//
// What SIGKILL leaves is what the page cache holds; package disk takes that away too.
//
//	CHRONIK_CRASH_ROUNDS  rounds (20)
//	CHRONIK_CRASH_SEED    seed of the moments of the kills and of the records (random; a failure prints it)
package crash

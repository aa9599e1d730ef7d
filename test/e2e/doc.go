// Package e2e proves that three real processes are one Kafka cluster whose acknowledgements mean something.
//
// Nodes are started with the command lines of the contract, on loopback or each in a network namespace of its own, and
// are killed, terminated, paused, cut off and restarted while package load writes and reads. What was acknowledged is
// compared with what is consumed: nothing lost, order kept, no duplicates. Whatever must come is polled for with a
// deadline that has nothing to do with how fast the machine is; the few times that the contract names are measured,
// printed and held, unless the machine itself stood still meanwhile, which is measured too: then it is done again.
//
//	CHRONIK_KILLS         leaders killed under load (20)
//	CHRONIK_E2E_SEED      seed of the records and of the victims (random; a failure prints it)
//	CHRONIK_TEST_NETWORK  "required": fail, do not skip, where there are no network namespaces
package e2e

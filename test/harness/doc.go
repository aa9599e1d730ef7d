// Package harness starts, kills and restarts the real chronik-server binary for black-box tests, alone or as a cluster.
//
// It guarantees that each broker runs on free loopback ports with its own data directory, that it is ended by its own
// process id when the test ends, and that its log is shown when the test fails. The nodes of a cluster can have network
// namespaces of their own, with links that are cut and healed. It does not know the product's code:
// everything goes through the command line, the Kafka port and the HTTP port.
//
// Environment:
//
//	CHRONIK_BIN             the binary to test; unset: built from the repository this module lies in
//	CHRONIK_TEST_BOOTSTRAP  host:port of a running broker; tests that must own the process or its settings are skipped
//	CHRONIK_TEST_PEER       "kfake": the binary is test/peer, so rules that kfake is known to break are skipped
//	CHRONIK_RECORD          a directory: clients reach the brokers through a tap, which writes there what goes by
//	CHRONIK_TEST_NODES      how many nodes Start runs (1); more than one make a cluster
//	CHRONIK_TEST_NETWORK    "required": a test that needs network namespaces fails where there are none, else it is skipped
//	CHRONIK_TEST_KEEP       "1": data directories and logs stay behind
//
// A Broker may be used by several goroutines; Kill, Stop and Restart by one at a time.
package harness

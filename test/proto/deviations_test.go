package proto

import (
	"path"
	"testing"

	"chronik/test/harness"
)

// kfakeBreaks names the tests and subtests that kfake fails for a reason of its own; dial skips them there, so that the
// rest of the suite can be checked against a second implementation.
var kfakeBreaks = map[string]string{
	"TestF6/no_partitions":                      "waits though nothing was asked for",
	"TestF6/min_bytes_over_max_bytes":           "does not cap min bytes to max bytes",
	"TestF9":                                    "sends null aborted transactions for read_committed",
	"TestSessions/v7":                           "keeps a session that was emptied",
	"TestSessions/v12":                          "keeps a session that was emptied",
	"TestSessions/v13":                          "keeps a session that was emptied",
	"TestSessions/v17":                          "keeps a session that was emptied",
	"TestSessions/F33_made_by_name,_used_by_id": "does not tell sessions by name from those by id",
	"TestF30Slots":                              "evicts at once",
	"TestG10":                                   "takes any name",
	"TestApiVersions/above_the_maximum:_v0_body_with_35,_connection_stays": "closes on bytes of a future version",
	"TestJoinVersions":                "puts a v0 member through the member id round",
	"TestJ33":                         "answers held syncs with an assignment",
	"TestStatic":                      "does not fence by member id on leave",
	"TestJ50":                         "leaves members out of the answer",
	"TestDescribeGroups":              "shows a client host with a port",
	"TestListOffsets/L1_latest_v11":   "has no v11",
	"TestListOffsets/L2_earliest_v11": "has no v11",
	"TestListOffsets/L4_earliest_pending_upload": "has no v11",
	"TestR1":                   "refuses an offset below the start",
	"TestProduceRefused":       "validates less of a batch, and answers errors with base offset 0",
	"TestP1":                   "takes a transactional batch without an id",
	"TestP10/error":            "stays open after an error of acks=0",
	"TestP13":                  "does not look at keys of compacted topics",
	"TestIdempotence":          "answers errors with base offset 0",
	"TestP40":                  "does not look at timestamps",
	"TestP41":                  "has no LogAppendTime",
	"TestMetadata":             "has a cluster id of its own form, and takes an empty v0 array for none",
	"TestM3/v0":                "does not create topics below v4",
	"TestM3/v1":                "does not create topics below v4",
	"TestM3/v2":                "does not create topics below v4",
	"TestM3/v3":                "does not create topics below v4",
	"TestM14":                  "sends null eligible leader replicas",
	"TestCreateTopics":         "checks less, and gives no messages",
	"TestA10":                  "does not look at assignments",
	"TestDeleteTopics":         "takes name and id together",
	"TestTransactionalProduce": "has INVALID_TXN_STATE for new clients too",
	"TestWriteTxnMarkers":      "does not fence coordinators",
}

// deviates skips a test that the peer is known to fail.
func deviates(t *testing.T) {
	t.Helper()
	for name := t.Name(); name != "."; name = path.Dir(name) {
		if reason, ok := kfakeBreaks[name]; ok {
			harness.SkipOnPeer(t, "kfake", reason)
		}
	}
}

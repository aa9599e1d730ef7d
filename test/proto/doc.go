// Package proto holds the real binary to the protocol's rules, over raw sockets.
//
// Each test or subtest is named by the id of the rule it checks. Requests are built with franz-go's kmsg, an
// independent codec, or byte by byte where no codec would build them; every response must re-encode to the bytes that
// came, so that nothing is left over. Rules that kfake, the peer these tests were built against, is known to break are
// skipped there with the reason.
package proto

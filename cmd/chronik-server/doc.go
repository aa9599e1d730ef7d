// Command chronik-server runs a Chronik broker and asks running ones how they are.
//
// Without a subcommand it is a broker; see docs/configuration.md for what can
// be set, and `chronik-server --help` for the subcommands, one file each here.
//
// Exit status: 0 after a clean stop or an answered question; 2 when what the
// user gave is wrong (an unknown flag, a bad value, an unusable directory),
// with one line that says what would be right; 1 when something else failed.
//
// Signals: the first SIGTERM, SIGINT or SIGHUP hands over what the node leads,
// finishes requests in flight, syncs, and the exit status is 0. Further ones do
// not cut that short, but for a second SIGINT (Ctrl-C twice): it aborts with 1.
package main

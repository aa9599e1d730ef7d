// Command chronik-server runs a Chronik broker and asks running ones how they are.
//
// Without a subcommand it is a broker; see docs/configuration.md for what can
// be set, and `chronik-server --help` for the subcommands, one file each here.
//
// Exit status: 0 after a clean stop or an answered question; 2 when what the
// user gave is wrong (an unknown flag, a bad value, an unusable directory),
// with one line that says what would be right; 1 when something else failed.
//
// Signals: SIGTERM or SIGINT finishes requests in flight, syncs, and exits
// with 0. A second one aborts at once with 1.
package main

// Package config reads a node's configuration: chronik.toml, then the environment, then flags.
//
// One table (see table.go) holds every setting with its key in the file, its
// variable, its flag, its default and its sentence of documentation. The
// parser, the flags, `config show` and docs/configuration.md are made from it.
//
// What it guarantees: a Config that Load returns holds valid values, each with
// the place it came from. Anything else is one error of one line that says
// where it stands, what is wrong and what would be right; an unknown key names
// the nearest known one.
//
// What it does not do: it knows no names of Kafka's broker settings; the
// caller gives the check for those. It opens nothing but the file and, in
// CheckDataDir, the data directory.
//
// Concurrency: a Config is plain data; nobody changes it after Load.
package config

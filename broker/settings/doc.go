// Package settings reads and changes the configuration that the metadata holds, for topics and for brokers.
//
// It joins the tables of broker/config with the overrides in broker/cluster,
// for one node. It is pure: a change comes back as the overrides that it
// leads to, and whoever asked proposes them.
package settings

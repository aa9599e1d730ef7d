// Package config is Kafka's topic and broker settings as tables, and what they come to when layers of them are put over each other.
//
// Each setting stands once, in a row that says its name, type, default, valid
// values, the broker settings it falls back to, whether it can change at run
// time, and whether this broker acts on it or only reports it. Validation,
// description, typed views and documentation derive from the rows.
//
// A topic's value comes from the first layer that has one (KIP-226):
//
//	topic override > broker dynamic > cluster default dynamic > static > default
//
// where the lower layers are asked for the broker synonyms of the setting, in
// their order: retention.ms asks log.retention.ms, then .minutes, then .hours.
//
// It guarantees that what ResolveTopic and ResolveBroker return passed every
// check, so that users of TopicConfig and BrokerConfig need none, and that a
// change that fails changes nothing.
//
// It does not store anything, read files or flags, or know resources other
// than topics and brokers.
//
// Concurrency: the tables are never written to; every function is pure.
// TopicConfig and BrokerConfig are not changed once returned; share them.
package config

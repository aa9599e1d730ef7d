// Package reference writes docs/protocol.md: what is served of the Kafka protocol, in which versions, what is refused and why.
//
// Everything in the document that can change is asked of the code: the APIs of
// kafka/handler's table, those of kafka/msg, the settings and their defaults of
// broker/config, and the codes with which kafka/batch refuses records. Only
// kafka.tsv, the versions that Kafka's own releases have, is a copy of facts
// from elsewhere.
//
// It does not serve anything.
package reference

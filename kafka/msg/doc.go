// Package msg holds the Kafka protocol's messages as Go structs that decode and encode
// themselves in every version.
//
// The structs are generated (go generate) from the definitions in def, one file an API
// key; def/README.md describes their form. APIs lists requests and responses, Embedded what
// stands inside of others, GroupRecords, TransactionRecords and ShareRecords what coordinators
// keep in their topics. Names are Kafka's. A struct inside of a message
// has Kafka's name too, with the message's name in front if it would not be unique.
//
// It guarantees:
//   - Decode sets every field: those the version lacks get their default. It keeps null and
//     empty apart: nil slice, NullString without Valid, nil pointer are null. Unknown tagged
//     fields are skipped.
//   - Whatever the input, Decode does not panic, and allocates at most a fixed multiple of
//     its length.
//   - Encode drops a field the version lacks if Kafka calls it ignorable, and otherwise
//     reports wire.ErrNotInThis if it is not the default. A null is written as empty by a
//     version that has no null. Tagged fields equal to their default are not written.
//   - Decode into a struct used before and Encode to a Writer used before allocate nothing
//     in steady state.
//
// It does not validate values, know which versions a server offers, or look into records:
// they are bytes in requests, and in responses slices that are spliced into the output.
//
// Concurrency: values are plain data; the tables are read-only.
//
// Lifetime: strings and bytes alias the frame that was decoded (see package wire).
package msg

// Command codec puts the same messages through Chronik's codec and through
// those of two Go clients, in one run, and prints a table.
//
//   - chronik: chronik/kafka/msg and chronik/kafka/batch
//   - kmsg: github.com/twmb/franz-go/pkg/kmsg, and kgo.ProcessFetchPartition for records
//   - sarama: github.com/IBM/sarama
//
// Each contender gets the same bytes, which the others make too: before a row
// is measured every encoder's output is compared with the other's, and every
// decoder's result is encoded again and compared.
//
// Each codec is used in the ways that it offers. "kmsg, unsafe, reused" reads
// into a struct that was used before and lets strings alias the input; "kmsg,
// reused" copies them; "new" has a new struct each time, as brokers do. Of
// writing there is a reused and a new buffer. A ratio is against the fastest of kmsg's ways,
// and the one called "new" against the fastest that begins with nothing.
//
// Records of a Fetch response lie in the page cache: Chronik splices them into
// the output, where kmsg copies. "chronik, copied" copies them too, into one
// reused buffer.
//
// Sarama exports neither encoders nor decoders. Its client's side is measured
// through a sarama.Broker whose connection is memory: the figure has sarama's
// own hand-over between goroutines in it, for which the row of the smallest
// exchange stands, and is read with that in mind. Of a broker's side it has
// only a mock for tests, which is not compared. It reads no version of a
// message that the row does not name.
package main

package record

import "chronik/kafka/wire"

// Subscription reads which topics a consumer's protocol metadata names (ConsumerProtocolSubscription, the only
// metadata a broker may look into): version int16 | topics [] string | ... All versions begin so. The names alias
// the metadata.
func Subscription(metadata []byte) ([]string, error) {
	r := wire.NewReader(metadata)
	if version := r.Int16(); version < 0 {
		r.Fail(wire.ErrVersion)
	}
	topics := make([]string, 0, r.ArrayLen(false, 2))
	for n := cap(topics); n > 0 && r.Err() == nil; n-- {
		topics = append(topics, r.String(false))
	}
	return topics, failed(&r, "subscription")
}

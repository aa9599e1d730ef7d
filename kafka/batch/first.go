package batch

// zstdVersionMin is the first Produce version that may carry zstd (KIP-110).
const zstdVersionMin = 7

// First takes the one batch out of the records of a Produce request's
// partition: the checks that Kafka makes before it looks at the topic. The
// bytes of a partial batch, or too few for a header, that follow are trimmed,
// not refused, as in Kafka. The result aliases records and has passed no
// other check: give it to Validate.
func First(records []byte, produceVersion int16) (View, *Error) {
	size, err := frontSize(records)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, errorf(InvalidRecord, "the records hold no whole batch: one is needed for each partition")
	}
	v := View(records[:size:size])
	if m := v.Magic(); m != magicV2 {
		return nil, errorf(InvalidRecord, "the batch has magic %d: Produce needs magic 2", m)
	}
	if produceVersion < zstdVersionMin && v.Codec() == Zstd {
		return nil, errorf(UnsupportedCompression, "zstd needs Produce version %d or later", zstdVersionMin)
	}
	second, err := frontSize(records[size:])
	if err != nil {
		return nil, err
	}
	if second != 0 {
		return nil, errorf(InvalidRecord, "the records hold more than one batch: exactly one is needed for each partition")
	}
	return v, nil
}

// frontSize is the size in bytes of the batch or legacy message at the front
// of b, 0 when none is whole. The legacy formats share the first 17 bytes as
// far as the length and the magic are concerned.
func frontSize(b []byte) (int, *Error) {
	if len(b) < logOverhead {
		return 0, nil
	}
	length := int64(View(b).Length())
	if length < legacySizeMin {
		return 0, errorf(CorruptMessage, "batch length %d is below the smallest record", length)
	}
	if len(b) < sizeToMagic {
		return 0, nil
	}
	if m := View(b).Magic(); m < 0 || m > magicV2 {
		return 0, errorf(CorruptMessage, "batch has magic %d", m)
	}
	if length+logOverhead > int64(len(b)) {
		return 0, nil
	}
	return int(length + logOverhead), nil
}

package compat

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestOldVersions lets franz-go and sarama speak as they do to brokers since Kafka 1.0: each produces and consumes with
// what that version had, and shares a group.
func TestOldVersions(t *testing.T) {
	b := sharedBroker(t)
	all := []struct {
		name   string
		codecs []string
		c      client
	}{
		{"franz-go/1.0", codecs[:4], franz{b.Bootstrap(), kversion.V1_0_0()}},
		{"franz-go/2.0", codecs[:4], franz{b.Bootstrap(), kversion.V2_0_0()}},
		{"franz-go/2.1", codecs, franz{b.Bootstrap(), kversion.V2_1_0()}},
		{"franz-go/2.4", codecs, franz{b.Bootstrap(), kversion.V2_4_0()}},
		{"franz-go/2.8", codecs, franz{b.Bootstrap(), kversion.V2_8_0()}},
		{"franz-go/3.3", codecs, franz{b.Bootstrap(), kversion.V3_3_0()}},
		{"franz-go/3.7", codecs, franz{b.Bootstrap(), kversion.V3_7_0()}},
		{"franz-go/4.0", codecs, franz{b.Bootstrap(), kversion.V4_0_0()}},
		{"sarama/1.0", codecs[:4], saramaClient{b.Bootstrap(), sarama.V1_0_0_0}},
		{"sarama/2.1", codecs, saramaClient{b.Bootstrap(), sarama.V2_1_0_0}},
		{"sarama/2.8", codecs, saramaClient{b.Bootstrap(), sarama.V2_8_0_0}},
		{"sarama/3.6", codecs, saramaClient{b.Bootstrap(), sarama.V3_6_0_0}},
	}
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := subject{name: "old-" + strings.ReplaceAll(v.name, "/", "-"), writes: full, reads: full}
			var made []produced
			for _, codec := range v.codecs {
				made = append(made, produceTopic(t, b, s, v.c, codec, "idempotent"))
			}
			consumeAll(t, s, v.c, made)
			topic, group := "group."+s.name, "group-"+s.name
			newTopic(t, b, topic, 4, nil)
			share(t, b, v.c, topic, group, 2, 0, 200)
			share(t, b, v.c, topic, group, 1, 50, 40)
		})
	}
}

package config_test

import (
	"fmt"

	"chronik/broker/config"
)

func Example() {
	b, err := config.ResolveBroker(config.Layers{Static: map[string]string{"log.retention.hours": "24"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	overrides, err := config.ReplaceTopic([]config.Op{{Name: "cleanup.policy", Value: "compact,delete"}}, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	topic, err := config.ResolveTopic(overrides, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(topic.Compact, topic.RetentionMs)
	_, err = config.AlterTopic(overrides, []config.Op{{Name: "retention.mss", Value: "5"}}, b)
	fmt.Println(err)
	// Output:
	// true 86400000
	// unknown setting "retention.mss": did you mean "retention.ms"?
}

package node

import (
	"context"
	"time"

	"chronik/wal"
)

// mappedMax is how many sealed segments are mapped at once. Linux allows a
// process 65,530 mappings (vm.max_map_count), and each partition's active
// segment has one besides.
const mappedMax = 16 << 10

// openMaps makes the node's set of mappings, and has it tick.
func (n *Node) openMaps() *wal.Maps {
	maps := wal.NewMaps(mappedMax)
	running, stop := context.WithCancel(context.Background())
	var tick func()
	tick = func() {
		if running.Err() == nil {
			maps.Tick()
			n.clock.AfterFunc(time.Second, tick)
		}
	}
	tick()
	n.onStop("the mappings' tick", func(context.Context) error { stop(); return nil })
	return maps
}

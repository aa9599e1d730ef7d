//go:build repeatable

package sim

import _ "unsafe" // for go:linkname

// repeatable tells that the runtime is that of sim/repeatable.
const repeatable = true

//go:linkname simSeed runtime.simSeed
func simSeed(seed uint64)

// seedRuntime says where chance comes from, in the bubble.
func seedRuntime(seed uint64) { simSeed(seed) }

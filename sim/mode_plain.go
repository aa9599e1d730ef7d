//go:build !repeatable

package sim

// repeatable tells that the runtime is that of sim/repeatable.
const repeatable = false

// seedRuntime does nothing: chance is Go's own.
func seedRuntime(uint64) {}

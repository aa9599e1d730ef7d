// Package clock is the time a component runs on, handed in so that tests and simulations decide what time it is.
//
// Real reads the operating system's clock. Manual stands still until Advance
// moves it and then runs the due timers, in order of their deadlines, on the
// goroutine that called Advance. Both are safe for concurrent use.
package clock

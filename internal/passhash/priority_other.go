//go:build !linux

package passhash

// lowerPriority has no effect, because threads share the priority of the process.
func lowerPriority() {}

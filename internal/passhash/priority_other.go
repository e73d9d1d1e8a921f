//go:build !linux

package passhash

// lowerPriority does nothing where a thread has no priority of its own.
func lowerPriority() {}

package admin

import "github.com/watchword-auth/watchword"

// DecideAccess exports decideAccess to the tests.
var DecideAccess = decideAccess

// Engine returns the engine of a manager.
func (m *Manager) Engine() *watchword.Engine { return m.auth }

// DefaultsOf returns the options with their defaults filled in.
func DefaultsOf(o Options) Options { return o.withDefaults() }

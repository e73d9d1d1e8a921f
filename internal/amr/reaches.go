package amr

import "slices"

// ascendingLevels ends with phr, which means aal2 with a passkey as the last proof (OpenID EAP).
var ascendingLevels = []string{LevelOne, LevelTwo, "phr"}

// IsLevel reports whether a session can have this level.
func IsLevel(level string) bool { return slices.Contains(ascendingLevels, level) }

// Reaches reports whether a level is equal to, or higher than, one of the accepted levels. A value that is not a
// level of this package reaches only an equal value.
func Reaches(level string, acceptedLevels ...string) bool {
	return slices.ContainsFunc(acceptedLevels, func(one string) bool {
		needed := slices.Index(ascendingLevels, one)
		return one == level || needed >= 0 && slices.Index(ascendingLevels, level) > needed
	})
}

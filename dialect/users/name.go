package users

import "strings"

// An account has one name (`name` in OpenID Connect). The tutorial has a first and a last name.
// JoinName joins them with a space and replaces spaces within the last name with no-break
// spaces. The result is a readable name that SplitName can split again.

const noBreakSpace = "\u00a0"

// JoinName joins first and last name.
//
// Unstable: for the program watchword.
func JoinName(first, last string) string {
	last = strings.Join(strings.Fields(last), noBreakSpace)
	return strings.TrimSpace(strings.Join(strings.Fields(first), " ") + " " + last)
}

// SplitName is the inverse of JoinName. A name that was entered in one field is split at
// its last space. A single word is a first name.
//
// Unstable: for the program watchword.
func SplitName(name string) (first, last string) {
	if cut := strings.LastIndexByte(name, ' '); cut >= 0 {
		first, last = name[:cut], name[cut+1:]
	} else {
		first = name
	}
	return first, strings.ReplaceAll(last, noBreakSpace, " ")
}

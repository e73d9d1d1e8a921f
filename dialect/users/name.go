package users

import "strings"

// An account has one name, as people have (and OpenID Connect's `name`). The
// tutorial has two. They are joined by a space, and a space within the last name
// becomes one that does not break the line, as typographers have it: so the name
// reads well everywhere and can be told apart again.

const noBreakSpace = "\u00a0"

// JoinName makes one name of two.
func JoinName(first, last string) string {
	last = strings.Join(strings.Fields(last), noBreakSpace)
	return strings.TrimSpace(strings.Join(strings.Fields(first), " ") + " " + last)
}

// SplitName is the inverse. A name that was given as one splits at its last
// space; one word is a first name.
func SplitName(name string) (first, last string) {
	if cut := strings.LastIndexByte(name, ' '); cut >= 0 {
		first, last = name[:cut], name[cut+1:]
	} else {
		first = name
	}
	return first, strings.ReplaceAll(last, noBreakSpace, " ")
}

// Package amr completes lists of authentication methods (RFC 8176) and computes their level.
package amr

import "slices"

const (
	// MFA says that two kinds of proof were given.
	MFA = "mfa"

	// Recovery is a recovery code. RFC 8176 has no name for it.
	Recovery = "recovery"

	LevelOne = "aal1" // one proof
	LevelTwo = "aal2" // two proofs of different kinds
)

// seconds are the methods that complete another one. Two of them alone are one kind of proof.
var seconds = []string{"otp", "hwk", "swk", Recovery}

// Complete returns methods without duplicates, and adds MFA if they contain a second factor and
// another proof.
func Complete(methods []string) (all []string) {
	first, second := false, false
	for _, method := range methods {
		if slices.Contains(all, method) {
			continue
		}
		all = append(all, method)
		switch {
		case slices.Contains(seconds, method):
			second = true
		case method != MFA:
			first = true
		}
	}
	if first && second && !slices.Contains(all, MFA) {
		all = append(all, MFA)
	}
	return all
}

// First returns the methods that are neither a second factor nor MFA.
func First(methods []string) []string {
	return slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == MFA || slices.Contains(seconds, m) })
}

// Level returns the level of completed methods, the `acr` of an access token.
func Level(methods []string) string {
	if slices.Contains(methods, MFA) {
		return LevelTwo
	}
	return LevelOne
}

// Package amr adds the derived entry `mfa` to lists of authentication methods (RFC 8176) and computes the
// authentication level of a list.
//
// A list has its methods in the order in which the user proved them. If a passkey verified the user, the entry
// Verified follows the entry of the passkey. Verified raises the level, but access tokens do not contain it.
package amr

import (
	"regexp"
	"slices"
)

const (
	// MFA means that the user gave two kinds of proof.
	MFA = "mfa"

	// Recovery is a recovery code. RFC 8176 has no name for it.
	Recovery = "recovery"

	// Device is a remembered device. It replaces the second factor and does not raise the level. RFC
	// 8176 has no name for it.
	Device = "device"

	// Verified follows a passkey in the list. It means that this passkey verified the user, by PIN or biometrics.
	// Such a passkey alone gives two kinds of proof.
	Verified = "uv"

	LevelOne     = "aal1" // one proof
	LevelTwo     = "aal2" // two proofs of different kinds
	LevelPasskey = "phr"  // LevelTwo, and the last proof was a passkey that verified the user (OpenID EAP)
)

// secondFactors lists the methods that count as a second factor. Two of them are still only one kind of proof.
var secondFactors = []string{"otp", "hwk", "swk", Recovery}

// Complete returns methods without duplicates. It adds MFA if they contain a second factor and another kind of proof.
// Verified counts as another kind of proof.
func Complete(methods []string) (all []string) {
	first, second := false, false
	for _, method := range methods {
		if slices.Contains(all, method) {
			continue
		}
		all = append(all, method)
		switch {
		case slices.Contains(secondFactors, method):
			second = true
		case method != MFA && method != Device:
			first = true
		}
	}
	if first && second && !slices.Contains(all, MFA) {
		all = append(all, MFA)
	}
	return all
}

// Add appends proofs to completed methods. A proof that is already in methods moves to the end,
// because the last proof decides between LevelTwo and LevelPasskey.
func Add(methods []string, proofs ...string) []string {
	kept := slices.DeleteFunc(slices.Clone(methods), func(m string) bool {
		return m == Verified || slices.Contains(proofs, m)
	})
	return Complete(append(kept, proofs...))
}

// First returns the methods that are not second factors, without MFA, Verified and Device. If all methods are second
// factors, as after a sign-in with a passkey alone, it returns the second factors.
func First(methods []string) []string {
	proofs := slices.DeleteFunc(slices.Clone(methods), func(m string) bool {
		return m == MFA || m == Verified || m == Device
	})
	first := slices.DeleteFunc(slices.Clone(proofs), func(m string) bool { return slices.Contains(secondFactors, m) })
	if len(first) == 0 {
		return proofs
	}
	return first
}

// HasFirst reports whether methods contain a proof that is not a second factor.
func HasFirst(methods []string) bool {
	return slices.ContainsFunc(methods, func(m string) bool {
		return m != MFA && m != Verified && m != Device && !slices.Contains(secondFactors, m)
	})
}

// Claim returns the `amr` claim of an access token: methods without Verified.
func Claim(methods []string) []string {
	if !slices.Contains(methods, Verified) {
		return methods
	}
	return slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == Verified })
}

// Level returns the level of completed methods, the `acr` of an access token.
func Level(methods []string) string {
	if !slices.Contains(methods, MFA) {
		return LevelOne
	}
	last := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == MFA })
	if len(last) > 0 && last[len(last)-1] == Verified {
		return LevelPasskey
	}
	return LevelTwo
}

// methodNamePattern matches names of the same form as those that RFC 8176 registers. Short names keep tokens small.
var methodNamePattern = regexp.MustCompile(`^[a-z]{2,4}$`)

// Problem checks the methods by which an application authenticated a user. It returns a sentence about the first
// fault, or "".
func Problem(methods []string) string {
	if slices.ContainsFunc(methods, func(m string) bool { return !methodNamePattern.MatchString(m) }) {
		return "Name methods as RFC 8176 does, such as otp."
	}
	if len(methods) < 1 || len(methods) > 3 {
		return "Name 1 to 3 methods."
	}
	return ""
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// Settings for the accounts of an application: the front-end to which the HTML pages redirect,
// whether a sign-up sends a mail, and who must have a second factor.

// frontEnds returns the origins that may call the API with credentials: the origins of
// allowed-origins, and the origin of app-url.
func (s *Settings) frontEnds() []string {
	all := slices.Clone(s.AllowedOrigins)
	origin, err := weborigin.OfPage(s.AppURL)
	if err != nil || origin == s.PublicURL || slices.Contains(all, origin) {
		return all
	}
	return append(all, origin)
}

// appURLProblem checks the front-end. Users are redirected to it and its scripts may use the
// refresh cookie, so it follows the rules of an allowed origin.
func appURLProblem(s *Settings) string {
	if s.AppURL == "" {
		return ""
	}
	if _, err := weborigin.OfPage(s.AppURL); err != nil {
		return twoSentences(err)
	}
	return ""
}

// verifyMailProblem allows verify-mail=off only with signup=open. With signup=verified and for
// invitations, the mail is the only way to get an account.
func verifyMailProblem(s *Settings) string {
	if s.VerifyMail == "off" && s.Signup != "open" {
		return fmt.Sprintf("off is only for signup=open, but signup is %s. Write verify-mail=on, or signup=open.", s.Signup)
	}
	return ""
}

// factorPolicy converts the setting second-factor for the engine. "required" without roles
// means every account. The engine treats "off" like "optional", so it still asks for existing
// factors. Package factors refuses new factors if the setting is "off".
func (s *Settings) factorPolicy() watchword.FactorPolicy {
	word, roles, some := strings.Cut(s.SecondFactor, ":")
	policy := watchword.FactorPolicy{Required: word == "required"}
	if some {
		policy.Roles = strings.Split(roles, ",")
	}
	return policy
}

// secondFactorProblem refuses required factors with verify-mail=off. With both settings, no
// account could sign in, because a factor needs a proven address. It accepts a role that no
// account has, because an operator may assign the role later. The roles follow the first colon.
// A role may contain a colon but no comma.
func secondFactorProblem(s *Settings) string {
	word, roles, some := strings.Cut(s.SecondFactor, ":")
	known := []string{"off", "optional", "required"}
	if !slices.Contains(known, word) || some && word != "required" {
		return fmt.Sprintf("%q is none of the words. Write off, optional, required, or required:ROLE,ROLE.", s.SecondFactor)
	}
	if some && slices.Contains(strings.Split(roles, ","), "") {
		return "A role is empty. Write required:ROLE,ROLE, as in required:admin,staff."
	}
	if word == "required" && s.VerifyMail == "off" {
		return "A factor needs a proven address, and verify-mail is off. Write verify-mail=on, or second-factor=optional."
	}
	return ""
}

// passkeyProblem refuses an RP ID that browsers would refuse at the public URL. If the setting
// is empty and the public URL has an IP address, passkeys are off, because browsers bind
// passkeys to domains only.
func passkeyProblem(s *Settings) string {
	if s.PasskeyRPID == "" {
		return ""
	}
	if err := factors.CheckRPID(s.PasskeyRPID, s.PublicURL); err != nil {
		return twoSentences(err)
	}
	return ""
}

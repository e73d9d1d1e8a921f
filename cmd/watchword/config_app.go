package main

import (
	"fmt"
	"slices"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// The settings of the way back: which front-end the pages lead to, and whether a sign-up sends a
// mail.

// frontEnds returns the origins that may call the API with credentials: those of allowed-origins,
// and the one of app-url.
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
		return sentence(err)
	}
	return ""
}

// verifyMailProblem keeps signup=verified and invitations working: there, the mail is the only way
// to get the account.
func verifyMailProblem(s *Settings) string {
	if s.VerifyMail == "off" && s.Signup != "open" {
		return fmt.Sprintf("off is only for signup=open, but signup is %s. Write verify-mail=on, or signup=open.", s.Signup)
	}
	return ""
}

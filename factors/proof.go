package factors

import (
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
)

// RequireProof returns an error if the proof of a session is too weak or too old at now. The error has the challenge
// of RFC 9470. An empty acr accepts every level, and a maxAge of 0 every age. RequireProof checks the session, not
// the token. A step-up therefore raises the level at once, and the removal of a factor lowers it at once. Codes:
// CodeStepUpRequired.
//
// Unstable: for package server.
func RequireProof(s watchword.Session, acr string, maxAge time.Duration, now time.Time) error {
	isStrong := acr == "" || amr.Reaches(amr.Level(s.Methods), acr)
	isRecent := maxAge == 0 || now.Sub(s.AuthenticatedAt) <= maxAge
	if isStrong && isRecent {
		return nil
	}
	refusal := refuse(watchword.CodeStepUpRequired, "Confirm that it is you, then try again.")
	refusal.StepUp = &watchword.StepUp{ACR: acr, MaxAge: maxAge}
	return refusal
}

package factors_test

import (
	"errors"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

func TestRequireProofComparesLevelAndAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	one, two := []string{"pwd"}, []string{"pwd", "otp", "mfa"}
	for name, c := range map[string]struct {
		methods []string
		age     time.Duration
		acr     string
		maxAge  time.Duration
		ok      bool
	}{
		"nothing required":       {one, 1000 * time.Hour, "", 0, true},
		"the level":              {two, 1000 * time.Hour, "aal2", 0, true},
		"a higher level":         {two, 1000 * time.Hour, "aal1", 0, true},
		"a lower level":          {one, 0, "aal2", 0, false},
		"a second factor alone":  {[]string{"otp"}, 0, "aal2", 0, false},
		"no passkey":             {two, 0, "phr", 0, false},
		"just recent":            {one, 5 * time.Minute, "", 5 * time.Minute, true},
		"just too old":           {one, 5*time.Minute + 1, "", 5 * time.Minute, false},
		"both":                   {two, time.Minute, "aal2", 5 * time.Minute, true},
		"strong and too old":     {two, time.Hour, "aal2", 5 * time.Minute, false},
		"recent and too weak":    {one, time.Second, "aal2", 5 * time.Minute, false},
		"proven in the future":   {two, -time.Second, "aal2", 5 * time.Minute, true},
		"no method":              {nil, 0, "aal1", 0, true},
		"a level of nobody here": {two, 0, "gold", 0, false},
	} {
		session := watchword.Session{Methods: c.methods, AuthenticatedAt: now.Add(-c.age)}
		err := factors.RequireProof(session, c.acr, c.maxAge, now)
		var refusal *watchword.Error
		switch {
		case (err == nil) != c.ok:
			t.Errorf("%s: %v", name, err)
		case err != nil && (!errors.As(err, &refusal) || refusal.Code != watchword.CodeStepUpRequired ||
			*refusal.StepUp != watchword.StepUp{ACR: c.acr, MaxAge: c.maxAge}):
			t.Errorf("%s: %#v", name, err)
		}
	}
}

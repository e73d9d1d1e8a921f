package admin_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

func TestAccessNeedsTheRoleTheLevelAndAFreshProof(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	one, two := []string{"pwd"}, []string{"pwd", "otp", "mfa"}
	passkey := []string{"hwk", "uv", "mfa"}
	admins, stepUp := []string{"admin"}, watchword.CodeStepUpRequired
	for name, c := range map[string]struct {
		roles   []string
		methods []string
		acr     string
		age     time.Duration
		want    watchword.Code
		wantACR string
	}{
		"admin with two factors":    {admins, two, "aal2", time.Minute, "", ""},
		"admin with a passkey":      {admins, passkey, "aal2", time.Minute, "", ""},
		"among other roles":         {[]string{"admin", "staff"}, two, "aal2", time.Minute, "", ""},
		"at the very end":           {admins, two, "aal2", time.Hour, "", ""},
		"a millisecond later":       {admins, two, "aal2", time.Hour + 1e6, stepUp, "aal2"},
		"one factor":                {admins, one, "aal2", 0, stepUp, "aal2"},
		"one factor is enough":      {admins, one, "aal1", 0, "", ""},
		"one factor, old proof":     {admins, one, "aal1", 2 * time.Hour, stepUp, "aal1"},
		"no role":                   {nil, two, "aal2", 0, watchword.CodeInsufficientScope, ""},
		"another role":              {[]string{"administrator"}, two, "aal2", 0, watchword.CodeInsufficientScope, ""},
		"no role and no level":      {nil, one, "aal2", 2 * time.Hour, watchword.CodeInsufficientScope, ""},
		"a clock that was set back": {admins, two, "aal2", -time.Hour, "", ""},
	} {
		who := watchword.Identity{User: watchword.User{Roles: c.roles},
			Session: watchword.Session{Methods: c.methods, AuthenticatedAt: now.Add(-c.age)}}
		refusal := admin.DecideAccess(who, c.acr, time.Hour, now)
		switch {
		case (refusal == nil) != (c.want == "") || refusal != nil && refusal.Code != c.want:
			t.Errorf("%s: %v, want %q", name, refusal, c.want)
		case c.want == watchword.CodeStepUpRequired &&
			(refusal.StepUp == nil || *refusal.StepUp != watchword.StepUp{ACR: c.wantACR, MaxAge: time.Hour}):
			t.Errorf("%s: step-up %+v", name, refusal.StepUp)
		}
	}
}

func TestCommentsOfOptionsStateTheDefaults(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("admin.go")
	if err != nil {
		t.Fatal(err)
	}
	o := admin.DefaultsOf(admin.Options{})
	for field, text := range map[string]string{
		"ACR": o.ACR, "ReadAge": fmt.Sprintf("%.0f h", o.ReadAge.Hours()),
		"StepUpAge": fmt.Sprintf("%.0f min", o.StepUpAge.Minutes()),
		"KeyLimit":  fmt.Sprintf("%d a minute", o.KeyLimit.Count),
	} {
		if !strings.Contains(string(source), "Default: "+text+".\n\t"+field+" ") {
			t.Errorf("the comment of %s does not say that the default is %s", field, text)
		}
	}
	if o.KeyLimit.Per != time.Minute {
		t.Errorf("the limit of a key is per %s", o.KeyLimit.Per)
	}
}

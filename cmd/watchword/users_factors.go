package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword/factors"
)

// These commands show and remove second factors. A person who has lost both the authenticator
// and the recovery codes needs an operator, who must first check the identity of the person.

// userFactors shows the second factors of an account. A support team compares them with what
// the user says on the phone. The command only reads, so it works while the server runs.
type userFactors struct{ accountFlags }

// factorView is a factor in JSON. It has no secret and no public key, because support teams
// paste such output into tickets. Times are in UTC. lastUsedAt is absent before the first
// sign-in with the factor; the code that confirmed the factor does not count.
type factorView struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Product    string    `json:"product,omitempty"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
	// Unproven means that a browser created the passkey without a dialog. Sign-ins do not ask
	// for it before its first use.
	Unproven bool `json:"unproven,omitempty"`
}

// describe returns the output line of a factor. The product is left out if it is also the name.
//
// A support team compares these lines with what the user says on the phone: the devices, when
// they were added, and when they were last used. If a factor was added an hour before the call
// and never used, the caller may be an attacker.
func (f factorView) describe() string {
	line := fmt.Sprintf("%s  %s", f.Kind, f.Name)
	if f.Product != "" && f.Product != f.Name {
		line += " (" + f.Product + ")"
	}
	line += "  added " + f.CreatedAt.Format(time.DateOnly)
	switch {
	case f.Unproven:
		return line + ", not asked for before its first use"
	case f.LastUsedAt.IsZero():
		return line + ", never used"
	}
	return line + ", last used " + f.LastUsedAt.Format(time.DateOnly)
}

// Run prints the factors, the oldest first, and the number of unused recovery codes. It only
// reads, so it works while the server runs, and on a backup. The operator sees whether the user
// can still sign in with a second app or a recovery code.
func (c *userFactors) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openToRead)
	if err != nil {
		return err
	}
	defer s.close()
	overview, err := p.settings.newFactorManager(s).List(ctx, user.ID)
	if err != nil {
		return err
	}
	views := []factorView{}
	for _, f := range overview.Factors {
		views = append(views, factorView{f.ID, string(f.Kind), f.Name, f.Product(), f.CreatedAt, f.LastUsedAt, f.Unproven})
	}
	// For scripts, an empty list is [] and never null.
	if c.JSON {
		return p.printJSON(map[string]any{"factors": views, "recoveryCodesLeft": overview.Codes.Left})
	}
	for _, f := range views {
		p.say("%s", f.describe())
	}
	p.say("Factors: %d. Recovery codes left: %d.", len(views), overview.Codes.Left)
	return nil
}

// userResetFactors removes all factors by default. A person who lost a phone often lost the
// app, the passkeys and the list of codes together.
type userResetFactors struct {
	accountFlags
	confirmation
	Kind string `enum:"all,totp,passkey,recovery" default:"all" help:"What to remove: totp, passkey, recovery or all."`
}

// factorPlurals names the removed factors in the question and in the result. The keys are the
// values of --kind. The mail to the user has the same names, so that the user and the operator
// use the same terms.
var factorPlurals = map[string]string{"all": "second factors", "totp": "authenticator apps", "passkey": "passkeys",
	"recovery": "recovery codes"}

// Run removes the factors and ends all sessions, because a thief who has the lost device may
// use one of these sessions. Afterwards, the password alone can sign in until the user adds a
// new factor. The question names the account, so that the operator does not reset the wrong
// account. The event names the operator.
func (c *userResetFactors) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	// The operator confirms before any change. With --yes, scripts of a help desk need no
	// terminal.
	question := fmt.Sprintf("Remove all %s of %s and end all sessions?", factorPlurals[c.Kind], user.Email)
	if err := p.confirm(c.confirmation, question); err != nil {
		return err
	}
	kind := factors.Kind(c.Kind)
	// A reset of everything also deletes records without a kind, such as sign-ins that wait for
	// a factor.
	if c.Kind == "all" {
		kind = ""
	}
	if err := p.settings.newFactorManager(s).ResetKind(ctx, p.operatorName(), user.ID, kind); err != nil {
		return err
	}
	return p.printChange(ctx, s, changedUser{user.Email, c.JSON, "Removed the " + factorPlurals[c.Kind] + " of"})
}

package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// A session can have only a few pending enrolments and step-ups. Without this limit, one session could fill the table
// of challenges.
func TestSessionHasFewPendingEnrolmentsAndStepUps(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.createAccount(t, "ada@example.com"), newDevice()
		in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
			Email: a.email, Password: password, Client: laptop})
		must(t, err)
		other := r.identity(t, in)
		begun, err := r.BeginTOTP(t.Context(), other, "")
		must(t, err)
		app := []factors.Enrolment{}
		key := []factors.Ceremony{}
		for range 7 {
			e, err := r.BeginTOTP(t.Context(), a.who, "")
			must(t, err)
			c, err := r.BeginPasskey(t.Context(), a.who, false)
			must(t, err)
			app, key = append(app, e), append(key, c)
		}
		create := func(c factors.Ceremony) error {
			_, err := r.ConfirmPasskey(t.Context(), a.who,
				factors.NewPasskey{Ceremony: c.ID, Credential: d.respondToCreation(t, c.Options)}, laptop)
			return err
		}
		for n := range 7 {
			_, err := r.Pending(t.Context(), a.who, app[n].ID)
			if n < 2 {
				wantCode(t, err, watchword.CodeChallengeInvalid)
				wantCode(t, create(key[n]), watchword.CodeChallengeInvalid)
			} else {
				must(t, err)
			}
		}
		_, err = r.Pending(t.Context(), other, begun.ID) // the identity of another session
		must(t, err)
		must(t, create(key[2]))
		a.who = r.identity(t, a.in)

		var asked []factors.Ceremony
		for range 7 {
			c, err := r.StepUpOptions(t.Context(), a.who)
			must(t, err)
			asked = append(asked, c)
		}
		stepUp := func(c factors.Ceremony) error {
			d.key.Counter++
			_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{
				Proof: factors.Proof{Passkey: d.respondToRequest(t, c.Options)}, Client: laptop})
			return err
		}
		wantCode(t, stepUp(asked[1]), watchword.CodeChallengeInvalid)
		must(t, stepUp(asked[2]))
	})
}

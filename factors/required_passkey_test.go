package factors_test

import (
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

func (r *rig) confirmFirstPasskey(
	t *testing.T, handle watchword.Secret, begun factors.Ceremony, d *device,
) (factors.Confirmation, *watchword.SignIn, error) {
	t.Helper()
	return r.ConfirmRequiredPasskey(t.Context(), factors.RequiredPasskey{Handle: handle, Client: laptop,
		NewPasskey: factors.NewPasskey{Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options)}})
}

// MFA-3
func TestRequiredFactorCanBeAPasskey(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := &account{email: "ada@example.com"}, newDevice()
		a.who.User = r.createVerifiedUser(t, a.email)
		handle := r.requiredHandle(t, a.email)
		begun, err := r.BeginRequiredPasskey(t.Context(), handle)
		must(t, err)
		if begun.Mediation != "" {
			t.Errorf("mediation %q: the user must answer a dialog", begun.Mediation)
		}
		forged := *d
		forged.party.Origin = "https://id.example.com.evil.test"
		_, _, err = r.confirmFirstPasskey(t, handle, begun, &forged)
		wantCode(t, err, watchword.CodeFactorWrong)
		response := factors.NewPasskey{Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options)}
		var done factors.Confirmation
		got := runInParallel(20, func(i int) error {
			manager := []*factors.Manager{r.Manager, r.otherProcess}[i%2]
			c, in, err := manager.ConfirmRequiredPasskey(t.Context(), factors.RequiredPasskey{
				Handle: handle, NewPasskey: response, Client: laptop})
			if err == nil {
				done, a.in = c, in
			}
			return err
		})
		if got[""] != 1 || r.countSessions(t, a) != 1 {
			t.Fatalf("%v, %d sessions", got, r.countSessions(t, a))
		}
		a.who = r.identity(t, a.in)
		if want := []string{"pwd", "hwk", "uv", "mfa"}; !slices.Equal(a.who.Session.Methods, want) ||
			len(done.Codes) != 10 || a.who.User.Factors != 1 {
			t.Errorf("%+v, %+v", a.who, done)
		}
		d.key.Counter++
		in, err := r.loginWithPasskeyAlone(t, d)
		must(t, err)
		wantMethods(t, in, "hwk", "uv", "mfa")
	}, requireFactors)
}

// Only the sign-in or the session that began the creation of a passkey can complete it.
func TestRequiredPasskeyIsBoundToItsSignIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		ada, bob, d := &account{email: "ada@example.com"}, &account{email: "bob@example.com"}, newDevice()
		ada.who.User, bob.who.User = r.createVerifiedUser(t, ada.email), r.createVerifiedUser(t, bob.email)
		first, second := r.requiredHandle(t, ada.email), r.requiredHandle(t, ada.email)
		others := r.requiredHandle(t, bob.email)
		begun, err := r.BeginRequiredPasskey(t.Context(), first)
		must(t, err)
		app, err := r.BeginRequired(t.Context(), first, "")
		must(t, err)
		for _, handle := range []watchword.Secret{second, others, "", "wwc_invented"} {
			_, _, err = r.confirmFirstPasskey(t, handle, begun, d)
			wantCode(t, err, watchword.CodeChallengeInvalid)
		}
		// A handle for a passkey must not confirm an app, because the two kinds of enrolment have different purposes.
		_, _, err = r.ConfirmRequired(t.Context(), factors.RequiredRequest{
			Handle: first, ID: string(begun.ID), Code: "123456", Client: laptop})
		wantCode(t, err, watchword.CodeChallengeInvalid)
		swapped := factors.Ceremony{ID: watchword.Secret(app.ID), Options: begun.Options}
		_, _, err = r.confirmFirstPasskey(t, first, swapped, d)
		wantCode(t, err, watchword.CodeChallengeInvalid)

		_, bob.in, err = r.addRequiredPasskey(t, others)
		must(t, err)
		bob.who = r.identity(t, bob.in)
		_, err = r.ConfirmPasskey(t.Context(), bob.who,
			factors.NewPasskey{Ceremony: begun.ID, Credential: d.respondToCreation(t, begun.Options)}, laptop)
		wantCode(t, err, watchword.CodeChallengeInvalid)
		signedIn, err := r.BeginPasskey(t.Context(), bob.who, true)
		must(t, err)
		_, _, err = r.confirmFirstPasskey(t, first, signedIn, d)
		wantCode(t, err, watchword.CodeChallengeInvalid)

		_, _, err = r.confirmFirstPasskey(t, first, begun, d)
		must(t, err)
		_, err = r.BeginRequiredPasskey(t.Context(), second)
		wantCode(t, err, watchword.CodeChallengeInvalid) // the account has a first factor now
	}, requireFactors)
}

func (r *rig) addRequiredPasskey(
	t *testing.T, handle watchword.Secret,
) (factors.Confirmation, *watchword.SignIn, error) {
	t.Helper()
	begun, err := r.BeginRequiredPasskey(t.Context(), handle)
	must(t, err)
	return r.confirmFirstPasskey(t, handle, begun, newDevice())
}

func TestRequiredPasskeyEndsWithTheAccountAndItsPassword(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		for name, change := range map[string]func(watchword.User){
			"disabled": func(u watchword.User) { must(t, r.Operator().DisableUser(t.Context(), u.ID)) },
			"deleted":  func(u watchword.User) { must(t, r.Operator().DeleteUser(t.Context(), u.ID)) },
			"password": func(u watchword.User) {
				must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
					_, err := tx.ReplacePassword(t.Context(), u, "another hash")
					return err
				}))
			},
			"expired": func(watchword.User) { r.advance(watchword.ChallengeLife + time.Second) },
		} {
			a := &account{email: name + "@example.com"}
			a.who.User = r.createVerifiedUser(t, a.email)
			handle := r.requiredHandle(t, a.email)
			begun, err := r.BeginRequiredPasskey(t.Context(), handle)
			must(t, err)
			change(a.who.User)
			_, in, err := r.confirmFirstPasskey(t, handle, begun, newDevice())
			if err == nil || in != nil || r.countSessions(t, a) != 0 {
				t.Errorf("%s: %v, %v", name, in, err)
			}
		}
	}, requireFactors)
}

// An operator changes the address after the right password was entered. The enrolment must fail. Otherwise the
// previous holder would get a session, and could add a factor to the account of the new owner.
func TestRequiredFactorEndsWithTheProofOfTheAddress(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := &account{email: "ada@example.com"}, newDevice()
		a.who.User = r.createVerifiedUser(t, a.email)
		handle := r.requiredHandle(t, a.email)
		app, err := r.BeginRequired(t.Context(), handle, "")
		must(t, err)
		a.secret = secretOf(t, app)
		key, err := r.BeginRequiredPasskey(t.Context(), handle)
		must(t, err)
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, "olive@example.com"))

		_, err = r.BeginRequired(t.Context(), handle, "")
		wantCode(t, err, watchword.CodeEmailNotVerified)
		_, err = r.BeginRequiredPasskey(t.Context(), handle)
		wantCode(t, err, watchword.CodeEmailNotVerified)
		_, _, err = r.confirmFirstPasskey(t, handle, key, d)
		wantCode(t, err, watchword.CodeEmailNotVerified)
		_, _, err = r.ConfirmRequired(t.Context(), factors.RequiredRequest{
			Handle: handle, ID: app.ID, Code: r.totpCode(t, a, 0), Client: laptop})
		wantCode(t, err, watchword.CodeEmailNotVerified)
		user, err := r.Operator().FindUserByID(t.Context(), a.who.User.ID)
		must(t, err)
		if n := r.countSessions(t, a); n != 0 || user.Factors != 0 {
			t.Errorf("%d sessions, %d factors", n, user.Factors)
		}
	}, requireFactors)
}

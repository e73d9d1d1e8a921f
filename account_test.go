package watchword_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// PW-9
func TestPasswordChangeEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	here := r.signUp(t, "ada@example.com")
	there := r.login(t, "ada@example.com", phone)
	who := r.authenticate(t, here)
	wantCode(t, r.ChangePassword(t.Context(), who, "wrong password", otherPassword, laptop),
		watchword.CodePasswordWrong)
	must(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop))
	if _, err := r.Refresh(t.Context(), here.RefreshToken, laptop); err != nil {
		t.Errorf("the password change ended its own session: %v", err)
	}
	_, err := r.Refresh(t.Context(), there.RefreshToken, phone)
	wantCode(t, err, watchword.CodeSessionEnded)
	_, err = r.Authenticate(t.Context(), there.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
}

// RT-10
func TestTheUserSeesAndEndsOwnSessionsOnly(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	here := r.signUp(t, "ada@example.com")
	r.clock.advance(time.Second)
	there := r.login(t, "ada@example.com", phone)
	stranger := r.signUp(t, "bob@example.com")
	who := r.authenticate(t, here)
	sessions, err := r.Sessions(t.Context(), who)
	must(t, err)
	if len(sessions) != 2 || sessions[0].ID != there.Session.ID {
		t.Fatalf("got %+v", sessions)
	}
	wantCode(t, r.EndSession(t.Context(), who, stranger.Session.ID, laptop), watchword.CodeNotFound)
	r.authenticate(t, stranger)
	must(t, r.EndSession(t.Context(), who, there.Session.ID, laptop))
	wantCode(t, r.EndSession(t.Context(), who, there.Session.ID, laptop), watchword.CodeNotFound)
	_, err = r.Refresh(t.Context(), there.RefreshToken, phone)
	wantCode(t, err, watchword.CodeSessionEnded)
}

// Ending a session that has already expired as idle must return CodeNotFound. Its tokens must keep the reason
// EndedIdle, and no event with another reason may be stored.
//
// RT-10
func TestIdleSessionIsNotFoundWhenItIsEnded(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		idle := r.signUp(t, "ada@example.com")
		r.clock.advance(8 * 24 * time.Hour)
		who := r.authenticate(t, r.login(t, "ada@example.com", phone))
		wantCode(t, r.EndSession(t.Context(), who, idle.Session.ID, phone), watchword.CodeNotFound)
		wantCode(t, r.Operator().EndUserSession(t.Context(), who.User.ID, idle.Session.ID), watchword.CodeNotFound)
		_, err := r.Refresh(t.Context(), idle.RefreshToken, laptop)
		var refusal *watchword.Error
		if !errors.As(err, &refusal) || refusal.Ended != watchword.EndedIdle {
			t.Errorf("the idle session: %v", err)
		}
		events, err := r.Operator().UserEvents(t.Context(), who.User.ID, 100)
		must(t, err)
		if slices.ContainsFunc(events, func(e watchword.Event) bool { return e.Kind == watchword.EventSessionEnded }) {
			t.Errorf("an event says that the session ended: %+v", events)
		}
	})
}

func TestLogoutAllCanKeepThisSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	here := r.signUp(t, "ada@example.com")
	there := r.login(t, "ada@example.com", phone)
	who := r.authenticate(t, here)
	n, err := r.LogoutAll(t.Context(), who, who.Session.ID, laptop)
	if err != nil || n != 1 {
		t.Fatalf("ended %d, %v", n, err)
	}
	_, err = r.Authenticate(t.Context(), there.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
	n, err = r.LogoutAll(t.Context(), r.authenticate(t, here), "", laptop)
	if err != nil || n != 1 {
		t.Fatalf("ended %d, %v", n, err)
	}
	_, err = r.Authenticate(t.Context(), here.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
}

// JWT-15
func TestRoleChangeOutdatesAccessTokensAndEndsNoSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.clock.advance(300 * time.Millisecond)
	in := r.signUp(t, "ada@example.com")
	_, err := r.Operator().SetRoles(t.Context(), in.User.ID, []string{"editor", "admin", "editor"})
	must(t, err)
	_, err = r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeTokenExpired)
	next, err := r.Refresh(t.Context(), in.RefreshToken, laptop) // issued in the same second as SetRoles
	must(t, err)
	who := r.authenticate(t, next)
	if !slices.Equal(who.User.Roles, []string{"admin", "editor"}) {
		t.Errorf("roles: %v", who.User.Roles)
	}
	_, err = r.Operator().SetRoles(t.Context(), in.User.ID, []string{"Not A Role"})
	wantField(t, err, "roles", watchword.FieldInvalid)
}

func TestConcurrentRoleChangesOutdateNoLaterToken(t *testing.T) {
	t.Parallel()
	// SetRoles waits for the next second, so this test needs the real clock.
	r := startEngine(t, func(o *watchword.Options) { o.Now = time.Now })
	in := r.signUp(t, "ada@example.com")
	for _, role := range []string{"reader", "writer", "editor", "owner"} {
		_, err := r.Operator().SetRoles(t.Context(), in.User.ID, []string{role})
		must(t, err)
	}
	next, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	must(t, err)
	if who := r.authenticate(t, next); !slices.Equal(who.User.Roles, []string{"owner"}) {
		t.Errorf("roles: %v", who.User.Roles)
	}
}

// AZ-2
func TestProfileIsVisibleToItsUserAndAdministratorsOnly(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	ada, bob := r.signUp(t, "ada@example.com"), r.signUp(t, "bob@example.com")
	if _, err := r.Profile(t.Context(), r.authenticate(t, ada), ada.User.ID); err != nil {
		t.Error(err)
	}
	_, err := r.Profile(t.Context(), r.authenticate(t, ada), bob.User.ID)
	wantCode(t, err, watchword.CodeNotFound)
	_, err = r.Operator().SetRoles(t.Context(), ada.User.ID, []string{watchword.RoleAdmin})
	must(t, err)
	ada, err = r.Refresh(t.Context(), ada.RefreshToken, laptop)
	must(t, err)
	if _, err := r.Profile(t.Context(), r.authenticate(t, ada), bob.User.ID); err != nil {
		t.Error(err)
	}
	_, err = r.Profile(t.Context(), r.authenticate(t, ada), "no-such-user")
	wantCode(t, err, watchword.CodeNotFound)
}

// ID-6
func TestDeletingAnAccountEndsItsSessions(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	who := r.authenticate(t, in)
	wantCode(t, r.DeleteAccount(t.Context(), who, "wrong password", laptop), watchword.CodePasswordWrong)
	must(t, r.DeleteAccount(t.Context(), who, goodPassword, laptop))
	_, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	_, err = r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
	again := r.signUp(t, "ada@example.com")
	if again.User.ID == in.User.ID {
		t.Error("the new account has the id of the deleted one")
	}
}

func TestLastAdministratorCannotDeleteTheOwnAccount(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	bob := r.signUp(t, "bob@example.com") // while no administrator exists, every account can be deleted
	must(t, r.DeleteAccount(t.Context(), r.authenticate(t, bob), goodPassword, laptop))
	ada := r.signUp(t, "ada@example.com")
	who := r.authenticate(t, ada)
	_, err := r.Operator().SetRoles(t.Context(), ada.User.ID, []string{watchword.RoleAdmin})
	must(t, err)
	// The identity was read before the roles changed, so DeleteAccount must read the roles again.
	wantCode(t, r.DeleteAccount(t.Context(), who, goodPassword, laptop), watchword.CodeLastAdmin)
	ada, err = r.Refresh(t.Context(), ada.RefreshToken, laptop)
	must(t, err)
	eve := r.signUp(t, "eve@example.com")
	must(t, r.DeleteAccount(t.Context(), r.authenticate(t, eve), goodPassword, laptop))
	_, err = r.Operator().CreateUser(t.Context(),
		watchword.NewUser{Email: "grace@example.com", Roles: []string{watchword.RoleAdmin}})
	must(t, err)
	must(t, r.DeleteAccount(t.Context(), r.authenticate(t, ada), goodPassword, laptop))
}

// RL-11, RT-11
func TestDisablingAnAccountRejectsItsTokensAtOnce(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	must(t, r.Operator().DisableUser(t.Context(), in.User.ID))
	_, err := r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
	_, err = r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	must(t, r.Operator().EnableUser(t.Context(), in.User.ID))
	_, err = r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	r.login(t, "ada@example.com", laptop)
}

// AZ-5
func TestAccountCreatedByAnOperatorGetsAMail(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Signup = watchword.SignupClosed })
	_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	wantCode(t, err, watchword.CodeSignupClosed)
	user, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{
		Email: "ada@example.com", Roles: []string{"admin"}})
	must(t, err)
	_, err = r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	wantCode(t, err, watchword.CodeInvalidCredentials)
	r.deliverMail(t)
	_, err = r.accept(t, r.post.lastMail(t, watchword.MailInvite).Token, goodPassword, "")
	must(t, err)
	if in := r.login(t, "ada@example.com", laptop); in.User.ID != user.ID || !in.User.HasRole("admin") {
		t.Errorf("got %+v", in.User)
	}
	for _, act := range []error{
		r.Operator().DisableUser(t.Context(), "nobody"), r.Operator().EnableUser(t.Context(), "nobody"),
		r.Operator().DeleteUser(t.Context(), "nobody"),
		r.Operator().SendReset(t.Context(), "nobody"), r.Operator().EndUserSession(t.Context(), user.ID, "nothing"),
	} {
		wantCode(t, act, watchword.CodeNotFound)
	}
}

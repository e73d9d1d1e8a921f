package server_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// The explanation shows the network address of the client that used a copied token. Only administrators may see it.
func TestAdminExplainShowsAddressesOnlyToAdmins(t *testing.T) {
	t.Parallel()
	s, header := startWithAdmin(t)
	user, err := s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{
		Email: "ada@example.com", Password: goodPassword})
	must(t, err)
	must(t, s.engine.Operator().MarkVerified(t.Context(), user.ID))
	iphone := watchword.Client{Address: netip.MustParseAddr("192.0.2.7"), UserAgent: "phone/1"}
	thief := watchword.Client{Address: netip.MustParseAddr("203.0.113.9"), UserAgent: "curl/8"}
	in, err := s.engine.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Persistent: true, Client: iphone})
	must(t, err)
	token := in.RefreshToken
	for range 3 {
		next, err := s.engine.Refresh(t.Context(), token, iphone)
		must(t, err)
		token = next.RefreshToken
	}
	member := s.signInAs(t, user, "pwd")
	b := s.newBrowser(t)
	path := "/api/admin/users/" + string(user.ID) + "/explain"
	alive := b.do("GET", path, "", header...)
	wantStatus(t, alive, 200, "")
	if alive.text("reason") != "signed_in" {
		t.Errorf("got %s", alive.raw)
	}
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error { // the session ends at the time of its creation
		_, err := tx.EndSession(t.Context(), in.Session.ID, watchword.EndedReuse, in.Session.CreatedAt)
		if err != nil {
			return err
		}
		return tx.InsertEvent(t.Context(), watchword.Event{ID: "01a20e2a-33d7-708d-ba06-007b35d91a62",
			Kind: watchword.EventRefreshReused, At: in.Session.CreatedAt, UserID: user.ID, SessionID: in.Session.ID,
			Address: thief.Address.String(), Device: "curl", Detail: `{"presented":1,"newest":3,"rule":"other_user_agent",` +
				`"from":{"device":"curl","address":"203.0.113.9"},"session":{"device":"phone","address":"192.0.2.7"}}`})
	}))
	a := b.do("GET", path, "", header...)
	wantStatus(t, a, 200, "")
	for _, part := range []string{"used from curl, 203.0.113.9 (generation 1)", "generation 3 (phone, 192.0.2.7)"} {
		if !strings.Contains(a.text("sentence"), part) {
			t.Errorf("the sentence has no %q: %s", part, a.text("sentence"))
		}
	}
	german := b.do("GET", path+"?language=de", "", header...)
	if !strings.HasPrefix(german.text("sentence"), "Abgemeldet am ") {
		t.Errorf("in German: %s", german.raw)
	}
	refused := b.do("GET", path, "", member...)
	wantStatus(t, refused, 403, watchword.CodeInsufficientScope)
	if strings.Contains(string(refused.raw), "203.0.113.9") {
		t.Errorf("a user got %s", refused.raw)
	}
	must(t, s.engine.Operator().DeleteUser(t.Context(), user.ID))
	gone := b.do("GET", path, "", header...)
	wantStatus(t, gone, 200, "")
	if gone.text("reason") != "account_deleted" || !strings.Contains(gone.text("sentence"), "by an operator") {
		t.Errorf("of a deleted account: %s", gone.raw)
	}
	for _, query := range []string{"?at=yesterday", "?language=fr", "?language=DE", "?when=now",
		"?at=2026-05-03T10:02:00Z&at=2026-05-03T10:02:00Z"} {
		wantStatus(t, b.do("GET", path+query, "", header...), 400, watchword.CodeParameterInvalid)
	}
	nobody := b.do("GET", "/api/admin/users/x/explain", "", header...)
	if nobody.text("reason") != "no_account" {
		t.Errorf("of no account: %s", nobody.raw)
	}
}

// For each flow that ends a session, the explanation must find the event of this flow. It searches for an event with
// the same time as the end of the session.
func TestAdminExplainFindsTheEventOfEachFlow(t *testing.T) {
	t.Parallel()
	s, _ := startWithAdmin(t)
	m := admin.New(s.engine, s.store.Admin(), admin.Options{})
	operator := s.engine.Operator().As("ops")
	laptop := watchword.Client{Address: netip.MustParseAddr("192.0.2.7"), UserAgent: "laptop/1"}
	login := func(email string, replaces watchword.Secret) *watchword.SignIn {
		in, err := s.engine.Login(t.Context(), watchword.LoginRequest{
			Email: email, Password: goodPassword, Persistent: true, Client: laptop, Replaces: replaces})
		must(t, err)
		return in
	}
	identity := func(in *watchword.SignIn) watchword.Identity {
		who, err := s.engine.Authenticate(t.Context(), in.AccessToken)
		must(t, err)
		return who
	}
	for name, c := range map[string]struct {
		part string
		end  func(in *watchword.SignIn) error
	}{
		"logout": {"signed out on this device", func(in *watchword.SignIn) error {
			return s.engine.Logout(t.Context(), in.RefreshToken, "", laptop)
		}},
		"ended_by_user": {"from another device (", func(in *watchword.SignIn) error {
			return s.engine.EndSession(t.Context(), identity(login(string(in.User.Email), "")), in.Session.ID, laptop)
		}},
		"logout_all": {"on all devices, from ", func(in *watchword.SignIn) error {
			_, err := s.engine.LogoutAll(t.Context(), identity(in), "", laptop)
			return err
		}},
		"replaced": {"a new sign-in in the same browser", func(in *watchword.SignIn) error {
			login(string(in.User.Email), in.RefreshToken)
			return nil
		}},
		"ended_by_operator": {"the operator ops ended all sessions of this account",
			func(in *watchword.SignIn) error {
				_, err := operator.EndUserSessions(t.Context(), in.User.ID)
				return err
			}},
		"account_disabled": {"disabled by the operator ops", func(in *watchword.SignIn) error {
			return operator.DisableUser(t.Context(), in.User.ID)
		}},
		"account_deleted": {"deleted by the operator ops", func(in *watchword.SignIn) error {
			return operator.DeleteUser(t.Context(), in.User.ID)
		}},
	} {
		user, err := operator.CreateUser(t.Context(), watchword.NewUser{Email: name + "@example.com",
			Password: goodPassword})
		must(t, err)
		must(t, operator.MarkVerified(t.Context(), user.ID))
		in := login(name+"@example.com", "")
		must(t, c.end(in))
		x, err := m.Explain(t.Context(), admin.Question{Account: string(user.ID)})
		must(t, err)
		if string(x.Reason) != name || !strings.HasPrefix(x.Certainty,
			"Certain: the row of the session and an event") ||
			!strings.Contains(x.Sentence, c.part) || x.Session.ID != in.Session.ID || len(x.Evidence) == 0 {
			t.Errorf("%s: %s, %s, %s, %d events", name, x.Reason, x.Sentence, x.Certainty, len(x.Evidence))
		}
	}
}

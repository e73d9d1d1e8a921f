package watchword_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
)

// IN-10
func TestAddressWithRoutingCharactersIsRefusedWhereverItIsWritten(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := r.authenticate(t, r.signUp(t, "ada@example.com"))
	for _, email := range []string{
		"ada%example.org@example.com", "example.org!ada@example.com", "=?utf-8?q?ada?=@example.com",
	} {
		_, err := r.SignUp(t.Context(), watchword.SignUpRequest{Email: email, Password: goodPassword, Client: laptop})
		wantField(t, err, "email", watchword.FieldInvalid)
		_, err = r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email})
		wantField(t, err, "email", watchword.FieldInvalid)
		wantField(t, r.ForgotPassword(t.Context(), email, "", laptop), "email", watchword.FieldInvalid)
		wantField(t, r.ChangeEmail(t.Context(), who, email, goodPassword, laptop), "newEmail", watchword.FieldInvalid)
		results, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{{Email: email}})
		must(t, err)
		if problems := results[0].Problems; len(problems) != 1 || problems[0].Field != "email" {
			t.Errorf("%s: import says %+v", email, problems)
		}
	}
}

// IN-10
func TestAccountOlderThanTheRuleAboutAddressesCanStillSignIn(t *testing.T) {
	t.Parallel()
	const email = "ada%example.org@example.com"
	r := startEngine(t, nil)
	hash := r.signUp(t, "ada@example.com").User.PasswordHash
	user := watchword.User{
		ID: "01933f0e-7b2a-7c3d-8e4f-5a6b7c8d9e0f", Email: email, PasswordHash: hash, CreatedAt: r.clock.Now()}
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.InsertUser(t.Context(), user, time.Time{})
		return err
	}))
	in := r.login(t, email, laptop)
	if in.User.ID != user.ID {
		t.Errorf("signed in as %s", in.User.ID)
	}
	if _, err := r.Operator().FindUser(t.Context(), email); err != nil {
		t.Errorf("the operator does not find the account: %v", err)
	}
	must(t, r.ChangeEmail(t.Context(), r.authenticate(t, in), "grace@example.com", goodPassword, laptop))
}

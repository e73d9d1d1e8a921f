package dialecttest_test

import (
	"encoding/base32"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The dialects have no second step. If the account has a second factor, they must open no session for the password
// alone.
func TestAccountWithASecondFactorGetsNoSessionFromADialect(t *testing.T) {
	t.Parallel()
	s := dialecttest.Start(t, nil)
	c := signUpAda(t, s)
	s.Prove(t, "ada@example.com")
	who, err := s.Engine.Authenticate(t.Context(), watchword.Secret(c.Vars["access"]))
	if err != nil {
		t.Fatal(err)
	}
	manager := factors.New(s.Engine, s.Store.Factors(), factors.Options{})
	begun, err := manager.BeginTOTP(t.Context(), who, "")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(begun.Secret))
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.Code(secret, totp.Step(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = manager.ConfirmTOTP(t.Context(), who, begun.ID, watchword.Secret(code), watchword.Client{})
	if err != nil {
		t.Fatal(err)
	}
	by := s.Client(t)
	for _, request := range []string{"POST /api/users/login", "POST /login"} {
		by.Run(exchange{Request: request, Body: login, Status: 400, Answer: "*" + s.URL + "/login*",
			Want: headers{"Set-Cookie": ""}})
	}
	sessions, err := s.Engine.Operator().UserSessions(t.Context(), who.User.ID)
	if err != nil || len(sessions) != 1 {
		t.Errorf("%d sessions, %v", len(sessions), err)
	}
}

package watchword

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/storable"
)

// ID-2, W-26
func TestFailedSignInTakesAsLongAsTheSlowestHash(t *testing.T) {
	t.Parallel()
	params, err := passhash.ParseParams("argon2id", "")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := passhash.Hash(params, "right")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // exact durations: the simulated clock stands still during a hash
		pool := passhash.NewPool(1, time.Minute)
		defer pool.Close()
		e := &Engine{hashing: hashing{
			pool: pool, params: params, dummy: passhash.Dummy(params), level: &passhash.Level{},
		}}
		e.hashing.level.Wait(700*time.Millisecond, true)
		for name, c := range map[string]struct {
			hash, given Secret
			took        time.Duration
		}{
			"no account":                  {"", "wrong", 700 * time.Millisecond},
			"wrong":                       {Secret(hash), "wrong", 700 * time.Millisecond},
			"wrong, and of two spellings": {Secret(hash), "cafe\u0301", 1400 * time.Millisecond},
			"right":                       {Secret(hash), "right", 0},
		} {
			begun := time.Now()
			ok, err := e.passwordMatches(t.Context(), Client{}, c.hash, c.given)
			if took := time.Since(begun); err != nil || ok != (c.took == 0) || took != c.took {
				t.Errorf("%s: %v, %v after %v, want %v", name, ok, err, took, c.took)
			}
		}
	})
}

// PW-7
func TestSignInKeepsItsHashWhileThePoolIsBusy(t *testing.T) {
	t.Parallel()
	old, err := passhash.ParseParams("bcrypt", "")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := passhash.Hash(old, "right")
	if err != nil {
		t.Fatal(err)
	}
	pool := passhash.NewPool(1, time.Millisecond)
	defer pool.Close()
	defer occupy(pool)()
	e := &Engine{hashing: hashing{pool: pool, params: passhash.LowestParams("")}}
	if got, err := e.upgradedHash(t.Context(), Client{}, Secret(hash), "right"); err != nil || got != Secret(hash) {
		t.Errorf("got %q, %v", string(got), err)
	}
}

// ID-10, ID-11
func TestALinkWorksForTheAccountOfItsAddressOnly(t *testing.T) {
	t.Parallel()
	unproven, proven := User{ID: "ada"}, User{ID: "ada", VerifiedAt: time.Unix(1, 0)}
	of := func(kind MailKind, id UserID) MailToken { return MailToken{Kind: kind, UserID: id} }
	for name, c := range map[string]struct {
		link    MailToken
		account User
		mode    SignupMode
		want    Code
	}{
		"an account that is not proven":         {of(MailVerify, "ada"), unproven, SignupOpen, ""},
		"an account that is proven":             {of(MailVerify, "ada"), proven, SignupOpen, CodeMailTokenInvalid},
		"a reset of a proven account":           {of(MailReset, "ada"), proven, SignupClosed, ""},
		"a deleted account":                     {of(MailVerify, "ada"), User{}, SignupOpen, CodeMailTokenInvalid},
		"an address of another account":         {of(MailReset, "eve"), unproven, SignupOpen, CodeMailTokenInvalid},
		"waiting sign-ups":                      {of(MailVerify, ""), User{}, SignupVerified, ""},
		"waiting sign-ups, now open":            {of(MailVerify, ""), User{}, SignupOpen, ""},
		"waiting sign-ups, now closed":          {of(MailVerify, ""), User{}, SignupClosed, CodeSignupClosed},
		"waiting sign-ups, and then an account": {of(MailVerify, ""), unproven, SignupVerified, ""},
		"waiting sign-ups, and then its proof":  {of(MailVerify, ""), proven, SignupVerified, CodeMailTokenInvalid},
	} {
		refusal, got := mayUseLink(c.link, c.account, c.mode), Code("")
		if refusal != nil {
			got = refusal.Code
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// ID-1, ID-3
func TestAccountStateIsRevealedOnlyAfterTheRightPassword(t *testing.T) {
	t.Parallel()
	proven := User{ID: "ada", VerifiedAt: time.Unix(1, 0)}
	disabled := proven
	disabled.DisabledAt = time.Unix(2, 0)
	for name, c := range map[string]struct {
		account User
		right   bool
		mode    SignupMode
		want    Code
	}{
		"proven":                              {proven, true, SignupVerified, ""},
		"proven, wrong password":              {proven, false, SignupVerified, CodeInvalidCredentials},
		"disabled":                            {disabled, true, SignupOpen, CodeAccountDisabled},
		"disabled, wrong password":            {disabled, false, SignupOpen, CodeInvalidCredentials},
		"not proven, open":                    {User{ID: "ada"}, true, SignupOpen, ""},
		"not proven":                          {User{ID: "ada"}, true, SignupVerified, CodeEmailNotVerified},
		"a waiting sign-up":                   {User{}, true, SignupVerified, CodeEmailNotVerified},
		"a waiting sign-up, now open":         {User{}, true, SignupOpen, CodeEmailNotVerified},
		"neither account nor waiting sign-up": {User{}, false, SignupVerified, CodeInvalidCredentials},
	} {
		refusal, got := mayLogin(c.account, c.right, Options{Signup: c.mode}), Code("")
		if refusal != nil {
			got = refusal.Code
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// ID-8
func TestTheFirstProofKeepsIDAndRoles(t *testing.T) {
	t.Parallel()
	now := time.Unix(3, 0)
	account := User{ID: "ada", Email: "ada@example.com", Name: "Imported", Roles: []string{"staff"},
		PasswordHash: "old", CreatedAt: time.Unix(1, 0)}
	own := passwordCandidate{"waiting", signupDetails{Name: "Olive Owner", Locale: "pt-BR", PasswordHash: "new"}}
	if got := ownerAfterProof(account, own, account.Email, now); got.ID != "ada" || !got.HasRole("staff") ||
		!got.CreatedAt.Equal(account.CreatedAt) ||
		got.Name != "Olive Owner" || got.Locale != "pt-BR" || got.PasswordHash != "new" || !got.VerifiedAt.Equal(now) {
		t.Errorf("the account became %+v", got)
	}
	got := ownerAfterProof(account, passwordCandidate{"", signupDetails{PasswordHash: "new"}}, account.Email, now)
	if got.Name != "Imported" || got.PasswordHash != "new" {
		t.Errorf("a new password alone made it %+v", got)
	}
	created := ownerAfterProof(User{}, own, "new@example.com", now)
	if !storable.ID(string(created.ID)) || created.Email != "new@example.com" || len(created.Roles) != 0 ||
		!created.CreatedAt.Equal(now) {
		t.Errorf("created: %+v", created)
	}
}

// RL-11, EV-5
func TestSessionNeedsAProofAndAnEnabledAccount(t *testing.T) {
	t.Parallel()
	verified := User{ID: "ada", VerifiedAt: time.Unix(1, 0)}
	disabled := verified
	disabled.DisabledAt = time.Unix(2, 0)
	password := []proof{proofPassword}
	for name, c := range map[string]struct {
		user   User
		mode   SignupMode
		proofs []proof
		want   Code // "": the session is opened
	}{
		"password":                          {verified, SignupVerified, password, ""},
		"no proof":                          {verified, SignupOpen, nil, CodeInvalidCredentials},
		"disabled":                          {disabled, SignupOpen, password, CodeAccountDisabled},
		"disabled and without proof":        {disabled, SignupOpen, nil, CodeAccountDisabled},
		"unverified, sign-up open":          {User{ID: "ada"}, SignupOpen, password, ""},
		"unverified, sign-up closed":        {User{ID: "ada"}, SignupClosed, password, ""},
		"unverified, verification required": {User{ID: "ada"}, SignupVerified, password, CodeEmailNotVerified},
	} {
		got := decideEntry(c.user, Options{Signup: c.mode}, c.proofs)
		switch {
		case c.want == "" && (got.refusal != nil || len(got.methods) != len(c.proofs)):
			t.Errorf("%s: %+v, want open with %v", name, got, c.proofs)
		case c.want != "" && (got.refusal == nil || got.refusal.Code != c.want || len(got.methods) > 0):
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// The test tries every combination of account, mode, policy and proofs. If an account has a factor or must have one,
// a session needs two kinds of proof. A disabled or unverified account must be refused, even with every proof.
func TestDecideEntryAsksForEveryDueFactor(t *testing.T) {
	t.Parallel()
	all := []proof{"pwd", "ext", "otp", "hwk", "swk", "recovery", "mfa"}
	first, second := 1<<0|1<<1, 1<<2|1<<3|1<<4|1<<5
	policies := []FactorPolicy{
		{}, {Required: true}, {Required: true, Roles: []string{"admin"}}, {Required: true, Roles: []string{"staff"}},
		{Roles: []string{"admin"}},
	}
	for set := range 1 << len(all) {
		var proofs []proof
		for i, p := range all {
			if set>>i&1 == 1 {
				proofs = append(proofs, p)
			}
		}
		two := set>>6 == 1 || set&first != 0 && set&second != 0
		for state := range 8 {
			u := User{ID: "ada", VerifiedAt: time.Unix(1, 0), Factors: state & 1, Roles: []string{"admin"}}
			if state&2 != 0 {
				u.DisabledAt = time.Unix(2, 0)
			}
			if state&4 != 0 {
				u.VerifiedAt = time.Time{}
			}
			for _, mode := range []SignupMode{SignupOpen, SignupVerified, SignupClosed} {
				for n, policy := range policies {
					enrol := (n == 1 || n == 2) && u.Factors == 0 && !two
					refused := u.Disabled() || len(proofs) == 0 || (mode == SignupVerified || enrol) && !u.Verified()
					want := ChallengePurpose("")
					switch {
					case refused || two:
					case u.Factors > 0:
						want = ChallengeLogin
					case enrol:
						want = ChallengeEnrol
					}
					got := decideEntry(u, Options{Signup: mode, SecondFactor: policy}, proofs)
					if (got.refusal != nil) != refused || got.challenge != want {
						t.Errorf("%q, %q, %+v, %+v: %+v", proofs, mode, policy, u, got)
					}
					if open := !refused && want == ""; open && (amr.Level(got.methods) == amr.LevelTwo) != two ||
						open != (len(got.methods) > 0) {
						t.Errorf("%q gives %q", proofs, got.methods)
					}
				}
			}
		}
	}
}

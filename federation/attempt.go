package federation

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/watchword-auth/watchword"
)

// AttemptLife is how long a user may take at the provider.
const AttemptLife = 10 * time.Minute

// An Attempt is one round trip to a provider. The browser keeps each attempt sealed in a separate
// cookie. Several tabs can therefore sign in at once, and the start does not write to the store.
type Attempt struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE
	Provider string `json:"provider"`

	Purpose purpose             `json:"purpose"`
	Session watchword.SessionID `json:"session,omitempty"` // only for purposeLink: the session of the user
	User    watchword.UserID    `json:"user,omitempty"`    // only for purposeStepUp: the user to confirm
	Mailed  string              `json:"mailed,omitempty"`  // only for purposeVerify: the token of the mailed link

	ReturnTo string `json:"returnTo,omitempty"` // URL to return to, which the caller of Start has checked
	Page     bool   `json:"page,omitempty"`     // a hosted page began the attempt, and shows its errors
	Replaces string `json:"replaces,omitempty"` // refresh token in the cookie that a sign-in overwrites, see Replacing
	Device   string `json:"device,omitempty"`   // watchword.Client.Remembered at the start of the attempt

	// Challenge is the code_challenge of an application that exchanges a code for the session. If Challenge is set, the
	// callback sets no cookie.
	Challenge string `json:"challenge,omitempty"`

	At time.Time `json:"at"`
}

const attemptContext = "federation/attempt"

// RedirectURI returns the URL to register at a provider.
func (m *Manager) RedirectURI(provider string) string { return RedirectURI(m.publicURL, provider) }

// RedirectURI returns the URL to register at a provider, for a server at publicURL.
func RedirectURI(publicURL, provider string) string {
	return publicURL + "/sign-in/" + provider + "/callback"
}

// A StartRequest has the parameters of an attempt to sign in.
type StartRequest struct {
	Provider string
	ReturnTo string
	Page     bool
	Replaces watchword.Secret // as in watchword.LoginRequest

	// Remembered is watchword.Client.Remembered at the start. The attempt keeps it, because the browser does not send
	// this cookie with the provider's response, which comes from another site.
	Remembered watchword.Secret

	// StepUp is the account of a step-up. A sign-in to a different account is refused. Empty: any account.
	StepUp watchword.UserID

	// Challenge requests a code instead of a session (RFC 7636, S256). Replaces, Remembered and StepUp are then
	// ignored, because only the hosted pages use them.
	Challenge string
}

// A Started is an attempt that has begun. The caller redirects the browser to URL, a page of the provider.
type Started struct {
	URL    string
	State  string
	Sealed watchword.Secret // for the cookie of the attempt
}

// Start begins a sign-in. It does not write to the store. Codes: CodeNotFound,
// CodeProviderUnavailable.
func (m *Manager) Start(ctx context.Context, r StartRequest) (Started, error) {
	if r.Challenge != "" {
		return m.start(ctx, Attempt{Provider: r.Provider, Purpose: purposeSignIn, ReturnTo: r.ReturnTo,
			Challenge: r.Challenge})
	}
	a := Attempt{Provider: r.Provider, Purpose: purposeSignIn, ReturnTo: r.ReturnTo, Page: r.Page,
		Replaces: string(r.Replaces), Device: string(r.Remembered), User: r.StepUp}
	if a.User != "" {
		a.Purpose = purposeStepUp
	}
	return m.start(ctx, a)
}

func (m *Manager) start(ctx context.Context, a Attempt) (Started, error) {
	p, err := m.findProvider(a.Provider)
	if err != nil {
		return Started{}, err
	}
	a.State, a.Nonce, a.At = rand.Text(), rand.Text(), m.engine.Now()
	a.Verifier = rand.Text() + rand.Text() // 43 characters at least (RFC 7636, section 4.1)
	url, err := p.AuthURL(ctx, a)
	if err != nil {
		return Started{}, providerFailure(p, err)
	}
	sealed, err := m.seal(a)
	return Started{URL: url, State: a.State, Sealed: sealed}, err
}

func (m *Manager) seal(a Attempt) (watchword.Secret, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	return watchword.Secret(base64.RawURLEncoding.EncodeToString(m.engine.Seal(attemptContext, plain))), nil
}

// Replacing returns a copy of the attempt that also ends the session of the given refresh token. It also
// returns the remaining life of the attempt.
//
// The caller uses Replacing after a sign-in in another tab of the browser. Later the attempt will overwrite the
// refresh cookie of that tab, so it must end the session of that cookie. The callback can't read the cookie, because
// a browser does not send a Strict cookie with the response of a provider. Therefore the attempt contains the token.
//
// Replacing reports false for an attempt that is invalid, has expired, or does not change the browser's cookie.
func (m *Manager) Replacing(sealed, refresh watchword.Secret) (again watchword.Secret, life time.Duration, ok bool) {
	a, err := m.OpenAttempt(sealed)
	life = AttemptLife - m.engine.Now().Sub(a.At)
	if err != nil || a.Links() || a.Challenge != "" || life <= 0 {
		return "", 0, false
	}
	a.Replaces = string(refresh)
	again, err = m.seal(a)
	return again, life, err == nil
}

// OpenAttempt returns the attempt in a cookie, even if the attempt has expired. Codes:
// CodeChallengeInvalid.
func (m *Manager) OpenAttempt(sealed watchword.Secret) (a Attempt, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(sealed))
	if err != nil {
		return a, attemptInvalid()
	}
	plain, err := m.engine.Open(attemptContext, raw)
	if err != nil {
		return a, attemptInvalid()
	}
	return a, json.Unmarshal(plain, &a)
}

// Links reports whether the attempt connects an identity to the account of a session.
func (a Attempt) Links() bool { return a.Purpose == purposeLink }

// LinkAttempt returns an attempt that connects an identity. The error page needs it if the real attempt could not
// begin.
func LinkAttempt(provider string) Attempt {
	return Attempt{Provider: provider, Purpose: purposeLink, Page: true}
}

// matches reports whether the attempt has this state and provider. It refuses an attempt that is expired, or more
// than a minute in the future.
func (a Attempt) matches(provider, state string, now time.Time) bool {
	same := subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) == 1
	return same && a.Provider == provider && now.Sub(a.At) < AttemptLife && !a.At.After(now.Add(time.Minute))
}

package federation

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/watchword-auth/watchword"
)

// An application that renders on its server keeps the tokens in its own cookies, which this server can't set. The
// application therefore receives a code and exchanges it for a session:
//
//  1. The application's server keeps a verifier in a cookie of the browser. The attempt contains the hash of the
//     verifier (RFC 7636, S256).
//  2. The callback decides about the identity as usual. Instead of a session, it stores a challenge, whose handle is
//     the code. The code is in a URL, so it can leak into a log or a Referer header.
//  3. The first exchange uses up the code, even if the verifier is wrong: the use is committed before the verifier is
//     checked. A client can therefore try only one verifier.
//  4. The exchange opens the session like every sign-in, so it requires the second factor. The identity, the password
//     and the factors of the account must not have changed since the callback.
//
// A thief of the code does not have the verifier. An attacker who starts an attempt has the verifier. If the attacker
// makes another person complete this attempt, that person's browser receives the code, not the attacker.

// challengeExchange is the purpose of a challenge whose handle is a code.
const challengeExchange watchword.ChallengePurpose = "exchange"

// CodeLife is how long a code is valid. Applications normally exchange it at once.
const CodeLife = time.Minute

// challengePattern matches a code_challenge: 32 bytes in base64url.
var challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// verifierPattern matches a valid code_verifier (RFC 7636, section 4.1).
var verifierPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// IsCodeChallenge reports whether a text can be the code_challenge of a verifier, by the method S256.
func IsCodeChallenge(text string) bool { return challengePattern.MatchString(text) }

// A pendingExchange holds the data that Exchange needs to redeem a code. The store keeps this data encrypted, in the
// row of the challenge.
type pendingExchange struct {
	Challenge string `json:"challenge"`
	Provider  string `json:"provider"`

	Proofs   []string          `json:"proofs,omitempty"`
	Address  watchword.Address `json:"address,omitempty"`  // of the account
	Password []byte            `json:"password,omitempty"` // SHA-256 of the password hash
	Identity string            `json:"identity,omitempty"` // its id
	Email    string            `json:"email,omitempty"`    // the address at the provider

	Link string `json:"link,omitempty"` // with CodeLinkRequired: the handle for FinishLink
}

// insertExchangeCode stores the challenge of the code. u is the account for the sign-in or the connection.
func (m *Manager) insertExchangeCode(
	ctx context.Context, tx Tx, s verifiedResponse, u watchword.User, p pendingExchange,
) (watchword.Secret, error) {
	p.Challenge, p.Provider = s.attempt.Challenge, s.info.ID
	plain, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	challenge, code := m.engine.NewChallenge(challengeExchange, u, "", plain, s.at)
	challenge.ExpiresAt = s.at.Add(CodeLife)
	return code, tx.InsertChallenge(ctx, challenge)
}

// issueCode applies the verdict as openSession does, but returns a code instead of opening a session.
func (m *Manager) issueCode(ctx context.Context, s verifiedResponse, v verdict) (code watchword.Secret, err error) {
	var events []watchword.Event
	err = m.store.Update(ctx, func(tx Tx) error {
		var owner watchword.UserID
		if owner, events, err = m.applyVerdict(ctx, tx, s, v); err != nil {
			return err
		}
		user, err := tx.User(ctx, owner)
		if err != nil {
			return err
		}
		known, err := tx.Identity(ctx, s.claims.Issuer, s.claims.Subject)
		if err != nil {
			return err
		}
		code, err = m.insertExchangeCode(ctx, tx, s, user, pendingExchange{Proofs: provenMethods(s.info, s.claims),
			Address: user.Email, Password: m.engine.PasswordSum(user), Identity: known.ID, Email: known.Email})
		return err
	})
	if watchword.CodeOf(err) == watchword.CodeMailTokenInvalid {
		return "", errChanged
	}
	if err == nil {
		m.engine.Announce(events...)
	}
	return code, err
}

// An ExchangeRequest redeems the code of a callback.
type ExchangeRequest struct {
	Code     watchword.Secret
	Verifier watchword.Secret // the text whose hash is the code_challenge
	Client   watchword.Client // the browser, as the application forwards it
	Replaces watchword.Secret // as in watchword.LoginRequest
}

// An Exchanged is the result of an exchange. If the error is CodeLinkRequired, the field Link is the handle for
// FinishLink, which the caller calls after the user has signed in.
type Exchanged struct {
	SignIn *watchword.SignIn
	Link   watchword.Secret
}

// Exchange opens the session of a code. Codes: CodeChallengeInvalid, CodeLinkRequired, CodeAccountDisabled,
// CodeEmailNotVerified, CodeSecondFactorRequired, CodeEnrolmentRequired, CodeRateLimited.
func (m *Manager) Exchange(ctx context.Context, r ExchangeRequest) (done Exchanged, err error) {
	now := m.engine.Now()
	id, err := m.engine.ChallengeID(r.Code, challengeExchange)
	if err != nil {
		return done, codeInvalid()
	}
	if err := m.engine.ChargePasskey(ctx, "exchange", r.Client, now); err != nil {
		return done, err
	}
	var claimed watchword.Challenge
	err = m.store.Update(ctx, func(tx Tx) error {
		claimed, err = tx.ClaimChallenge(ctx, id, challengeExchange, now)
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		return done, codeInvalid()
	}
	if err != nil {
		return done, err
	}
	var p pendingExchange
	plain, err := m.engine.OpenChallenge(claimed)
	if err != nil {
		return done, codeInvalid()
	}
	if err := json.Unmarshal(plain, &p); err != nil {
		return done, fmt.Errorf("code of a sign-in: %w", err)
	}
	if why := exchangeRefusalReason(claimed.Attempts, p.Challenge, string(r.Verifier)); why != "" {
		user := watchword.User{ID: claimed.UserID}
		return done, m.engine.Failed(ctx, watchword.FactorTry{User: user, Client: r.Client, At: now}, codeInvalid(), why)
	}
	if p.Link != "" {
		name := p.Provider
		if known := m.byID[p.Provider]; known != nil {
			name = known.Info().Name
		}
		return Exchanged{Link: watchword.Secret(p.Link)}, linkIsRequired(name)
	}
	done.SignIn, err = m.openSessionByCode(ctx, claimed, p, r, now)
	return done, err
}

// exchangeRefusalReason returns why a code is refused, or "". useCount includes this use of the code. A second use is
// refused, but does not end the session that the first use opened. The second use may be harmless: a browser sends the
// code again when the user reloads the page.
func exchangeRefusalReason(useCount int, challenge, verifier string) (reason string) {
	sum := sha256.Sum256([]byte(verifier))
	expected := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case useCount != 1:
		return "code used again"
	case !verifierPattern.MatchString(verifier), subtle.ConstantTimeCompare([]byte(expected), []byte(challenge)) != 1:
		return "code without its verifier"
	}
	return ""
}

// openSessionByCode opens the session of a code that this request has redeemed.
func (m *Manager) openSessionByCode(
	ctx context.Context, c watchword.Challenge, p pendingExchange, r ExchangeRequest, now time.Time,
) (*watchword.SignIn, error) {
	begun, err := m.engine.Begin(ctx, watchword.User{}, watchword.AdmitRequest{
		Methods: p.Proofs, Persistent: true, Client: r.Client, Replaces: r.Replaces}, now)
	if err != nil {
		return nil, err
	}
	var admitted watchword.Admitted
	var user watchword.User
	err = m.store.Update(ctx, func(tx Tx) error {
		// Every flow locks the account first. If the account was deleted or has a new address, the code is invalid.
		if err := requireRow(tx.LockUser(ctx, c.UserID, p.Address)); err != nil {
			return err
		}
		used := Identity{ID: p.Identity, UserID: c.UserID, Provider: p.Provider, Email: p.Email, LastUsedAt: now}
		if err := requireRow(tx.UseIdentity(ctx, used)); err != nil {
			return err
		}
		if user, err = tx.User(ctx, c.UserID); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(m.engine.PasswordSum(user), p.Password) != 1 {
			return errChanged
		}
		// Admit compares FactorsChangedAt with the stored account. The value from the callback makes Admit refuse if
		// the factors have changed since the callback.
		user.FactorsChangedAt = c.FactorsChangedAt
		admitted, err = m.engine.Admit(ctx, tx, begun.As(user, p.Provider))
		return err
	})
	switch {
	case errors.Is(err, errChanged), watchword.CodeOf(err) == watchword.CodeChallengeInvalid:
		return nil, codeInvalid()
	case watchword.CodeOf(err) == watchword.CodeAccountDisabled:
		var refusal *watchword.Error
		errors.As(err, &refusal)
		return nil, m.engine.Failed(ctx, watchword.FactorTry{User: user, Client: r.Client, At: now}, refusal, "")
	case err != nil:
		return nil, err
	}
	return m.engine.IssueTokens(admitted)
}

func codeInvalid() *watchword.Error {
	return refuse(watchword.CodeChallengeInvalid, "This sign-in was used already or took too long. Start again.")
}

func linkIsRequired(name string) *watchword.Error {
	return refuse(CodeLinkRequired, "You have an account here. Sign in to it once to connect "+name+".")
}

package factors

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/watchword-auth/watchword"
)

// The second step of a sign-in:
//
//  1. The MAC of the handle is checked, so an invented handle costs no query.
//  2. The attempt is counted on the challenge and against the account's limit of failures. Both
//     counters are committed before the code is compared, so parallel guesses can't evade them.
//  3. The code is compared.
//  4. One transaction consumes the challenge, claims the code, removes the attempt from the
//     account's count and opens the session. It fails if the password, the factors or the account
//     have changed since the challenge was created. A wrong code stays counted.

// A LoginRequest completes the sign-in of a challenge.
type LoginRequest struct {
	// Handle is ChallengeOffer.Handle. Replaces is as in watchword.LoginRequest. If the first step was sent with a
	// refresh cookie, the session of that cookie ends, too.
	Handle, Replaces watchword.Secret
	Proof
	Client watchword.Client

	// Remember lets the browser skip the second factor from now on, see SignIn.Remembered.
	Remember bool
}

// Login opens the session of a challenged sign-in. Codes: CodeValidationFailed (not exactly one
// proof, or Remember although devices are not remembered), CodeChallengeInvalid, CodeFactorWrong,
// CodeRateLimited, CodeAccountDisabled, CodeEmailNotVerified.
func (m *Manager) Login(ctx context.Context, r LoginRequest) (*watchword.SignIn, error) {
	kind, err := r.kind()
	if err != nil {
		return nil, err
	}
	if r.Remember && m.engine.RememberFor() <= 0 {
		return nil, notRemembered()
	}
	id, err := m.engine.ChallengeID(r.Handle, watchword.ChallengeLogin)
	if err != nil {
		return nil, err
	}
	now := m.engine.Now()
	var challenge watchword.Challenge
	var user watchword.User
	var try watchword.FactorTry
	var all []Factor
	var charge watchword.Charge
	err = m.store.Update(ctx, func(tx Tx) error {
		challenge, err = tx.ClaimChallenge(ctx, id, watchword.ChallengeLogin, now)
		if err != nil {
			return err
		}
		// If all factors of the account were removed, its challenges are invalid.
		if user, all, err = tx.UserWithFactors(ctx, challenge.UserID); err != nil {
			return err
		}
		try = watchword.FactorTry{User: user, Kind: kind, Client: r.Client, At: now}
		charge, err = m.engine.ChargeFactor(ctx, tx, try)
		return err
	})
	if err != nil {
		return nil, m.notFoundToChallengeInvalid(err)
	}
	r.ceremony = m.engine.Handle(loginCeremony, id)
	proven, err := m.checkProof(ctx, try, all, r.Proof)
	if err != nil {
		return nil, err
	}
	resumed, err := m.engine.Resume(ctx, challenge, user,
		watchword.AdmitRequest{Methods: proven.amrValues(), Client: r.Client, Replaces: r.Replaces}, now)
	if err != nil {
		return nil, err
	}
	return m.openSession(ctx, verifiedLogin{challenge, resumed, proven, charge, r.Remember})
}

// A verifiedLogin is a sign-in with a correct second factor, which is not marked as used yet.
type verifiedLogin struct {
	challenge watchword.Challenge
	resumed   watchword.Resumed
	proven    verifiedProof
	charge    watchword.Charge
	remember  bool
}

func (m *Manager) openSession(ctx context.Context, n verifiedLogin) (*watchword.SignIn, error) {
	c, r, proven := n.challenge, n.resumed, n.proven
	var admitted watchword.Admitted
	var used []watchword.Event
	var device Device
	err := m.store.Update(ctx, func(tx Tx) (err error) {
		if admitted, err = m.engine.Admit(ctx, tx, r); err != nil { // Admit locks the account first, as every flow does
			return err
		}
		taken, err := tx.TakeChallenge(ctx, c.ID, c.Purpose, r.At())
		if err == nil && !taken {
			err = challengeInvalid()
		}
		if err != nil {
			return err
		}
		fresh, err := proven.consume(ctx, tx, r.User(), r.At())
		if err == nil && !fresh {
			err = errProofUsed
		}
		if err != nil {
			return err
		}
		event := m.engine.Event("", r.User(), admitted.Session(), r.Client(), r.At())
		if used, err = m.recordProofUse(ctx, tx, r.User(), proven, event); err != nil {
			return err
		}
		if n.remember {
			if device, err = m.rememberDevice(ctx, tx, &event); err != nil {
				return err
			}
			used = append(used, event)
		}
		return m.engine.Refund(ctx, tx, n.charge)
	})
	if errors.Is(err, errProofUsed) {
		return nil, m.refuseUsedProof(ctx, watchword.FactorTry{User: r.User(), Client: r.Client(), At: r.At()}, proven)
	}
	if err != nil {
		return nil, err
	}
	m.engine.Announce(used...)
	in, err := m.engine.IssueTokens(admitted)
	if err == nil && n.remember {
		in.Remembered, in.RememberedFor = m.deviceToken(device), m.engine.RememberFor()
	}
	return in, err
}

func leftOver(n int) string { return strconv.Itoa(n) + " left" }

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return raw
	}
	return u.Host
}

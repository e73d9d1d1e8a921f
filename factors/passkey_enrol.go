package factors

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/passkey"
)

// A Ceremony is what a browser needs to create or use a passkey.
//
// Unstable: package server calls it.
type Ceremony struct {
	ID      watchword.Secret // sent back with the response
	Options json.RawMessage  // the member publicKey

	// Mediation is "conditional" for a creation that the browser may do without asking.
	Mediation string
}

// A pendingPasskey is what the challenge of a creation seals.
type pendingPasskey struct {
	Upgrade bool `json:"upgrade"`
}

// BeginPasskey begins the creation of a passkey for a signed-in user. upgrade asks for a creation
// without a dialog, after a sign-in with a password. Codes: CodeNotFound (passkeys are off),
// CodeEmailNotVerified, CodeStepUpRequired, CodeFactorLimit.
//
// Unstable: package server calls it.
func (m *Manager) BeginPasskey(ctx context.Context, who watchword.Identity, upgrade bool) (Ceremony, error) {
	if m.passkeys == nil || m.opts.EnrolmentOff {
		return Ceremony{}, passkeysOff()
	}
	now := m.engine.Now()
	plain, err := json.Marshal(pendingPasskey{upgrade})
	if err != nil {
		return Ceremony{}, err
	}
	var user watchword.User
	var all []Factor
	var challenge watchword.Challenge
	var handle watchword.Secret
	err = m.store.Update(ctx, func(tx Tx) (err error) {
		session, owner, err := tx.Session(ctx, who.Session.ID)
		if err != nil {
			return err
		}
		if all, err = tx.Factors(ctx, owner.ID); err != nil {
			return err
		}
		if refusal := m.mayEnrol(owner, session, all, KindPasskey, now); refusal != nil {
			return refusal
		}
		user = owner
		challenge, handle = m.engine.NewChallenge(challengeCreate, owner, session.ID, plain, now)
		return tx.InsertChallenge(ctx, challenge)
	})
	if err != nil {
		return Ceremony{}, m.ended(err)
	}
	list, err := credentials(all)
	if err != nil {
		return Ceremony{}, err
	}
	begun := Ceremony{ID: watchword.Secret(challenge.ID)}
	if upgrade {
		begun.Mediation = "conditional"
	}
	begun.Options, err = m.passkeys.CreationOptions(m.creation(user, handle, upgrade, list))
	return begun, err
}

func (m *Manager) creation(
	u watchword.User, handle watchword.Secret, upgrade bool, list []passkey.Credential,
) passkey.Creation {
	name := u.Name
	if name == "" {
		name = string(u.Email)
	}
	return passkey.Creation{Challenge: []byte(handle), Upgrade: upgrade, Owner: passkey.Owner{
		Handle: m.userHandle(u.ID), Name: string(u.Email), DisplayName: name, Credentials: list,
	}}
}

// A NewPasskey is the response of a browser to a creation.
//
// Unstable: package server calls it.
type NewPasskey struct {
	Ceremony   watchword.Secret // Ceremony.ID
	Credential []byte           // RegistrationResponseJSON
	Name       string           // default: the product, if the authenticator names it
}

// ConfirmPasskey adds the passkey of a creation. The first factor ends the user's other sessions and
// creates recovery codes, unless the passkey is an upgrade. Codes: CodeNotFound (passkeys are off),
// CodeValidationFailed (name), CodeChallengeInvalid, CodeFactorWrong, CodeFactorLimit.
//
// Unstable: package server calls it.
func (m *Manager) ConfirmPasskey(
	ctx context.Context, who watchword.Identity, n NewPasskey, c watchword.Client,
) (Confirmation, error) {
	if m.passkeys == nil {
		return Confirmation{}, passkeysOff()
	}
	if n.Name != "" {
		if err := checkName(n.Name); err != nil {
			return Confirmation{}, err
		}
	}
	now := m.engine.Now()
	challenge, err := m.claimCreation(ctx, who, string(n.Ceremony), now)
	if err != nil {
		return Confirmation{}, err
	}
	plain, err := m.engine.OpenChallenge(challenge)
	if err != nil {
		return Confirmation{}, err
	}
	var pending pendingPasskey
	if err := json.Unmarshal(plain, &pending); err != nil {
		return Confirmation{}, err
	}
	handle := m.engine.Handle(challengeCreate, challenge.ID)
	made, err := m.passkeys.Created(m.creation(who.User, handle, pending.Upgrade, nil), n.Credential)
	if errors.Is(err, passkey.ErrRejected) {
		err = refuse(watchword.CodeFactorWrong, "This passkey was not accepted. Try again, or use another one.")
	}
	if err != nil {
		return Confirmation{}, err
	}
	f := Factor{ID: newID(), UserID: who.User.ID, Kind: KindPasskey, Name: n.Name, Sealed: []byte{}, CreatedAt: now}
	f, f.Unproven = f.with(made), pending.Upgrade
	if f.Name == "" {
		f.Name = productName(made)
	}
	proofs := []string{made.Record.Method()}
	switch {
	case pending.Upgrade:
		proofs = nil // the user was not asked
	case made.Record.VerifiedBefore():
		proofs = append(proofs, amr.Verified)
	}
	return m.add(ctx, who, enrolled{challenge, f, proofs}, c)
}

// claimCreation counts an attempt on a creation of this session, and commits it.
func (m *Manager) claimCreation(
	ctx context.Context, who watchword.Identity, id string, now time.Time,
) (c watchword.Challenge, err error) {
	err = m.store.Update(ctx, func(tx Tx) error {
		c, err = m.challenge(ctx, tx, id, challengeCreate, now)
		if err == nil && (c.UserID != who.User.ID || c.SessionID != who.Session.ID) {
			err = challengeInvalid()
		}
		if err != nil {
			return err
		}
		return m.claimAttempt(ctx, tx, c, now)
	})
	return c, err
}

// productName names a passkey that the user has not named.
func productName(c passkey.Credential) string {
	if name := passkey.ProductName(c.Record.AAGUID); name != "" {
		return name
	}
	if strings.Join(c.Record.Transports, "") == "internal" {
		return "This device"
	}
	return "Passkey"
}

func checkName(name string) error {
	if name != "" && utf8.RuneCountInString(name) <= maxName && utf8.ValidString(name) {
		return nil
	}
	problem := watchword.FieldError{
		Field: "name", Code: watchword.FieldInvalid, Message: "Enter a name of 1 to 100 characters.",
	}
	return &watchword.Error{
		Code: watchword.CodeValidationFailed, Detail: problem.Message, Fields: []watchword.FieldError{problem},
	}
}

package factors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/passkey"
	"github.com/watchword-auth/watchword/internal/storable"
)

// A Ceremony has the data that a browser needs to create or use a passkey.
//
// Unstable: package server calls it.
type Ceremony struct {
	ID      watchword.Secret // sent back with the response
	Options json.RawMessage  // the member publicKey

	// Mediation is "conditional" if the browser can create the passkey without a dialog.
	Mediation string
}

// A pendingPasskey is sealed in the challenge of a creation.
type pendingPasskey struct {
	Upgrade bool   `json:"upgrade"`
	Entry   string `json:"entry"` // same as pendingTOTP.Entry
}

// BeginPasskey begins the creation of a passkey for a signed-in user. isUpgrade requests a creation
// without a dialog, after a sign-in with a password. Codes: CodeNotFound (passkeys are off),
// CodeEmailNotVerified, CodeStepUpRequired, CodeFactorLimit.
//
// Unstable: package server calls it.
func (m *Manager) BeginPasskey(ctx context.Context, who watchword.Identity, isUpgrade bool) (Ceremony, error) {
	authorize := func(tx Tx, now time.Time) (c passkeyOwner, err error) {
		session, owner, err := tx.Session(ctx, who.Session.ID)
		if err != nil {
			return c, m.notFoundToSessionEnded(err)
		}
		all, err := tx.Factors(ctx, owner.ID)
		if err != nil {
			return c, err
		}
		if refusal := m.checkEnrolmentAllowed(owner, session, all, KindPasskey, now); refusal != nil {
			return c, refusal
		}
		return passkeyOwner{owner, session.ID, all}, nil
	}
	return m.beginPasskey(ctx, pendingPasskey{Upgrade: isUpgrade}, authorize)
}

// A passkeyOwner is the account and the session that get a new passkey.
type passkeyOwner struct {
	user    watchword.User
	session watchword.SessionID // empty for a sign-in that waits for its first factor
	factors []Factor
}

// beginPasskey runs authorize in its transaction. authorize checks the permission, and returns the account and the
// session.
func (m *Manager) beginPasskey(
	ctx context.Context, p pendingPasskey, authorize func(Tx, time.Time) (passkeyOwner, error),
) (Ceremony, error) {
	if m.passkeys == nil || m.opts.EnrolmentOff {
		return Ceremony{}, passkeysOff()
	}
	now := m.engine.Now()
	plain, err := json.Marshal(p)
	if err != nil {
		return Ceremony{}, err
	}
	var c passkeyOwner
	var challenge watchword.Challenge
	var handle watchword.Secret
	err = m.store.Update(ctx, func(tx Tx) (err error) {
		if c, err = authorize(tx, now); err != nil {
			return err
		}
		challenge, handle = m.engine.NewChallenge(challengeCreate, c.user, c.session, plain, now)
		return insertEnrolmentChallenge(ctx, tx, challenge)
	})
	if err != nil {
		return Ceremony{}, err
	}
	list, err := passkeyCredentials(c.factors)
	if err != nil {
		return Ceremony{}, err
	}
	begun := Ceremony{ID: watchword.Secret(challenge.ID)}
	if p.Upgrade {
		begun.Mediation = "conditional"
	}
	begun.Options, err = m.passkeys.CreationOptions(m.creation(c.user, handle, p.Upgrade, list))
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
	Name       string           // default: the name of the product or of the device, if known
}

// ConfirmPasskey adds the passkey of a creation. The first factor ends the user's other sessions and
// creates recovery codes, unless the passkey is an upgrade. Codes: CodeNotFound (passkeys are off),
// CodeValidationFailed (name), CodeChallengeInvalid, CodeFactorWrong, CodeEmailNotVerified, CodeFactorLimit.
//
// Unstable: package server calls it.
func (m *Manager) ConfirmPasskey(
	ctx context.Context, who watchword.Identity, n NewPasskey, c watchword.Client,
) (Confirmation, error) {
	made, err := m.confirmCreation(ctx, n, c.Device, m.engine.Now(), func(c watchword.Challenge, p pendingPasskey) bool {
		return c.UserID == who.User.ID && c.SessionID == who.Session.ID && p.Entry == ""
	})
	if err != nil {
		return Confirmation{}, err
	}
	return m.addFactor(ctx, who, made, c)
}

// confirmCreation commits the attempt before it verifies the response. device names the browser and its system.
// belongsToRequest reports whether the request may complete this creation.
func (m *Manager) confirmCreation(
	ctx context.Context, n NewPasskey, device string, now time.Time,
	belongsToRequest func(watchword.Challenge, pendingPasskey) bool,
) (confirmedFactor, error) {
	if m.passkeys == nil {
		return confirmedFactor{}, passkeysOff()
	}
	name, err := parseName(n.Name)
	if n.Name != "" && err != nil {
		return confirmedFactor{}, err
	}
	var pending pendingPasskey
	challenge, err := m.countOwnAttempt(ctx, enrolmentAttempt{string(n.Ceremony), challengeCreate, now}, &pending,
		func(c watchword.Challenge) bool { return belongsToRequest(c, pending) })
	if err != nil {
		return confirmedFactor{}, err
	}
	handle := m.engine.Handle(challengeCreate, challenge.ID)
	owner := watchword.User{ID: challenge.UserID}
	made, err := m.passkeys.Created(m.creation(owner, handle, pending.Upgrade, nil), n.Credential)
	if errors.Is(err, passkey.ErrRejected) {
		err = refuse(watchword.CodeFactorWrong, "This passkey was not accepted. Try again, or use another one.")
	}
	if err != nil {
		return confirmedFactor{}, err
	}
	f := Factor{ID: newID(), UserID: owner.ID, Kind: KindPasskey, Name: name, Sealed: []byte{}, CreatedAt: now}
	f, f.Unproven = f.withCredential(made), pending.Upgrade
	if f.Name == "" {
		f.Name = defaultName(made, device)
	}
	proofs := []string{made.Record.Method()}
	switch {
	case pending.Upgrade:
		proofs = nil // the browser showed no dialog, so the user has proven nothing
	case made.Record.VerifiedBefore():
		proofs = append(proofs, amr.Verified)
	}
	return confirmedFactor{challenge, f, proofs}, nil
}

// unknownDevice must be the text that package server passes for an unknown user agent.
const unknownDevice = "Unknown device"

// defaultName returns the name of the product, if the product is known. Otherwise, it returns the browser and system if
// the passkey is part of the user's device. All other passkeys, such as security keys, get the name "Passkey". If a
// passkey is synchronized, the user's other devices show the same name.
func defaultName(c passkey.Credential, device string) string {
	if name := passkey.ProductName(c.Record.AAGUID); name != "" {
		return name
	}
	if slices.Contains(c.Record.Transports, "internal") && device != "" && device != unknownDevice {
		return device
	}
	return "Passkey"
}

// parseName trims the name. It refuses a name that is empty, too long, or not a label (storable.Label).
func parseName(raw string) (string, error) {
	name := strings.TrimSpace(raw)
	if name != "" && utf8.RuneCountInString(name) <= maxNameLength && storable.Label(name) {
		return name, nil
	}
	problem := watchword.FieldError{
		Field: "name", Code: watchword.FieldInvalid,
		Message: "Enter a name of 1 to 100 characters, without control characters.",
	}
	return "", &watchword.Error{
		Code: watchword.CodeValidationFailed, Detail: problem.Message, Fields: []watchword.FieldError{problem},
	}
}

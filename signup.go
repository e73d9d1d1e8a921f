package watchword

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchword-auth/watchword/internal/knowndevice"
	"github.com/watchword-auth/watchword/internal/locale"
	"github.com/watchword-auth/watchword/internal/storable"
)

// Sign-up, in the order of its checks:
//
//  1. Sign-up must be open.
//  2. Address, password and name must be valid. The response lists all problems, because they reveal nothing about
//     other accounts.
//  3. The client's limit is charged before the password is hashed.
//  4. One statement claims the address, so one of several concurrent sign-ups wins.
//
// SignupOpen signs in at once and reveals that an address is taken. An account that must have a second factor has to
// prove its address first. SignupVerified creates no account yet. Several sign-ups can wait for the same address
// until the owner of the mailbox chooses one (verification.go). A taken address gets the same response after the same
// work as a free one, and a mail informs its owner.

// A SignUpRequest is a request to create an account.
type SignUpRequest struct {
	Email, Name string // the name has at most 200 code points, and may be empty
	Password    Secret
	Persistent  bool // see LoginRequest.Persistent
	Client      Client
	Replaces    Secret // as in LoginRequest

	// Problems are errors that the caller found in its own fields, such as a missing last name. If the list is not
	// empty, SignUp creates no account. The error of SignUp then lists them first.
	Problems []FieldError
}

// SignUp creates an account and opens its first session. It returns nil without an error if the user has to verify the
// address first (SignupVerified, Options.SecondFactor). Codes: CodeSignupClosed, CodeValidationFailed (email, password,
// name), CodeEmailTaken, CodeRateLimited, CodeTryLater.
func (e *Engine) SignUp(ctx context.Context, r SignUpRequest) (*SignIn, error) {
	now := e.now()
	user, normal, err := e.checkSignUp(r, now)
	if err != nil {
		return nil, err
	}
	err = e.chargeInOwnTx(ctx, e.opts.Limits.SignupPerClient.newCharge(limitSignupPerClient, r.Client.networkKey(), now))
	if err != nil {
		return nil, err
	}
	if user.PasswordHash, err = e.hashPassword(ctx, r.Client, normal); err != nil {
		return nil, err
	}
	if e.opts.Signup == SignupVerified {
		details := signupDetails{user.Name, user.Locale, user.PasswordHash, nil}
		return nil, e.storeWaitingSignup(ctx, user.Email, details, r.Client, now)
	}
	entry, err := e.newEntry(ctx,
		entry{user: user, proofs: []proof{proofPassword}, persistent: r.Persistent, client: r.Client, at: now}, r.Replaces)
	if err != nil {
		return nil, err
	}
	var out admitResult
	// An account that must have a second factor proves its address first. The mailed link continues the sign-in.
	signsIn := decideEntry(user, e.opts, entry.proofs).refusal == nil
	event := e.newEvent(EventSignup, r.Client, now).ofUser(user.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		inserted, err := tx.InsertUser(ctx, user, now)
		if err != nil {
			return err
		}
		if !inserted {
			return emailTaken()
		}
		if !e.opts.NoVerifyMail {
			mail := newMail(MailVerify, user, event)
			mail.Facts.ReturnTo = r.Client.ReturnTo
			if err := e.queueMail(ctx, tx, mail); err != nil {
				return err
			}
		}
		if !signsIn {
			out.events = []Event{event}
			return tx.InsertEvent(ctx, event)
		}
		out, err = e.admit(ctx, tx, entry, event)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.mailPosted.Set()
	if !signsIn {
		e.announce(out.events...)
		return nil, nil
	}
	return e.issueTokens(knowndevice.ID{}, out)
}

// checkSignUp returns the new account, and the normalized password, which the caller hashes.
func (e *Engine) checkSignUp(r SignUpRequest, now time.Time) (user User, normal string, err error) {
	if e.opts.Signup == SignupClosed {
		return User{}, "", signupClosed()
	}
	user, problems := newUser(NewUser{Email: r.Email, Name: r.Name}, now)
	user.Locale = locale.First(r.Client.Languages)
	normal, badPassword := e.checkNewPassword("password", r.Password, user.Email, user.Name)
	problems = slices.Concat(r.Problems, problems, nonNilProblems(badPassword))
	if len(problems) > 0 {
		return User{}, "", unacceptable(problems...)
	}
	return user, normal, nil
}

// A Signup waits until its address is proven (SignupVerified). It is not an account.
//
// Unstable: only stores use it.
type Signup struct {
	ID        string // UUID version 7
	Email     Address
	CreatedAt time.Time // the sign-up expires VerifyTTL later
	Sealed    []byte    // name, locale and password hash, encrypted with the master key
}

// storeWaitingSignup stores the sign-up and queues its verification mail. If the address is taken, it instead queues
// a mail that informs the owner.
func (e *Engine) storeWaitingSignup(
	ctx context.Context, email Address, d signupDetails, c Client, now time.Time,
) error {
	waiting, err := e.sealSignup(email, d, now)
	if err != nil {
		return err
	}
	var event Event
	return e.recordChange(ctx, &event, func(tx Tx) error {
		taken, err := e.isAddressTaken(ctx, tx, email, now)
		if err != nil {
			return err
		}
		if event = e.newEvent(EventSignup, c, now).withDetail("waiting"); taken {
			event = event.withDetail("address taken")
		}
		mail := newMail(MailVerify, User{Email: email}, event)
		mail.Cause.SignupID, mail.Facts.ReturnTo = waiting.ID, c.ReturnTo
		if taken {
			err = e.queueMail(ctx, tx, newMail(MailSignupExisting, User{Email: email}, event))
		} else if err = tx.InsertSignup(ctx, waiting); err == nil {
			err = tx.InsertMail(ctx, mail) // its rate limit is charged when it is sent
		}
		return err
	})
}

// isAddressTaken reports true if the account is verified or disabled, or a previous owner can restore the address.
func (e *Engine) isAddressTaken(ctx context.Context, tx Tx, email Address, now time.Time) (bool, error) {
	account, err := tx.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	reserved, err := tx.Reserved(ctx, email, now)
	return reserved || account.Verified() || account.Disabled(), err
}

// signupDetails is the sealed part of a waiting sign-up.
type signupDetails struct {
	Name         string
	Locale       string
	PasswordHash Secret
	Identity     []byte // set by package federation, instead of a password
}

// sealedSignup is the JSON form of signupDetails. Its hash is a plain string, because a Secret encodes as [redacted].
type sealedSignup struct {
	Name         string `json:"name"`
	Locale       string `json:"locale,omitempty"`
	PasswordHash string `json:"passwordHash"`
	Identity     []byte `json:"identity,omitempty"`
}

// signupContext returns the additional data with which a sign-up is encrypted. The encrypted value therefore works
// only in its own row.
func signupContext(id string) string { return "signup/" + id }

func (e *Engine) sealSignup(email Address, d signupDetails, now time.Time) (Signup, error) {
	plain, err := json.Marshal(sealedSignup{d.Name, d.Locale, string(d.PasswordHash), d.Identity})
	if err != nil {
		return Signup{}, fmt.Errorf("seal sign-up: %w", err)
	}
	if e.keys.masterReplaced.Load() {
		return Signup{}, fmt.Errorf("%w: seal sign-up: %w", ErrUnavailable, ErrMasterKey)
	}
	s := Signup{ID: newID(), Email: email, CreatedAt: now}
	s.Sealed = e.keys.box.Seal(signupContext(s.ID), plain)
	return s, nil
}

func (e *Engine) openSignup(s Signup) (signupDetails, error) {
	var sealed sealedSignup
	plain, err := e.keys.box.Open(signupContext(s.ID), s.Sealed)
	if err == nil {
		err = json.Unmarshal(plain, &sealed)
	}
	if err != nil {
		return signupDetails{}, fmt.Errorf("open sign-up: %w", err)
	}
	return signupDetails{sealed.Name, sealed.Locale, Secret(sealed.PasswordHash), sealed.Identity}, nil
}

// prepareSignupMail prepares a mail to an address without an account: a verification mail for the waiting sign-ups,
// even after a reset request. It drops the mail if no sign-up waits. It also drops a mail over the rate limit, but
// only while an earlier link works. That link is valid for every waiting sign-up.
func (e *Engine) prepareSignupMail(ctx context.Context, tx Tx, m Mail, d *delivery, now time.Time) error {
	if m.UserID != "" || m.Kind != MailVerify && m.Kind != MailReset {
		return nil
	}
	account, waiting, err := e.findOwners(ctx, tx, m.To, now)
	if err != nil || account.ID != "" || len(waiting) == 0 {
		return err
	}
	d.message.Kind, d.message.Page = MailVerify, ""
	if d.signupID == "" {
		d.signupID = waiting[0].ID
	}
	d.message.Locale = e.localeOfSignup(waiting, d.signupID)
	return e.activateToken(ctx, tx, m, d, now)
}

func (e *Engine) localeOfSignup(waiting []Signup, id string) string {
	i := slices.IndexFunc(waiting, func(s Signup) bool { return s.ID == id })
	if i < 0 {
		return ""
	}
	details, _ := e.openSignup(waiting[i]) // on an error (another master key), the locale is empty
	return details.Locale
}

// newUser returns an account without a password, and the problems of its fields.
func newUser(n NewUser, now time.Time) (User, []FieldError) {
	email, badEmail := parseEmail("email", n.Email)
	name, badName := parseName("name", n.Name)
	language, badLocale := parseLocale("locale", n.Locale)
	user := User{ID: UserID(newID()), Email: email, Name: name, Roles: n.Roles, Locale: language, CreatedAt: now}
	return user, nonNilProblems(badEmail, badName, badLocale)
}

func nonNilProblems(all ...*FieldError) (some []FieldError) {
	for _, problem := range all {
		if problem != nil {
			some = append(some, *problem)
		}
	}
	return some
}

const maxName = 200

// parseName trims a name. It refuses more than maxName code points, invalid UTF-8,
// control characters, line separators and bidirectional controls.
func parseName(field, raw string) (string, *FieldError) {
	name := strings.TrimSpace(raw)
	if len(raw) > 4*maxName || utf8.RuneCountInString(name) > maxName {
		return "", &FieldError{field, FieldTooLong, "Use at most 200 characters."}
	}
	if !storable.Label(name) {
		return "", &FieldError{field, FieldInvalid, "A name can't contain control characters."}
	}
	return name, nil
}

// parseLocale returns a canonical language tag, or "" for an empty text.
func parseLocale(field, raw string) (string, *FieldError) {
	tag, ok := locale.Parse(raw)
	if !ok && raw != "" {
		return "", &FieldError{field, FieldInvalid, "Write a language tag, such as en or pt-BR."}
	}
	return tag, nil
}

// chargeInOwnTx returns CodeRateLimited if the limit is reached.
func (e *Engine) chargeInOwnTx(ctx context.Context, c Charge) error {
	if c == (Charge{}) {
		return nil
	}
	wait, err := updateStore(ctx, e.store, func(tx Tx) (time.Duration, error) { return tx.Charge(ctx, c) })
	if err == nil && wait > 0 {
		return rateLimited(wait)
	}
	return err
}

func signupClosed() *Error {
	return refuse(CodeSignupClosed, "Sign-up is closed. Contact the people who run this service.")
}

func emailTaken() *Error {
	return refuse(CodeEmailTaken, "An account with this email address already exists. Sign in, or reset your password.")
}

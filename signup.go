package watchword

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Sign-up, in the order of its checks:
//
//  1. Is it open at all.
//  2. Address, password and name are acceptable: said at once and in full, for
//     it tells nothing about anybody else.
//  3. The client's limit is charged before the password is hashed.
//  4. The address is claimed by one statement: of any number of sign-ups at
//     once, one has it.
//
// SignupOpen signs in at once and says when an address is taken. SignupVerified
// tells nobody: the answer, the work and the rows are the same, and a mail tells
// the owner of the address which of the two it was.

// A SignUpRequest asks for an account.
type SignUpRequest struct {
	Email    string
	Password Secret
	Name     string // may be empty; at most 200 code points
	Client   Client
}

// SignUp makes an account and opens its first session. It returns nil without
// an error if the rest goes by mail (SignupVerified). Codes: CodeSignupClosed,
// CodeValidationFailed (email, password, name), CodeEmailTaken,
// CodeRateLimited, CodeTryLater.
func (e *Engine) SignUp(ctx context.Context, r SignUpRequest) (*SignIn, error) {
	if e.opts.Signup == SignupClosed {
		return nil, refuse(CodeSignupClosed, "Accounts are made by the people who run this service.")
	}
	now := e.now()
	user, problems := newUser(NewUser{Email: r.Email, Name: r.Name}, now)
	normal, problem := e.acceptable("password", r.Password, user.Email, user.Name)
	if problem != nil {
		problems = append(problems, *problem)
	}
	if len(problems) > 0 {
		return nil, unacceptable(problems...)
	}
	err := e.charge(ctx, e.opts.Limits.SignupPerClient.charge("signup", r.Client.key(), now))
	if err != nil {
		return nil, err
	}
	if user.PasswordHash, err = e.hash(ctx, r.Client, normal); err != nil {
		return nil, err
	}
	if e.opts.Signup == SignupVerified {
		return nil, e.signUpByMail(ctx, user, r.Client, now)
	}

	session := e.newSession(user.ID, true, r.Client, now)
	event := e.event(EventSignup, r.Client, now).of(user.ID).on(session.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		ours, err := tx.InsertUser(ctx, user, now)
		if err != nil {
			return err
		}
		if !ours {
			return emailTaken()
		}
		if err := e.post(ctx, tx, mailTo(MailVerify, user, event)); err != nil {
			return err
		}
		return e.openSession(ctx, tx, session, event)
	})
	if err != nil {
		return nil, err
	}
	e.announce(event)
	e.wakeOutbox()
	return e.signIn(user, session, now)
}

// signUpByMail makes the account, or lets its owner know that it is there.
func (e *Engine) signUpByMail(ctx context.Context, user User, c Client, now time.Time) error {
	event := e.event(EventSignup, c, now).of(user.ID)
	var ours bool
	err := e.store.Update(ctx, func(tx Tx) error {
		var err error
		if ours, err = tx.InsertUser(ctx, user, now); err != nil {
			return err
		}
		mail := mailTo(MailVerify, user, event)
		if !ours {
			event = event.of("").because("address taken")
			mail = mailTo(MailSignupExisting, User{Email: user.Email}, event)
		}
		if err := e.post(ctx, tx, mail); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return err
	}
	e.announce(event)
	e.wakeOutbox()
	return nil
}

// newUser makes an account without a password, and says what is wrong with it.
func newUser(n NewUser, now time.Time) (User, []FieldError) {
	var problems []FieldError
	email, problem := parseEmail("email", n.Email)
	if problem != nil {
		problems = append(problems, *problem)
	}
	name, problem := parseName("name", n.Name)
	if problem != nil {
		problems = append(problems, *problem)
	}
	return User{ID: UserID(newID()), Email: email, Name: name, Roles: n.Roles, CreatedAt: now}, problems
}

const maxName = 200

// parseName trims a name and refuses what no name holds.
func parseName(field, raw string) (string, *FieldError) {
	name := strings.TrimSpace(raw)
	if len(raw) > 4*maxName || utf8.RuneCountInString(name) > maxName {
		return "", &FieldError{field, FieldTooLong, "Use at most 200 characters."}
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}) {
		return "", &FieldError{field, FieldInvalid, "A name can't hold control characters."}
	}
	return name, nil
}

// charge takes one use of a limit, committed, or refuses.
func (e *Engine) charge(ctx context.Context, c Charge) error {
	if c == (Charge{}) {
		return nil
	}
	var wait time.Duration
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		wait, err = tx.Charge(ctx, c)
		return err
	})
	if err == nil && wait > 0 {
		return limited(wait)
	}
	return err
}

func emailTaken() *Error {
	return refuse(CodeEmailTaken, "There is an account with this e-mail address. Sign in, or choose a new password.")
}

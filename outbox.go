package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// The outbox: a mail is written in the transaction of the change that it tells
// of, and sent afterwards, at least once. A mail that a stranger can ask for is
// limited per address without a word: the answer to the stranger stays the same.

const (
	outboxPoll  = 2 * time.Second  // how soon mail that another process posted is seen
	sendTimeout = 30 * time.Second // for one conversation with the mail server
	sendLease   = 2 * time.Minute  // how long a mail belongs to the process that sends it
	sendDrain   = 5 * time.Second  // how long a mail that is under way is waited for at the end
	sendAtOnce  = 4
)

// retries are the waits after each failed attempt: a day and a bit in all.
var retries = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// retryAfter is how long to wait after a number of failed attempts, and false
// when it is time to give up.
func retryAfter(attempts int) (time.Duration, bool) {
	if attempts < 1 || attempts > len(retries) {
		return 0, false
	}
	return retries[attempts-1], true
}

// mailTo is a mail to a user about an event.
func mailTo(kind MailKind, u User, ev Event) Mail {
	return Mail{
		ID:        newID(),
		Kind:      kind,
		To:        u.Email,
		UserID:    u.ID,
		Facts:     MailFacts{At: ev.At, Device: ev.Device, Address: ev.Address},
		CreatedAt: ev.At,
		NextAt:    ev.At,
	}
}

// post puts a mail into the outbox. Notices to the owner are never held back;
// what a stranger can provoke is.
func (e *Engine) post(ctx context.Context, tx Tx, m Mail) error {
	switch m.Kind {
	case MailVerify, MailReset, MailConfirmAddress, MailSignupExisting:
		limit := charges(e.opts.Limits.MailPerAddress.charge("mail", string(m.To), m.CreatedAt))
		if wait, err := take(ctx, tx, limit); err != nil || wait > 0 {
			return err
		}
	}
	return tx.InsertMail(ctx, m)
}

// wakeOutbox tells the worker that there may be mail.
func (e *Engine) wakeOutbox() {
	select {
	case e.mailPosted <- struct{}{}:
	default: // it has been told
	}
}

// runOutbox sends what is due until ctx ends.
func (e *Engine) runOutbox(ctx context.Context) {
	var senders errgroup.Group
	senders.SetLimit(sendAtOnce)
	defer senders.Wait() //nolint:errcheck // senders return no error
	poll := time.NewTicker(outboxPoll)
	defer poll.Stop()
	for ctx.Err() == nil {
		now := e.now()
		var mail Mail
		err := e.store.Update(ctx, func(tx Tx) (err error) {
			mail, err = tx.ClaimMail(ctx, now, now.Add(sendLease))
			return err
		})
		if err == nil {
			senders.Go(func() error { e.sendMail(ctx, mail); return nil })
			continue
		}
		if !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
			e.log.Error("the outbox can't be read", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-e.mailPosted:
		case <-poll.C:
		}
	}
}

// sendMail sends a claimed mail and writes down what came of it. A mail that is
// under way when ctx ends is given a little time, so that it need not go twice.
func (e *Engine) sendMail(ctx context.Context, m Mail) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sendDrain, cancel) })()

	message, due, err := e.prepareMail(sending, m)
	if err == nil && due {
		err = e.opts.Mailer.Send(sending, message)
		e.count.mail(err)
	}
	err = e.store.Update(context.WithoutCancel(ctx), func(tx Tx) error {
		if err == nil {
			return tx.DeleteMail(context.WithoutCancel(ctx), m.ID)
		}
		return e.postpone(context.WithoutCancel(ctx), tx, m, err)
	})
	if err != nil {
		e.log.Error("a mail was tried, but not marked as such: it may go out again",
			slog.String("mail", m.ID), slog.Any("error", err))
	}
}

// postpone writes down a failed attempt.
func (e *Engine) postpone(ctx context.Context, tx Tx, m Mail, why error) error {
	now := e.now()
	wait, again := retryAfter(m.Attempts)
	log := e.log.With(slog.String("mail", m.ID), slog.String("kind", string(m.Kind)),
		slog.Int("attempt", m.Attempts), slog.Any("error", why))
	text := why.Error()
	text = text[:min(len(text), 500)]
	if !again {
		log.Error("a mail could not be sent, and is given up: see `watchword mail list`")
		return tx.PostponeMail(ctx, m.ID, now, text, now)
	}
	log.Warn("a mail could not be sent", slog.String("next_try_in", wait.String()))
	return tx.PostponeMail(ctx, m.ID, now.Add(wait), text, time.Time{})
}

// prepareMail makes the message and puts its token into force. It reports false
// if there is no longer anything to say.
func (e *Engine) prepareMail(ctx context.Context, m Mail) (message Message, due bool, err error) {
	message = Message{ID: m.ID, Kind: m.Kind, To: m.To, MailFacts: m.Facts}
	now := e.now()
	var asked Event
	err = e.store.Update(ctx, func(tx Tx) error {
		owner, err := mailOwner(ctx, tx, m)
		if errors.Is(err, ErrNotFound) {
			due, err = e.prepareSignupMail(ctx, tx, m, now, &message)
			return err
		}
		if err != nil {
			return err
		}
		message.Name = owner.Name
		switch m.Kind {
		case MailVerify:
			if due, err = e.mayMailLink(ctx, tx, m, now); err != nil {
				return err
			}
			due = due && !owner.Verified()
			message.Token, message.Expires = e.mailToken(m.ID, m.Attempts), now.Add(e.opts.VerifyTTL)
			return freshToken(ctx, tx, owner.ID, message)
		case MailReset:
			due = true
			message.Token, message.Expires = e.mailToken(m.ID, m.Attempts), now.Add(e.opts.ResetTTL)
			if err := freshToken(ctx, tx, owner.ID, message); err != nil {
				return err
			}
			asked, err = recordReset(ctx, tx, m, owner)
			return err
		case MailConfirmAddress:
			due, err = e.fixedToken(ctx, tx, m, now, &message)
			return err
		case MailAddressChanged:
			due = true
			_, err = e.fixedToken(ctx, tx, m, now, &message)
			return err
		}
		due = true
		return nil
	})
	if err != nil {
		return Message{}, false, fmt.Errorf("prepare mail: %w", err)
	}
	if asked.Kind != "" {
		e.announce(asked)
	}
	return message, due, nil
}

// mailOwner is whom a mail is for: for mails that anybody can ask for, whoever
// owns the address now. A disabled account gets none.
func mailOwner(ctx context.Context, tx Tx, m Mail) (User, error) {
	var owner User
	var err error
	if m.UserID == "" || m.Kind == MailVerify || m.Kind == MailReset {
		owner, err = tx.UserByEmail(ctx, m.To)
		if err == nil && m.UserID != "" && owner.ID != m.UserID {
			return User{}, ErrNotFound // the address has another owner since
		}
	} else {
		owner, err = tx.User(ctx, m.UserID)
	}
	if err == nil && owner.Disabled() {
		return User{}, ErrNotFound
	}
	return owner, err
}

// freshToken replaces the user's token of that kind by one for this attempt. A
// link that belongs to a waiting sign-up replaces none: each of them works. What was asked for by anybody is made only now, so that asking costs the same
// whether or not there is an account.
func freshToken(ctx context.Context, tx Tx, owner UserID, message Message) error {
	if message.SignupID == "" {
		if err := tx.DeleteMailTokens(ctx, owner, message.Kind); err != nil {
			return err
		}
	}
	return tx.InsertMailToken(ctx, MailToken{
		Hash:      hashMailToken(message.Token),
		Kind:      message.Kind,
		UserID:    owner,
		Email:     message.To,
		ExpiresAt: message.Expires,
		SignupID:  message.SignupID,
	})
}

// grantToken makes the token that a mail of a signed-in user carries: in force
// from the transaction that posts the mail, and gone with whatever revokes it.
func (e *Engine) grantToken(ctx context.Context, tx Tx, m Mail, email Address, expires time.Time) error {
	return tx.InsertMailToken(ctx, MailToken{
		Hash:      hashMailToken(e.mailToken(m.ID, 0)),
		Kind:      m.Kind,
		UserID:    m.UserID,
		Email:     email,
		ExpiresAt: expires,
	})
}

// fixedToken adds the token that was granted, and reports whether it still is.
func (e *Engine) fixedToken(ctx context.Context, tx Tx, m Mail, now time.Time, message *Message) (bool, error) {
	token := e.mailToken(m.ID, 0)
	row, err := tx.MailToken(ctx, hashMailToken(token), m.Kind, now)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	message.Token, message.Expires = token, row.ExpiresAt
	return err == nil, err
}

// Mails lists up to limit mails that wait or were given up, the oldest first.
func (e *Engine) Mails(ctx context.Context, limit int) (mails []Mail, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		mails, err = tx.Mails(ctx, limit)
		return err
	})
	return mails, err
}

// RetryMail makes a mail due now, or all of them (""), and says how many.
func (e *Engine) RetryMail(ctx context.Context, id string) (n int, err error) {
	if id != "" && !isID(id) {
		return 0, nil
	}
	now := e.now()
	err = e.store.Update(ctx, func(tx Tx) error {
		n, err = tx.RetryMail(ctx, id, now)
		return err
	})
	e.wakeOutbox()
	return n, err
}

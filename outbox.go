package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// The outbox: a mail is written in the transaction of the change that it tells
// of, and sent afterwards, at least once.
//
// A mail that a stranger can ask for has a budget per address and kind. The worker
// charges it on the first attempt, in the transaction that activates the token, and
// says nothing when it is used up: the response to the stranger stays the same. A
// request for an address without an account costs nothing.
//
// No stranger can keep a reset from the owner. A reset over its budget is sent
// unless an earlier link works for some minutes more. A new link works for these
// minutes only until its mail is sent; then its life begins, and older links end.
// So a mail that fails takes no working link away, and does not count as one.

const (
	outboxPoll  = 2 * time.Second  // how soon mail that another process posted is seen
	sendTimeout = 30 * time.Second // for one conversation with the mail server
	sendLease   = 2 * time.Minute  // how long a mail belongs to the process that sends it
	sendDrain   = 5 * time.Second  // how long a mail that is under way is waited for at the end
	sendAtOnce  = 4

	maxMailError = 500 // bytes of an error that are stored with its mail

	unsentLink = 5 * time.Minute // how long a link works at most before its mail is known to be sent
)

// retries are the waits after each failed attempt, counted from its start: a day
// and a bit in all.
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

// post puts a mail into the outbox. A notice without a link is posted only to a
// proven address and within the account's budget.
func (e *Engine) post(ctx context.Context, tx Tx, m Mail) error {
	if m.Kind != MailPasswordChanged && m.Kind != MailReuseDetected {
		return tx.InsertMail(ctx, m)
	}
	owner, err := tx.User(ctx, m.UserID)
	if errors.Is(err, ErrNotFound) || err == nil && (!owner.Verified() || owner.Email != m.To) {
		return nil
	}
	if err != nil {
		return err
	}
	kind, err := e.noticeKind(ctx, tx, m)
	if err != nil || kind == "" {
		return err
	}
	m.Kind = kind
	return tx.InsertMail(ctx, m)
}

// noticeKind charges a notice and returns the kind that is sent: its own, the
// summary when the budget of the account has just run out, or "" for none. The
// first detected reuse of a day is always sent and costs nothing of that budget.
func (e *Engine) noticeKind(ctx context.Context, tx Tx, m Mail) (MailKind, error) {
	daily := Limit{1, 24 * time.Hour}
	tries := []struct {
		limit   Limit
		purpose limitPurpose
		kind    MailKind
	}{
		{daily, limitReuseNotice, m.Kind},
		{e.opts.Limits.NoticesPerAccount, limitNotices, m.Kind},
		{daily, limitSummaryNotice, MailMoreHappened},
	}
	if m.Kind != MailReuseDetected {
		tries = tries[1:]
	}
	for _, try := range tries {
		wait, err := take(ctx, tx, charges(try.limit.charge(try.purpose, string(m.UserID), m.CreatedAt)))
		if err != nil || wait == 0 {
			return try.kind, err
		}
	}
	return "", nil
}

// mailBudget is one mail of a kind to an address.
func (e *Engine) mailBudget(kind MailKind, to Address, now time.Time) []Charge {
	return charges(e.opts.Limits.MailPerAddress.charge(limitMailPerAddress+limitPurpose(kind), string(to), now))
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
			senders.Go(func() error { e.sendMail(ctx, mail, now); return nil })
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

// sendMail sends a mail that was claimed at now, and stores the result. A mail that
// is being sent when ctx ends gets a little more time, because it would otherwise
// be sent twice.
func (e *Engine) sendMail(ctx context.Context, m Mail, now time.Time) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sendDrain, cancel) })()

	d, err := e.prepareMail(sending, m, now)
	if err == nil && d.due {
		err = e.opts.Mailer.Send(sending, d.message)
		e.count.mail(err)
	}
	finishing := context.WithoutCancel(ctx)
	if err == nil {
		err = e.store.Update(finishing, func(tx Tx) error { return d.sent(finishing, tx, now) })
	} else {
		err = e.postpone(finishing, m, err, now)
	}
	if err != nil {
		e.log.Error("the result of an attempt to send a mail could not be stored: the mail may be sent again",
			slog.String("mail", m.ID), slog.Any("error", err))
	}
}

// postpone stores a failed attempt that began at now.
func (e *Engine) postpone(ctx context.Context, m Mail, why error, now time.Time) error {
	wait, again := retryAfter(m.Attempts)
	next, givenUp := now.Add(wait), time.Time{}
	if !again {
		next, givenUp = now, now
	}
	text := storable(why.Error(), maxMailError)
	err := e.store.Update(ctx, func(tx Tx) error { return tx.PostponeMail(ctx, m.ID, next, text, givenUp) })
	if err != nil {
		return err
	}
	log := e.log.With(slog.String("mail", m.ID), slog.String("kind", string(m.Kind)),
		slog.Int("attempt", m.Attempts), slog.Any("error", why))
	if again {
		log.Warn("a mail could not be sent", slog.String("next_try_in", wait.String()))
	} else {
		log.Error("a mail could not be sent, and is given up: see `watchword mail list`")
	}
	return nil
}

// storable returns at most size bytes of a text, cut between two characters and
// without what PostgreSQL refuses in a text: bytes that are not UTF-8, and NUL.
func storable(text string, size int) string {
	if len(text) > size {
		end := size
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// A delivery is a mail that was claimed.
type delivery struct {
	owner    UserID
	message  Message
	due      bool        // false: it is dropped
	fresh    bool        // message.Token was made for this attempt
	replaced []MailToken // that end when the message was sent
	asked    Event       // EventResetRequested; the zero Event: none
}

// prepareMail makes the message and activates its token, unless the mail is to be
// dropped.
func (e *Engine) prepareMail(ctx context.Context, m Mail, now time.Time) (d delivery, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		d = delivery{message: Message{ID: m.ID, Kind: m.Kind, To: m.To, MailFacts: m.Facts}}
		owner, err := mailOwner(ctx, tx, m)
		if errors.Is(err, ErrNotFound) {
			return e.prepareSignupMail(ctx, tx, m, &d, now)
		}
		if err != nil {
			return err
		}
		d.owner, d.message.Name = owner.ID, owner.Name
		switch m.Kind {
		case MailVerify, MailReset:
			if m.Kind == MailVerify && owner.Verified() {
				return nil
			}
			err = e.freshToken(ctx, tx, m, &d, now)
			if err == nil && d.due && m.Kind == MailReset {
				d.asked, err = recordReset(ctx, tx, m, owner)
			}
			return err
		case MailConfirmAddress, MailAddressChanged:
			d.due, err = e.fixedToken(ctx, tx, m, now, &d.message)
			return err
		case MailSignupExisting:
			d.due, err = e.withinBudget(ctx, tx, m, m.Kind, now)
			return err
		}
		d.due = true
		return nil
	})
	if err != nil {
		return delivery{}, fmt.Errorf("prepare mail: %w", err)
	}
	if d.asked.Kind != "" {
		e.announce(d.asked)
	}
	return d, nil
}

// mailOwner is whom a mail is for: for mails that anybody can ask for, whoever
// owns the address now. A disabled account gets none. The row of an owner who gets
// a new token is locked, so that whatever revokes tokens comes before or after.
func mailOwner(ctx context.Context, tx Tx, m Mail) (User, error) {
	fresh := m.Kind == MailVerify || m.Kind == MailReset
	var owner User
	var err error
	if fresh || m.UserID == "" {
		owner, err = tx.UserByEmail(ctx, m.To)
		if err == nil && m.UserID != "" && owner.ID != m.UserID {
			return User{}, ErrNotFound // the address has another owner since
		}
	} else {
		owner, err = tx.User(ctx, m.UserID)
	}
	if err == nil && fresh {
		owner, err = lockedUser(ctx, tx, owner.ID, m.To)
	}
	if err == nil && owner.Disabled() {
		return User{}, ErrNotFound
	}
	return owner, err
}

// lockedUser locks the account if it still has the address, and reads it.
func lockedUser(ctx context.Context, tx Tx, id UserID, email Address) (User, error) {
	locked, err := tx.LockUser(ctx, id, email)
	if err == nil && !locked {
		err = ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	return tx.User(ctx, id)
}

// withinBudget charges the first attempt at a mail to the budget of its address and
// kind. A forgotten password may be a verification link instead: see prepareSignupMail.
func (e *Engine) withinBudget(ctx context.Context, tx Tx, m Mail, kind MailKind, now time.Time) (bool, error) {
	if m.Attempts > 1 {
		return true, nil
	}
	wait, err := take(ctx, tx, e.mailBudget(kind, m.To, now))
	return err == nil && wait == 0, err
}

// freshToken activates a token for this attempt, or drops the mail. A mail that was
// posted for an account (by an operator, or by an undo) has no budget for resets. A
// link that belongs to a waiting sign-up replaces no other: each of them works.
func (e *Engine) freshToken(ctx context.Context, tx Tx, m Mail, d *delivery, now time.Time) error {
	kind, life := d.message.Kind, e.opts.VerifyTTL
	if kind == MailReset {
		life = e.opts.ResetTTL
	}
	within, err := true, error(nil)
	if kind != MailReset || m.UserID == "" {
		if within, err = e.withinBudget(ctx, tx, m, kind, now); err != nil {
			return err
		}
	}
	works, err := tx.SentTokenWorks(ctx, m.To, kind, sentSince(m, life, now))
	if err != nil {
		return err
	}
	needed := kind == MailReset || d.message.SignupID != ""
	if d.due = linkDue(m.Attempts, within, needed, works); !d.due {
		return nil
	}
	d.fresh = true
	d.message.Token, d.message.Expires = e.mailToken(m.ID, m.Attempts), now.Add(life)
	hash := hashMailToken(d.message.Token)
	if d.message.SignupID == "" {
		if d.replaced, err = tx.MailTokens(ctx, d.owner, kind, now); err != nil {
			return err
		}
		// After RetryMail, an attempt has the token of an earlier one.
		d.replaced = slices.DeleteFunc(d.replaced, func(t MailToken) bool { return t.Hash == hash })
	}
	return tx.InsertMailToken(ctx, MailToken{
		Hash:      hash,
		Kind:      kind,
		UserID:    d.owner,
		Email:     m.To,
		ExpiresAt: now.Add(unsentLife(life)),
		SignupID:  d.message.SignupID,
	})
}

// unsentLife is how long a link works before its mail is known to be sent.
func unsentLife(life time.Duration) time.Duration { return min(unsentLink, life/3) }

// sentSince is what the expiry of a token exceeds if its link is a substitute for a
// mail: the link was sent and works for some minutes more. For a retry the link has
// to be newer than the request.
func sentSince(m Mail, life time.Duration, now time.Time) time.Time {
	since := now.Add(unsentLife(life))
	if m.Attempts > 1 {
		since = later(since, m.CreatedAt.Add(life))
	}
	return since
}

// linkDue decides whether a mail with a new link is sent. works: there is a
// substitute for it (sentSince). needed: the owner must not be left without one.
//
// Retries pile up while the mail server is away, and then one new link is enough.
func linkDue(attempts int, within, needed, works bool) bool {
	if attempts == 1 && within {
		return true
	}
	return (attempts > 1 || needed) && !works
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sent removes a mail that was sent or dropped. A new link gets its full life, unless
// it was revoked meanwhile, and replaces the links that were there before it.
func (d delivery) sent(ctx context.Context, tx Tx, now time.Time) error {
	if err := tx.DeleteMail(ctx, d.message.ID); err != nil || !d.fresh {
		return err
	}
	if _, err := tx.ExtendMailToken(ctx, hashMailToken(d.message.Token), d.message.Expires); err != nil {
		return err
	}
	for _, old := range d.replaced {
		if _, err := tx.TakeMailToken(ctx, old.Hash, old.Kind, now); err != nil {
			return err
		}
	}
	return nil
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
func (o Operator) Mails(ctx context.Context, limit int) (mails []Mail, err error) {
	err = o.engine.store.View(ctx, func(tx Tx) error {
		mails, err = tx.Mails(ctx, limit)
		return err
	})
	return mails, err
}

// RetryMail makes a mail due now, or all of them (""), and says how many.
func (o Operator) RetryMail(ctx context.Context, id string) (n int, err error) {
	if id != "" && !isID(id) {
		return 0, nil
	}
	now := o.engine.now()
	err = o.engine.store.Update(ctx, func(tx Tx) error {
		n, err = tx.RetryMail(ctx, id, now)
		return err
	})
	o.engine.wakeOutbox()
	return n, err
}

package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/watchword-auth/watchword/internal/mailretry"
	"github.com/watchword-auth/watchword/internal/storable"
)

// The outbox contains the mails to send. A mail is inserted in the transaction of the change that it reports, and
// sent at least once after the commit.
//
// A mail that a stranger can request has a budget per address and kind (Limits.MailPerAddress). The worker charges
// the budget on the first attempt, in the transaction that activates the token. If the budget is used up, it drops
// the mail silently, because the response to the stranger must stay the same. A request for an address without an
// account is not charged.
//
// A stranger can't prevent the owner's reset. Even if the budget is used up, a reset is dropped only while an earlier
// link remains valid for some minutes. A new link is first valid for only a few minutes. After its mail is sent, it
// gets its full lifetime, and older links are revoked. A mail that can't be sent therefore revokes no link.

const (
	outboxPoll  = 2 * time.Second  // how soon a process sees mail that another process posted
	sendTimeout = 30 * time.Second // for one delivery to the mail server
	sendLease   = 2 * time.Minute  // how long a claimed mail belongs to the process that sends it
	sendDrain   = 5 * time.Second  // how long a shutdown waits for a mail that is being sent
	sendAtOnce  = 4                // mails that a process sends concurrently

	maxMailError = 500 // bytes of an error that are stored with its mail
)

// mailTo returns a mail to a user about an event.
func mailTo(kind MailKind, u User, ev Event) Mail {
	facts := MailFacts{At: ev.At, Device: ev.Device, Address: ev.Address}
	return Mail{ID: newID(), Kind: kind, To: u.Email, UserID: u.ID, Facts: facts,
		Cause: MailCause{Operator: ev.Operator}, CreatedAt: ev.At, NextAt: ev.At}
}

// post inserts a mail into the outbox. It drops a notice of boundNotices if the address is not proven or the budget
// of the account is used up.
func (e *Engine) post(ctx context.Context, tx Tx, m Mail) error {
	if !slices.Contains(boundNotices, m.Kind) {
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

// noticeKind charges a notice to the budget of the account. It returns the kind to send: m.Kind, a summary (at most
// daily) if the budget is used up, or "" to drop the notice. The first notice of a reuse in a day is not charged.
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

// mailBudget returns the charge for one mail of this kind to this address (Limits.MailPerAddress).
func (e *Engine) mailBudget(kind MailKind, to Address, now time.Time) []Charge {
	return charges(e.opts.Limits.MailPerAddress.charge(limitMailPerAddress+limitPurpose(kind), string(to), now))
}

// runOutbox sends due mails until ctx ends.
func (e *Engine) runOutbox(ctx context.Context) {
	var senders errgroup.Group
	senders.SetLimit(sendAtOnce)
	defer senders.Wait() //nolint:errcheck // always nil, because the senders return no error
	e.mailPosted.Loop(ctx, outboxPoll, func(ctx context.Context) (bool, error) {
		now := e.now()
		var mail Mail
		err := e.store.Update(ctx, func(tx Tx) (err error) {
			mail, err = tx.ClaimMail(ctx, now, now.Add(sendLease))
			return err
		})
		if err == nil {
			senders.Go(func() error { e.sendMail(ctx, mail, now); return nil })
		} else if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}, func(err error) { e.log.Error("can't read the outbox", slog.Any("error", err)) })
}

// sendMail sends a mail that was claimed at the time now, and stores the result. If ctx ends during the delivery,
// sendMail continues for up to sendDrain. Otherwise a delivered mail could lack its result and be sent again.
func (e *Engine) sendMail(ctx context.Context, m Mail, now time.Time) {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sendDrain, cancel) })()

	d, err := e.prepareMail(sending, m, now)
	if err == nil && d.due {
		err = e.opts.Mailer.Send(sending, d.message)
		e.count.mails.Add(err == nil)
	}
	finishing := context.WithoutCancel(ctx)
	if err == nil {
		err = e.store.Update(finishing, func(tx Tx) error { return d.sent(finishing, tx, now) })
	} else {
		err = e.postpone(finishing, m, err, now)
	}
	if err != nil {
		e.log.Error("can't store the result of sending a mail: the mail may be sent again",
			slog.String("mail", m.ID), slog.Any("error", err))
	}
}

// postpone stores a failed attempt to send m, and when to try again. The attempt began at the time now.
func (e *Engine) postpone(ctx context.Context, m Mail, why error, now time.Time) error {
	wait, again := mailretry.After(m.Attempts)
	next, givenUp := now.Add(wait), time.Time{}
	if !again {
		next, givenUp = now, now
	}
	text := storable.Text(why.Error(), maxMailError)
	err := e.store.Update(ctx, func(tx Tx) error { return tx.PostponeMail(ctx, m.ID, next, text, givenUp) })
	if err != nil {
		return err
	}
	log := e.log.With(slog.String("mail", m.ID), slog.String("kind", string(m.Kind)),
		slog.Int("attempt", m.Attempts), slog.Any("error", why))
	if again {
		log.Warn("can't send a mail", slog.String("next_try_in", wait.String()))
	} else {
		log.Error("can't send a mail, no more retries: see `watchword mail list`")
	}
	return nil
}

// A delivery is a claimed mail that is being sent.
type delivery struct {
	owner    UserID
	message  Message
	signup   string      // the waiting sign-up that the mail belongs to, or empty
	due      bool        // false: the mail is dropped
	fresh    bool        // message.Token was created for this attempt
	replaced []MailToken // earlier tokens, which are revoked after the mail is sent
	asked    Event       // eventResetRequested, or the zero Event
}

// prepareMail creates the message and activates its token. It sets due to false if the mail must be dropped.
func (e *Engine) prepareMail(ctx context.Context, m Mail, now time.Time) (d delivery, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		d = delivery{message: Message{ID: m.ID, Kind: m.Kind, To: m.To, MailFacts: m.Facts}, signup: m.Cause.SignupID}
		owner, err := mailOwner(ctx, tx, m)
		if errors.Is(err, ErrNotFound) {
			return e.prepareSignupMail(ctx, tx, m, &d, now)
		}
		if err != nil {
			return err
		}
		d.owner, d.message.Name, d.message.Locale = owner.ID, owner.Name, owner.Locale
		switch m.Kind {
		case MailVerify, MailReset, MailInvite:
			if m.Kind == MailVerify && owner.Verified() || m.Kind == MailInvite && !isInvited(owner) {
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

// mailOwner returns the account that gets a mail, or ErrNotFound. Disabled accounts get no mail. For a mail with a
// new token per attempt, mailOwner looks up the current owner of the address. It locks this account, so that no
// concurrent transaction revokes the new token.
func mailOwner(ctx context.Context, tx Tx, m Mail) (User, error) {
	fresh := m.Kind == MailVerify || m.Kind == MailReset || m.Kind == MailInvite
	var owner User
	var err error
	if fresh || m.UserID == "" {
		owner, err = tx.UserByEmail(ctx, m.To)
		if err == nil && m.UserID != "" && owner.ID != m.UserID {
			return User{}, ErrNotFound // the address now has another owner
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

// hold locks the account with an id and then reads it, because every value may have changed before the lock. Codes:
// CodeNotFound, CodeTryLater (the address changed before the lock).
func hold(ctx context.Context, tx Tx, id UserID) (User, error) {
	user, err := tx.User(ctx, id)
	if err != nil {
		return User{}, orNotFound(err)
	}
	user, err = lockedUser(ctx, tx, id, user.Email)
	if errors.Is(err, ErrNotFound) {
		err = accountChanged()
	}
	return user, err
}

// withinBudget charges the first attempt to the budget of the address and kind. The kind
// can differ from m.Kind: prepareSignupMail turns a reset into a verification link.
func (e *Engine) withinBudget(ctx context.Context, tx Tx, m Mail, kind MailKind, now time.Time) (bool, error) {
	if m.Attempts > 1 {
		return true, nil
	}
	wait, err := take(ctx, tx, e.mailBudget(kind, m.To, now))
	return err == nil && wait == 0, err
}

// freshToken activates a token for this attempt, or drops the mail. Invitations, and resets by operators or undo
// links, do not count towards the budget. A link for a waiting sign-up replaces no other link.
func (e *Engine) freshToken(ctx context.Context, tx Tx, m Mail, d *delivery, now time.Time) error {
	kind, within, err := d.message.Kind, true, error(nil)
	life := map[MailKind]time.Duration{
		MailReset: e.opts.ResetTTL, MailVerify: e.opts.VerifyTTL, MailInvite: inviteLife}[kind]
	if kind == MailVerify || m.UserID == "" {
		if within, err = e.withinBudget(ctx, tx, m, kind, now); err != nil {
			return err
		}
	}
	works, err := tx.SentTokenWorks(ctx, m.To, kind, mailretry.SentSince(m.Attempts, m.CreatedAt, life, now))
	if err != nil {
		return err
	}
	needed := kind != MailVerify || d.signup != ""
	if d.due = mailretry.LinkDue(m.Attempts, within, needed, works); !d.due {
		return nil
	}
	d.fresh = true
	d.message.Token, d.message.Expires = e.mailToken(m.ID, m.Attempts), now.Add(life)
	hash := hashMailToken(d.message.Token)
	if d.signup == "" {
		if d.replaced, err = tx.MailTokens(ctx, d.owner, kind, now); err != nil {
			return err
		}
		// RetryMail resets the count of attempts, so the new token can equal an earlier one, which must stay valid.
		d.replaced = slices.DeleteFunc(d.replaced, func(t MailToken) bool { return t.Hash == hash })
	}
	return tx.InsertMailToken(ctx, MailToken{Hash: hash, Kind: kind, UserID: d.owner, Email: m.To,
		ExpiresAt: now.Add(mailretry.UnsentLife(life)), SignupID: d.signup})
}

// sent deletes a mail that was sent or dropped. It gives a new link its full lifetime, unless the link was revoked
// meanwhile, and revokes the earlier links (replaced). It locks the account first, as other flows do.
func (d delivery) sent(ctx context.Context, tx Tx, now time.Time) error {
	if d.fresh && d.owner != "" {
		if _, err := tx.LockUser(ctx, d.owner, d.message.To); err != nil {
			return err
		}
	}
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

// grantToken stores the token of a mail in the transaction that posts the mail. The
// token is valid from that commit until it expires or is revoked.
func (e *Engine) grantToken(ctx context.Context, tx Tx, m Mail, email Address, expires time.Time) error {
	hash := hashMailToken(e.mailToken(m.ID, 0))
	return tx.InsertMailToken(ctx, MailToken{Hash: hash, Kind: m.Kind, UserID: m.UserID, Email: email, ExpiresAt: expires})
}

// fixedToken adds the granted token to the message. It reports false if the token has expired or was revoked.
func (e *Engine) fixedToken(ctx context.Context, tx Tx, m Mail, now time.Time, message *Message) (bool, error) {
	token := e.mailToken(m.ID, 0)
	row, err := tx.MailToken(ctx, hashMailToken(token), m.Kind, now)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	message.Token, message.Expires = token, row.ExpiresAt
	return err == nil, err
}

// Mails lists up to limit waiting and abandoned mails, the oldest first.
//
// Unstable: for the program watchword.
func (o Operator) Mails(ctx context.Context, limit int) ([]Mail, error) {
	return view(ctx, o.engine.store, func(tx Tx) ([]Mail, error) { return tx.Mails(ctx, limit) })
}

// RetryMail reschedules one mail (id) or all ("") for now, including abandoned ones. It returns their number.
//
// Unstable: for the program watchword.
func (o Operator) RetryMail(ctx context.Context, id string) (n int, err error) {
	if id != "" && !storable.ID(id) {
		return 0, nil
	}
	err = o.operate(ctx, eventMailRetried, "", func(tx Tx, ev *Event) error {
		n, err = tx.RetryMail(ctx, id, ev.At)
		if ev.Detail = fmt.Sprintf("mails: %d", n); err == nil && n == 0 {
			err = ErrNotFound // rolls back, so no event is stored
		}
		return err
	})
	if CodeOf(err) == CodeNotFound {
		err = nil
	}
	return n, err
}

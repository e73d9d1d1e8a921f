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
// the budget on the first attempt, in the transaction that activates the token. Above the budget, it drops the mail
// silently, because the response must stay the same. A request for an address without an account is not charged.
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

func newMail(kind MailKind, u User, ev Event) Mail {
	facts := MailFacts{At: ev.At, Device: ev.Device, Address: ev.Address}
	return Mail{ID: newID(), Kind: kind, To: u.Email, UserID: u.ID, Facts: facts,
		Cause: MailCause{Operator: ev.Operator}, CreatedAt: ev.At, NextAt: ev.At}
}

// queueMail inserts a mail into the outbox. It drops one of budgetedNotices if the address is not proven, or if the
// budget of the account is used up.
func (e *Engine) queueMail(ctx context.Context, tx Tx, m Mail) error {
	if !slices.Contains(budgetedNotices, m.Kind) {
		return tx.InsertMail(ctx, m)
	}
	owner, err := tx.User(ctx, m.UserID)
	if errors.Is(err, ErrNotFound) || err == nil && (!owner.Verified() || owner.Email != m.To) {
		return nil
	}
	if err != nil {
		return err
	}
	kind, err := e.chargeNotice(ctx, tx, m)
	if err != nil || kind == "" {
		return err
	}
	m.Kind = kind
	return tx.InsertMail(ctx, m)
}

// chargeNotice charges the budget of the account. It returns the kind to send: m.Kind, a summary (at most daily) if
// the budget is used up, or "" to drop the notice. The first notice of a reuse in a day is not charged.
func (e *Engine) chargeNotice(ctx context.Context, tx Tx, m Mail) (MailKind, error) {
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
		wait, err := takeCharges(ctx, tx, limitedCharges(try.limit.newCharge(try.purpose, string(m.UserID), m.CreatedAt)))
		if err != nil || wait == 0 {
			return try.kind, err
		}
	}
	return "", nil
}

func (e *Engine) mailCharges(kind MailKind, to Address, now time.Time) []Charge {
	return limitedCharges(e.opts.Limits.MailPerAddress.newCharge(limitMailPerAddress+limitPurpose(kind), string(to), now))
}

func (e *Engine) runOutbox(ctx context.Context) {
	var senders errgroup.Group
	senders.SetLimit(sendAtOnce)
	defer senders.Wait() //nolint:errcheck // always nil, because the senders return no error
	e.mailPosted.Loop(ctx, outboxPoll, func(ctx context.Context) (bool, error) {
		now := e.now()
		mail, err := updateStore(ctx, e.store, func(tx Tx) (Mail, error) {
			return tx.ClaimMail(ctx, now, now.Add(sendLease))
		})
		if err == nil {
			senders.Go(func() error { e.sendMail(ctx, mail, now); return nil })
		} else if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}, func(err error) { e.log.Error("can't read the outbox", slog.Any("error", err)) })
}

// sendMail sends a mail and stores the result. It continues for up to sendDrain after ctx ends. Otherwise, the result
// of a delivered mail could be lost, and the mail would be sent again.
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
		err = e.store.Update(finishing, func(tx Tx) error { return d.storeSent(finishing, tx, now) })
	} else {
		err = e.storeFailedAttempt(finishing, m, err, now)
	}
	if err != nil {
		e.log.Error("can't store the result of sending a mail: the mail may be sent again",
			slog.String("mail", m.ID), slog.Any("error", err))
	}
}

func (e *Engine) storeFailedAttempt(ctx context.Context, m Mail, why error, now time.Time) error {
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
	owner          UserID
	message        Message
	signupID       string // of a waiting sign-up, or empty
	due            bool   // false: the mail is dropped
	hasNewToken    bool
	replacedTokens []MailToken // revoked after the mail is sent
	resetEvent     Event       // zero: no reset was requested
}

// prepareMail creates the message and activates its token. It sets due to false if the mail must be dropped.
func (e *Engine) prepareMail(ctx context.Context, m Mail, now time.Time) (d delivery, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		d = delivery{message: Message{ID: m.ID, Kind: m.Kind, To: m.To, MailFacts: m.Facts}, signupID: m.Cause.SignupID}
		owner, err := findMailOwner(ctx, tx, m)
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
			err = e.activateToken(ctx, tx, m, &d, now)
			if err == nil && d.due && m.Kind == MailReset {
				d.resetEvent, err = recordResetRequest(ctx, tx, m, owner)
			}
			return err
		case MailConfirmAddress, MailAddressChanged:
			d.due, err = e.addGrantedToken(ctx, tx, m, now, &d.message)
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
	if d.resetEvent.Kind != "" {
		e.announce(d.resetEvent)
	}
	return d, nil
}

// findMailOwner returns the account to which a mail belongs. It returns ErrNotFound if there is no such account, or
// if the account is disabled. For a mail with a new token per attempt, it locks the account, so that no concurrent
// transaction revokes the token.
func findMailOwner(ctx context.Context, tx Tx, m Mail) (User, error) {
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
		owner, err = lockAndReadUser(ctx, tx, owner.ID, m.To)
	}
	if err == nil && owner.Disabled() {
		return User{}, ErrNotFound
	}
	return owner, err
}

// lockAndReadUser locks an account and reads it. It returns ErrNotFound if the account no longer has the address.
func lockAndReadUser(ctx context.Context, tx Tx, id UserID, email Address) (User, error) {
	locked, err := tx.LockUser(ctx, id, email)
	if err == nil && !locked {
		err = ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	return tx.User(ctx, id)
}

// lockUserByID locks an account by its id and reads it. Codes: CodeNotFound, CodeTryLater (address just changed).
func lockUserByID(ctx context.Context, tx Tx, id UserID) (User, error) {
	user, err := tx.User(ctx, id)
	if err != nil {
		return User{}, orNotFound(err)
	}
	user, err = lockAndReadUser(ctx, tx, id, user.Email)
	if errors.Is(err, ErrNotFound) {
		err = accountChanged()
	}
	return user, err
}

// withinBudget reports whether the budget of an address allows a mail. Only the first attempt is charged. For a
// waiting sign-up, kind can differ from m.Kind.
func (e *Engine) withinBudget(ctx context.Context, tx Tx, m Mail, kind MailKind, now time.Time) (bool, error) {
	if m.Attempts > 1 {
		return true, nil
	}
	wait, err := takeCharges(ctx, tx, e.mailCharges(kind, m.To, now))
	return err == nil && wait == 0, err
}

// activateToken creates the token of this attempt, or drops the mail. The budget counts neither invitations nor
// resets that an operator or an undo link requests. A link for a waiting sign-up replaces no other link.
func (e *Engine) activateToken(ctx context.Context, tx Tx, m Mail, d *delivery, now time.Time) error {
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
	needed := kind != MailVerify || d.signupID != ""
	if d.due = mailretry.LinkDue(m.Attempts, within, needed, works); !d.due {
		return nil
	}
	d.hasNewToken = true
	d.message.Token, d.message.Expires = e.deriveMailToken(m.ID, m.Attempts), now.Add(life)
	hash := hashMailToken(d.message.Token)
	if d.signupID == "" {
		if d.replacedTokens, err = tx.MailTokens(ctx, d.owner, kind, now); err != nil {
			return err
		}
		// RetryMail resets the count of attempts, so the new token can equal an earlier one, which must stay valid.
		d.replacedTokens = slices.DeleteFunc(d.replacedTokens, func(t MailToken) bool { return t.Hash == hash })
	}
	return tx.InsertMailToken(ctx, MailToken{Hash: hash, Kind: kind, UserID: d.owner, Email: m.To,
		ExpiresAt: now.Add(mailretry.UnsentLife(life)), SignupID: d.signupID})
}

// storeSent deletes a mail that was sent or dropped. It gives a new link its full lifetime, unless the link was
// revoked meanwhile, and revokes the earlier links. It locks the account first, as other flows do.
func (d delivery) storeSent(ctx context.Context, tx Tx, now time.Time) error {
	if d.hasNewToken && d.owner != "" {
		if _, err := tx.LockUser(ctx, d.owner, d.message.To); err != nil {
			return err
		}
	}
	if err := tx.DeleteMail(ctx, d.message.ID); err != nil || !d.hasNewToken {
		return err
	}
	if _, err := tx.ExtendMailToken(ctx, hashMailToken(d.message.Token), d.message.Expires); err != nil {
		return err
	}
	for _, old := range d.replacedTokens {
		if _, err := tx.TakeMailToken(ctx, old.Hash, old.Kind, now); err != nil {
			return err
		}
	}
	return nil
}

// grantToken stores a token that is valid from the commit, before its mail is sent.
func (e *Engine) grantToken(ctx context.Context, tx Tx, m Mail, email Address, expires time.Time) error {
	hash := hashMailToken(e.deriveMailToken(m.ID, 0))
	return tx.InsertMailToken(ctx, MailToken{Hash: hash, Kind: m.Kind, UserID: m.UserID, Email: email, ExpiresAt: expires})
}

// addGrantedToken sets the token of message to the one that grantToken stored. It returns false if this token has
// expired or was revoked.
func (e *Engine) addGrantedToken(ctx context.Context, tx Tx, m Mail, now time.Time, message *Message) (bool, error) {
	token := e.deriveMailToken(m.ID, 0)
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
	return queryStore(ctx, o.engine.store, func(tx Tx) ([]Mail, error) { return tx.Mails(ctx, limit) })
}

// RetryMail reschedules one mail (id) or all ("") for now, including abandoned ones. It returns their number.
//
// Unstable: for the program watchword.
func (o Operator) RetryMail(ctx context.Context, id string) (n int, err error) {
	if id != "" && !storable.ID(id) {
		return 0, nil
	}
	err = o.recordOperation(ctx, eventMailRetried, "", func(tx Tx, ev *Event) error {
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

package watchword

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/ratelimit"
)

// A Limit allows Count uses in the time Per, and refills them evenly (GCRA). A negative Count means unlimited.
type Limit struct {
	Count int
	Per   time.Duration
}

// Limits are the rate limits. The store counts uses, so counts survive a restart and
// apply across all processes. A zero Limit means its default.
type Limits struct {
	// Failed passwords of one account, in all flows. A device is known if it presents a valid Client.DeviceToken.
	FailedPasswords  Limit // from unknown devices of one client network. Default: 10 in 15 minutes
	UnknownDevices   Limit // from all unknown devices together. Default: 50 in 15 minutes
	KnownDevice      Limit // from one known device. Default: FailedPasswords
	KnownDevices     Limit // from all known devices together. Default: 50 in 15 minutes
	Reauthentication Limit // in one session. Default: FailedPasswords

	FailedFactors Limit // per account and kind of factor; known devices count separately. Default: 10 in 15 minutes

	LoginPerClient    Limit // Default: 100 in 15 minutes
	PasskeyPerClient  Limit // passwordless sign-ins; requests for options count separately. Default: 60 in 1 minute
	SignupPerClient   Limit // Default: 20 in 15 minutes
	MailPerClient     Limit // Default: 30 in 15 minutes
	MailPerAddress    Limit // per address and kind of mail; further mails are dropped silently. Default: 3 in 1 hour
	NoticesPerAccount Limit // mails without a link, such as "password changed". Default: 5 in 24 hours
	RefreshPerSession Limit // Default: 60 in 1 minute
	RefreshPerClient  Limit // Default: 1200 in 1 minute
}

// Unlimited returns Limits that refuse no request, for load tests.
func Unlimited() Limits {
	none := Limit{Count: -1}
	return Limits{none, none, none, none, none, none, none, none, none, none, none, none, none, none}
}

func (l Limits) withDefaults() Limits {
	quarter := 15 * time.Minute
	failed := cmp.Or(l.FailedPasswords, Limit{10, quarter})
	return Limits{
		FailedPasswords:   failed,
		UnknownDevices:    cmp.Or(l.UnknownDevices, Limit{50, quarter}),
		KnownDevice:       cmp.Or(l.KnownDevice, failed),
		KnownDevices:      cmp.Or(l.KnownDevices, Limit{50, quarter}),
		Reauthentication:  cmp.Or(l.Reauthentication, failed),
		FailedFactors:     cmp.Or(l.FailedFactors, Limit{10, quarter}),
		LoginPerClient:    cmp.Or(l.LoginPerClient, Limit{100, quarter}),
		PasskeyPerClient:  cmp.Or(l.PasskeyPerClient, Limit{60, time.Minute}),
		SignupPerClient:   cmp.Or(l.SignupPerClient, Limit{20, quarter}),
		MailPerClient:     cmp.Or(l.MailPerClient, Limit{30, quarter}),
		MailPerAddress:    cmp.Or(l.MailPerAddress, Limit{3, time.Hour}),
		NoticesPerAccount: cmp.Or(l.NoticesPerAccount, Limit{5, 24 * time.Hour}),
		RefreshPerSession: cmp.Or(l.RefreshPerSession, Limit{60, time.Minute}),
		RefreshPerClient:  cmp.Or(l.RefreshPerClient, Limit{1200, time.Minute}),
	}
}

// A limitPurpose separates the counters of the limits. The store keeps a hash of it, so
// a changed purpose resets its counters.
type limitPurpose string

const (
	limitUnknownDevices    limitPurpose = "password_unknown" // subject: address
	limitFailedPasswords   limitPurpose = "password_client"  // address and client network
	limitKnownDevices      limitPurpose = "password_known"   // address
	limitKnownDevice       limitPurpose = "password_device"  // device
	limitReauthentication  limitPurpose = "reauth"           // session
	limitFailedFactors     limitPurpose = "factor_"          // user; a suffix names the kinds of proof and device
	limitLoginPerClient    limitPurpose = "login"            // client network
	limitPasskeyPerClient  limitPurpose = "passkey_"         // client network; a suffix names the step
	limitSignupPerClient   limitPurpose = "signup"           // client network
	limitMailPerClient     limitPurpose = "mail_client"      // client network
	limitMailPerAddress    limitPurpose = "mail_address_"    // address; a suffix names the kind of mail
	limitNotices           limitPurpose = "notice"           // user
	limitReuseNotice       limitPurpose = "notice_reuse"     // user
	limitSummaryNotice     limitPurpose = "notice_summary"   // user
	limitRefreshPerSession limitPurpose = "refresh"          // session
	limitRefreshPerClient  limitPurpose = "refresh_client"   // client network
	limitServiceKey        limitPurpose = "service_key"      // service key
	limitRestoreDetected   limitPurpose = "restore_detected" // no subject: one counter per store
)

// onKnownDevice is the suffix of the purpose of wrong factors on known devices.
const onKnownDevice limitPurpose = "_known"

// factorKinds are the kinds of proofs of package factors. Each has separate counters.
var factorKinds = []limitPurpose{"totp", amr.Recovery, "passkey"}

// charge returns the Charge for one use of the limit by a subject, such as an address. It is zero if l is unlimited.
func (l Limit) charge(purpose limitPurpose, subject string, at time.Time) Charge {
	if l.Count < 0 {
		return Charge{}
	}
	key, cost := ratelimit.Key(string(purpose), subject), l.Per/time.Duration(l.Count)
	return Charge{Key: key, Cost: cost, Span: l.Per, At: at}
}

// ofAccount returns a charge for each counter of an account: its own, and those of its sessions and known networks.
func (l Limits) ofAccount(u User, events []Event, sessions []Session, at time.Time) []Charge {
	all := []Charge{
		l.UnknownDevices.charge(limitUnknownDevices, string(u.Email), at),
		l.KnownDevices.charge(limitKnownDevices, string(u.Email), at),
		l.NoticesPerAccount.charge(limitNotices, string(u.ID), at),
	}
	for _, kind := range append(mailedTokens[:len(mailedTokens):len(mailedTokens)], MailSignupExisting) {
		all = append(all, l.MailPerAddress.charge(limitMailPerAddress+limitPurpose(kind), string(u.Email), at))
	}
	for _, kind := range factorKinds {
		all = append(all, l.FailedFactors.charge(limitFailedFactors+kind, string(u.ID), at),
			l.FailedFactors.charge(limitFailedFactors+kind+onKnownDevice, string(u.ID), at))
	}
	for _, ev := range events {
		address, _ := netip.ParseAddr(ev.Address)
		all = append(all, l.FailedPasswords.charge(limitFailedPasswords, string(u.Email)+" "+clientip.Key(address), at))
	}
	for _, s := range sessions {
		all = append(all, l.Reauthentication.charge(limitReauthentication, string(s.ID), at),
			l.RefreshPerSession.charge(limitRefreshPerSession, string(s.ID), at))
	}
	return all
}

// charges returns all charges except the zero ones, which are those of unlimited limits.
func charges(all ...Charge) []Charge {
	return slices.DeleteFunc(all, func(c Charge) bool { return c == Charge{} })
}

// take counts charges in order. If the store refuses one, take refunds the earlier ones and returns how long to wait.
func take(ctx context.Context, tx Tx, charges []Charge) (wait time.Duration, err error) {
	for i, c := range charges {
		if wait, err = tx.Charge(ctx, c); err != nil {
			return 0, err
		}
		if wait > 0 {
			return wait, refund(ctx, tx, charges[:i]...)
		}
	}
	return 0, nil
}

// refund subtracts the charges from their counters. It skips zero charges.
func refund(ctx context.Context, tx Tx, charges ...Charge) error {
	for _, c := range charges {
		if c == (Charge{}) {
			continue
		}
		if err := tx.Refund(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// refund refunds charges in a separate transaction.
func (e *Engine) refund(ctx context.Context, charges ...Charge) error {
	return e.store.Update(ctx, func(tx Tx) error { return refund(ctx, tx, charges...) })
}

// unchecked returns err. It refunds the charges only if the pool was too busy to check the password. Otherwise a
// client could guess without limit, by canceling requests that are slow because the password is wrong.
func (e *Engine) unchecked(ctx context.Context, err error, charges ...Charge) error {
	if CodeOf(err) == CodeTryLater {
		err = errors.Join(err, e.refund(ctx, charges...))
	}
	return err
}

func limited(wait time.Duration) *Error {
	detail := "Too many attempts. Try again in " + ratelimit.InWords(wait) + "."
	return &Error{Code: CodeRateLimited, Detail: detail, RetryAfter: wait}
}

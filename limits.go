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

// A limitPurpose separates counters. The store keeps a hash of it, so a changed purpose resets its counters.
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

const knownDeviceSuffix limitPurpose = "_known"

// factorKinds are the kinds of proofs of package factors.
var factorKinds = []limitPurpose{"totp", amr.Recovery, "passkey"}

// newCharge returns a Charge for one use by a subject, such as an address. The Charge is zero if l is unlimited.
func (l Limit) newCharge(purpose limitPurpose, subject string, at time.Time) Charge {
	if l.Count < 0 {
		return Charge{}
	}
	key, cost := ratelimit.Key(string(purpose), subject), l.Per/time.Duration(l.Count)
	return Charge{Key: key, Cost: cost, Span: l.Per, At: at}
}

// accountCharges returns a charge for each counter of an account, of its sessions and of its known networks.
func (l Limits) accountCharges(u User, events []Event, sessions []Session, at time.Time) []Charge {
	all := []Charge{
		l.UnknownDevices.newCharge(limitUnknownDevices, string(u.Email), at),
		l.KnownDevices.newCharge(limitKnownDevices, string(u.Email), at),
		l.NoticesPerAccount.newCharge(limitNotices, string(u.ID), at),
	}
	for _, kind := range append(mailsWithToken[:len(mailsWithToken):len(mailsWithToken)], MailSignupExisting) {
		all = append(all, l.MailPerAddress.newCharge(limitMailPerAddress+limitPurpose(kind), string(u.Email), at))
	}
	for _, kind := range factorKinds {
		all = append(all, l.FailedFactors.newCharge(limitFailedFactors+kind, string(u.ID), at),
			l.FailedFactors.newCharge(limitFailedFactors+kind+knownDeviceSuffix, string(u.ID), at))
	}
	for _, ev := range events {
		address, _ := netip.ParseAddr(ev.Address)
		all = append(all, l.FailedPasswords.newCharge(limitFailedPasswords, string(u.Email)+" "+clientip.Key(address), at))
	}
	for _, s := range sessions {
		all = append(all, l.Reauthentication.newCharge(limitReauthentication, string(s.ID), at),
			l.RefreshPerSession.newCharge(limitRefreshPerSession, string(s.ID), at))
	}
	return all
}

// limitedCharges returns the charges without zero charges, which belong to unlimited limits.
func limitedCharges(all ...Charge) []Charge {
	return slices.DeleteFunc(all, func(c Charge) bool { return c == Charge{} })
}

// takeCharges charges the limits in tx. If the store refuses a charge, takeCharges refunds the earlier charges and
// returns how long to wait.
func takeCharges(ctx context.Context, tx Tx, charges []Charge) (wait time.Duration, err error) {
	for i, c := range charges {
		if wait, err = tx.Charge(ctx, c); err != nil {
			return 0, err
		}
		if wait > 0 {
			return wait, refundCharges(ctx, tx, charges[:i]...)
		}
	}
	return 0, nil
}

// refundCharges gives charges back. It skips zero charges.
func refundCharges(ctx context.Context, tx Tx, charges ...Charge) error {
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

func (e *Engine) refundInOwnTx(ctx context.Context, charges ...Charge) error {
	return e.store.Update(ctx, func(tx Tx) error { return refundCharges(ctx, tx, charges...) })
}

// refundIfUnchecked refunds the charges only if the pool was too busy to check the password. It does not refund a
// canceled request. Otherwise a client could guess without limit: it would cancel each slow request, because a wrong
// password takes longer.
func (e *Engine) refundIfUnchecked(ctx context.Context, err error, charges ...Charge) error {
	if CodeOf(err) == CodeTryLater {
		err = errors.Join(err, e.refundInOwnTx(ctx, charges...))
	}
	return err
}

func rateLimited(wait time.Duration) *Error {
	detail := "Too many attempts. Try again in " + ratelimit.InWords(wait) + "."
	return &Error{Code: CodeRateLimited, Detail: detail, RetryAfter: wait}
}

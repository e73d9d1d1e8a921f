package watchword

import (
	"cmp"
	"context"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
)

// An attempt checks the password of an account, in this order:
//
//  1. The attempt counts against the client's own rate limit. If this limit is used up, the attempt ends and adds no
//     row, so one client can't use up the limits of others.
//  2. The account is read. The device is known if it presents the token of an earlier sign-in to this account with
//     this password. An address without an account runs the same statements, so the response time does not reveal
//     accounts.
//  3. The attempt counts against the limit of all known or all unknown devices, then against the device's own limit. An
//     unknown device shares the limit of its client network. Strangers can use up the limits of unknown devices, but
//     never those of a known device.
//
// All counters are stored before the password is checked, so each of several concurrent guesses counts. If the
// password is right, or the hash pool is too busy to check it, the counters of step 3 are set back.

type passwordAttempt struct {
	at             time.Time
	client         Client
	user           User // the zero User, without a password, if there is no account
	waitingSignups []Signup
	device         knowndevice.ID // the zero ID: the device is not known
	failureCharges []Charge       // refunded unless the password is wrong
	eventReason    string         // reason in the event; empty: the code of the refusal
}

// beginAttempt charges the rate limits before the password is checked. Codes: CodeRateLimited.
func (e *Engine) beginAttempt(ctx context.Context, email Address, c Client, now time.Time) (passwordAttempt, error) {
	var a passwordAttempt
	var wait time.Duration
	own := limitedCharges(e.opts.Limits.LoginPerClient.newCharge(limitLoginPerClient, c.networkKey(), now))
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		a = passwordAttempt{at: now, client: c}
		if wait, err = takeCharges(ctx, tx, own); err != nil || wait > 0 {
			return err
		}
		if a.user, a.waitingSignups, err = e.findOwners(ctx, tx, email, now); err != nil {
			return err
		}
		a.device = e.identifyDevice(a.user, c.DeviceToken)
		a.failureCharges = e.opts.Limits.failureCharges(email, a.device, c, now)
		wait, err = takeCharges(ctx, tx, a.failureCharges)
		return err
	})
	if err == nil && wait > 0 {
		err = rateLimited(wait)
	}
	return a, err
}

func (l Limits) failureCharges(email Address, device knowndevice.ID, c Client, now time.Time) []Charge {
	if device == (knowndevice.ID{}) {
		return limitedCharges(l.UnknownDevices.newCharge(limitUnknownDevices, string(email), now),
			l.FailedPasswords.newCharge(limitFailedPasswords, string(email)+" "+c.networkKey(), now))
	}
	return limitedCharges(l.KnownDevices.newCharge(limitKnownDevices, string(email), now),
		l.KnownDevice.newCharge(limitKnownDevice, device.String(), now))
}

// recordFailedLogin stores the event of a failed sign-in, and returns the refusal. It refunds a.failureCharges, which
// is empty after a wrong password.
func (e *Engine) recordFailedLogin(ctx context.Context, a passwordAttempt, refusal *Error) error {
	why := cmp.Or(a.eventReason, string(refusal.Code))
	event := e.newEvent(EventLoginFailed, a.client, a.at).ofUser(a.user.ID).withDetail(why).withSharedID(a.client)
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := refundCharges(ctx, tx, a.failureCharges...); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return err
	}
	e.announce(event)
	return refusal
}

// identifyDevice returns the zero ID if the token does not belong to this account and its current password.
func (e *Engine) identifyDevice(u User, presented Secret) knowndevice.ID {
	device, _ := knowndevice.Parse(string(presented), e.keys.macSecret(KeyDevice), string(u.ID), string(u.PasswordHash))
	return device
}

// signDeviceToken signs the token of a device, or of a new device if device is the zero ID. The token is bound to the
// password hash of u, so u must have the hash that the sign-in stores.
func (e *Engine) signDeviceToken(device knowndevice.ID, u User) Secret {
	if device == (knowndevice.ID{}) {
		device = knowndevice.NewID()
	}
	return Secret(device.Sign(e.keys.macSecret(KeyDevice), string(u.ID), string(u.PasswordHash)))
}

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

// An attempt is one check of a password.
type attempt struct {
	at      time.Time
	client  Client
	user    User     // the zero User, without a password, if there is no account
	waiting []Signup // sign-ups that wait until the address is proven

	device  knowndevice.ID // the zero ID: the device is not known
	failure []Charge       // refunded unless the password is wrong
	why     string         // reason in the event; empty: the code of the refusal
}

// attempt charges the rate limits for one check of a password, before the check. Codes: CodeRateLimited.
func (e *Engine) attempt(ctx context.Context, email Address, c Client, now time.Time) (attempt, error) {
	var a attempt
	var wait time.Duration
	own := charges(e.opts.Limits.LoginPerClient.charge(limitLoginPerClient, c.key(), now))
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		a = attempt{at: now, client: c}
		if wait, err = take(ctx, tx, own); err != nil || wait > 0 {
			return err
		}
		if a.user, a.waiting, err = e.ownersOf(ctx, tx, email, now); err != nil {
			return err
		}
		a.device = e.knownDevice(a.user, c.DeviceToken)
		a.failure = e.opts.Limits.failure(email, a.device, c, now)
		wait, err = take(ctx, tx, a.failure)
		return err
	})
	if err == nil && wait > 0 {
		err = limited(wait)
	}
	return a, err
}

// failure returns one Charge for each rate limit that a wrong password counts against.
func (l Limits) failure(email Address, device knowndevice.ID, c Client, now time.Time) []Charge {
	if device == (knowndevice.ID{}) {
		return charges(l.UnknownDevices.charge(limitUnknownDevices, string(email), now),
			l.FailedPasswords.charge(limitFailedPasswords, string(email)+" "+c.key(), now))
	}
	return charges(l.KnownDevices.charge(limitKnownDevices, string(email), now),
		l.KnownDevice.charge(limitKnownDevice, device.String(), now))
}

// loginFailed stores the event of a failed sign-in and returns the refusal. It refunds a.failure, which is empty
// after a wrong password.
func (e *Engine) loginFailed(ctx context.Context, a attempt, refusal *Error) error {
	why := cmp.Or(a.why, string(refusal.Code))
	event := e.event(EventLoginFailed, a.client, a.at).of(a.user.ID).because(why).counted(a.client)
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := refund(ctx, tx, a.failure...); err != nil {
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

// knownDevice returns the device whose token was presented, if the token belongs to this
// account and its current password; else the zero ID.
func (e *Engine) knownDevice(u User, presented Secret) knowndevice.ID {
	device, _ := knowndevice.Parse(string(presented), e.keys.secret(KeyDevice), string(u.ID), string(u.PasswordHash))
	return device
}

// deviceToken returns the token of a known device, or of a new device if device is the zero ID. The token is bound to
// the password hash of u, so u must have the hash that the sign-in stores.
func (e *Engine) deviceToken(device knowndevice.ID, u User) Secret {
	if device == (knowndevice.ID{}) {
		device = knowndevice.NewID()
	}
	return Secret(device.Sign(e.keys.secret(KeyDevice), string(u.ID), string(u.PasswordHash)))
}

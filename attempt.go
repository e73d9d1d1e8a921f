package watchword

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
)

// An attempt at an account's password, in the order of its checks:
//
//  1. The client's own limit. Its refusal costs the account nothing and adds no
//     row, so that one client can't use up what others have.
//  2. The account is read, and whether the device is known: whether it presents
//     the token of an earlier sign-in to this account with this password. An
//     address without an account takes the same statements.
//  3. The limit of all devices of the same kind together, then the device's own.
//     For an unknown device its own is that of its client network. Strangers use
//     up the limits of unknown devices only, and never those of a known device.
//
// All of it is committed before a password is looked at: parallel guesses each
// cost one. A right password gives back its own charges and no others.

// An attempt is one try at a password.
type attempt struct {
	at      time.Time
	client  Client
	user    User     // the zero User, with no password: there is no account
	waiting []Signup // sign-ups that wait for the address

	device  knowndevice.ID // the zero ID: not known
	failure []Charge       // what a wrong password costs
}

// attempt charges for a try at the password of an address. Codes: CodeRateLimited.
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

// failure is what a wrong password of an account costs a device.
func (l Limits) failure(email Address, device knowndevice.ID, c Client, now time.Time) []Charge {
	if device == (knowndevice.ID{}) {
		return charges(
			l.UnknownDevices.charge(limitUnknownDevices, string(email), now),
			l.FailedPasswords.charge(limitFailedPasswords, string(email)+" "+c.key(), now),
		)
	}
	return charges(
		l.KnownDevices.charge(limitKnownDevices, string(email), now),
		l.KnownDevice.charge(limitKnownDevice, device.String(), now),
	)
}

// loginFailed commits that a password was asked for in vain, and then returns the
// refusal. It gives back a.failure, which is empty after a wrong password.
func (e *Engine) loginFailed(ctx context.Context, a attempt, refusal *Error) error {
	event := e.event(EventLoginFailed, a.client, a.at).of(a.user.ID).because(string(refusal.Code)).counted(a.client)
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

// knownDevice returns the device whose token was presented, if it is of this
// account and its password. The zero ID: it is not known.
func (e *Engine) knownDevice(u User, presented Secret) knowndevice.ID {
	device, _ := knowndevice.Parse(string(presented), e.keys.secret(KeyDevice), string(u.ID), string(u.PasswordHash))
	return device
}

// deviceToken is the token by which a device is known from now on: the one that it
// presented, while that is valid. u has the password that the sign-in leaves behind.
func (e *Engine) deviceToken(device knowndevice.ID, u User) Secret {
	if device == (knowndevice.ID{}) {
		device = knowndevice.NewID()
	}
	return Secret(device.Sign(e.keys.secret(KeyDevice), string(u.ID), string(u.PasswordHash)))
}

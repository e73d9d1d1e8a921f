package factors

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/rememberedtoken"
	"github.com/watchword-auth/watchword/internal/storable"
)

// Remembered devices. After a sign-in with the second factor, a browser can skip the factor at later sign-ins. The
// user must still enter the password. The browser's cookie contains the id of a row and a MAC of that id. The row
// decides whether the cookie is valid. A session that skipped the factor has the lowest level, so its step-up
// requires the factor.
//
// Engine.Login accepts the device. The engine deletes the device when the password changes or the user signs out
// everywhere. A change of factors also makes the device invalid, because the store accepts only devices that are
// newer than the last change.

// maxDevices is per account. The next device replaces the oldest.
const maxDevices = 20

// rememberDevice stores a new device and its event. The caller passes the event of the sign-in, and rememberDevice
// turns it into the event of the device.
func (m *Manager) rememberDevice(ctx context.Context, tx Tx, event *watchword.Event) (Device, error) {
	event.ID, event.Kind, event.Detail = newID(), eventRemembered, ""
	device := Device{ID: newID(), UserID: event.UserID, Name: event.Device, CreatedAt: event.At,
		ExpiresAt: event.At.Add(m.engine.RememberFor())}
	if err := tx.InsertDevice(ctx, device, maxDevices); err != nil {
		return Device{}, err
	}
	return device, tx.InsertEvent(ctx, *event)
}

// deviceToken returns the content of the browser's cookie. The store does not contain it.
func (m *Manager) deviceToken(d Device) watchword.Secret {
	secret := m.engine.MACSecret(watchword.KeyRemember)
	return watchword.Secret(rememberedtoken.Sign(secret, string(d.UserID), uuid.MustParse(d.ID)))
}

func notRemembered() *watchword.Error {
	const message = "Devices are not remembered here. Leave rememberDevice out."
	return &watchword.Error{
		Code: watchword.CodeValidationFailed, Detail: message,
		Fields: []watchword.FieldError{{Field: "rememberDevice", Code: watchword.FieldInvalid, Message: message}},
	}
}

// RememberFor returns how long a browser can skip the second factor, or 0 if it never can.
//
// Unstable: package server calls it.
func (m *Manager) RememberFor() time.Duration { return m.engine.RememberFor() }

// validDevices returns the newest device first, and no device if the operator has turned remembering off.
func (m *Manager) validDevices(ctx context.Context, tx Tx, id watchword.UserID, now time.Time) ([]Device, error) {
	if m.engine.RememberFor() <= 0 {
		return nil, nil
	}
	return tx.Devices(ctx, id, now.Add(-m.engine.RememberFor()), now)
}

// Devices returns the remembered devices of an account, newest first. Codes: CodeStepUpRequired.
//
// Unstable: package server calls it.
func (m *Manager) Devices(ctx context.Context, who watchword.Identity) (list []Device, err error) {
	if err := m.Fresh(who); err != nil {
		return nil, err
	}
	err = m.store.View(ctx, func(tx Tx) (err error) {
		list, err = m.validDevices(ctx, tx, who.User.ID, m.engine.Now())
		return err
	})
	return list, err
}

// ForgetDevice forgets a remembered browser, or all of them (""). The next sign-in in such a
// browser needs the factor again. Codes: CodeStepUpRequired, CodeNotFound.
//
// Unstable: package server calls it.
func (m *Manager) ForgetDevice(
	ctx context.Context, who watchword.Identity, device string, c watchword.Client,
) error {
	now := m.engine.Now()
	event := m.engine.Event(eventForgotten, who.User, who.Session.ID, c, now)
	err := m.store.Update(ctx, func(tx Tx) error {
		user, session, err := m.lockAccount(ctx, tx, who)
		if err != nil {
			return err
		}
		if refusal := m.engine.Fresh(user, session, now); refusal != nil {
			return refusal
		}
		if err := deleteDevices(ctx, tx, user.ID, device); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return m.notFoundToSessionEnded(err)
	}
	m.engine.Announce(event)
	return nil
}

// deleteDevices deletes all devices of the account if device is "". Codes: CodeNotFound.
func deleteDevices(ctx context.Context, tx Tx, id watchword.UserID, device string) error {
	if device == "" {
		return tx.ForgetDevices(ctx, id)
	}
	deleted, err := false, error(nil)
	if storable.ID(device) {
		deleted, err = tx.DeleteDevice(ctx, id, device)
	}
	if err == nil && !deleted {
		err = refuse(watchword.CodeNotFound, "This device is not remembered. It may have been forgotten already.")
	}
	return err
}

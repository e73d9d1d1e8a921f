package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// Remembered devices. The cookie contains only an id with a MAC. The row of this id determines whether the browser
// may skip the second factor.

func deviceRow(d *factors.Device) []column {
	return []column{
		{"id", &d.ID},
		{"user_id", &d.UserID},
		{"name", &d.Name},
		{"created_at", timeColumn{&d.CreatedAt}},
		{"last_used_at", timeColumn{&d.LastUsedAt}},
		{"expires_at", timeColumn{&d.ExpiresAt}},
	}
}

// newerThanFactors holds for devices that were created after the last change of the user's factors. Older devices are
// invalid, so flows that change factors need not delete them. The sweep deletes their rows after they expire.
const newerThanFactors = `created_at > (SELECT factors_changed_at FROM users WHERE users.id = devices.user_id)`

var (
	insertDevice  = insertInto("devices", deviceRow(new(factors.Device)), "VALUES (%s)")
	selectDevices = `SELECT ` + selectList("devices", deviceRow(new(factors.Device))) + ` FROM devices
		WHERE user_id = $1 AND created_at > $2 AND expires_at > $3 AND ` + newerThanFactors + `
		ORDER BY created_at DESC, id DESC`
)

const (
	// useDevice changes no row if a concurrent transaction has deleted the device. The caller has locked the user's
	// row, so the sub-select reads its current version.
	useDevice = `UPDATE devices SET last_used_at = $1
		WHERE id = $2 AND user_id = $3 AND created_at > $4 AND expires_at > $1 AND ` + newerThanFactors

	deleteDevice  = `DELETE FROM devices WHERE id = $1 AND user_id = $2`
	deleteDevices = `DELETE FROM devices WHERE user_id = $1`

	// deleteOldDevices keeps the newest $2 devices. Otherwise, a script that remembers a device
	// at each sign-in would fill the table.
	deleteOldDevices = `DELETE FROM devices WHERE user_id = $1 AND id NOT IN
		(SELECT id FROM devices WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)`
)

// UseDevice reports false if the device is no longer valid, see useDevice.
func (t Tx) UseDevice(
	ctx context.Context, id watchword.UserID, device string, since, now time.Time,
) (bool, error) {
	return t.tryChange(ctx, useDevice, toMillis(now), device, id, toMillis(since))
}

func (t Tx) ForgetDevices(ctx context.Context, id watchword.UserID) error {
	_, err := t.exec(ctx, deleteDevices, id)
	return err
}

// InsertDevice also deletes the user's oldest devices, so that at most maxKept remain. The id is random, so it
// can't conflict.
func (t Tx) InsertDevice(ctx context.Context, d factors.Device, maxKept int) error {
	if _, err := t.exec(ctx, insertDevice, insertArgs(deviceRow(&d))...); err != nil {
		return err
	}
	_, err := t.exec(ctx, deleteOldDevices, d.UserID, maxKept)
	return err
}

// Devices omits expired and invalid devices, which the sweep has not deleted yet.
func (t Tx) Devices(ctx context.Context, id watchword.UserID, since, now time.Time) ([]factors.Device, error) {
	return queryRows(ctx, t, func(s rowScanner) (d factors.Device, err error) {
		return d, s.Scan(scanTargets(deviceRow(&d))...)
	}, selectDevices, id, toMillis(since), toMillis(now))
}

// DeleteDevice requires the id of the owner, so a guessed device id deletes no row of another account.
func (t Tx) DeleteDevice(ctx context.Context, id watchword.UserID, device string) (bool, error) {
	return t.tryChange(ctx, deleteDevice, device, id)
}

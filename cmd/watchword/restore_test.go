package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// An operator restores a backup and forgets to end the sessions. `watchword doctor` must report the restore.

// OPS-4
func TestDoctorReportsARestore(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		restoreBackup(t, nil, func(dir string) (restore func() []string) {
			path := filepath.Join(dir, "watchword-data", "watchword.db")
			copied, err := os.ReadFile(path)
			must(t, err)
			return func() []string {
				must(t, os.WriteFile(path, copied, 0o600))
				return nil
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		restoreBackup(t, postgresArguments(url), func(string) (restore func() []string) {
			copied := pgtest.Copy(t, url)
			return func() []string { return postgresArguments(copied) }
		})
	})
}

// restoreBackup makes a backup, changes the account, and restores the backup, so that the changes are lost. restore
// returns the arguments that select the restored store.
func restoreBackup(t *testing.T, arguments []string, backup func(dir string) (restore func() []string)) {
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s, arguments...)
	stop := func() { must(t, s.terminate()) }
	again := func() { must(t, s.start(dir, []string{"HOME=" + dir}, arguments)) }
	watchword := func(args ...string) string {
		got := run(t, call{dir: dir, args: append(args, arguments...)})
		return got.out + got.errors
	}
	importAccountsWithApps(t, dir, 1, arguments...)
	const email = "u0@example.com"
	laptop, step := newDevice(t, s.address), currentTimeStep()
	token := laptop.post(t, "/login/factor", body{"handle": laptop.startSecondFactor(t, email),
		"totp": totpCode(t, factorSecret, step)}, 200).RefreshToken
	codes := laptop.post(t, "/factors/recovery-codes", nil, 200).Codes
	stop()
	restore := backup(dir)

	again()
	next := body{"refreshToken": laptop.post(t, "/refresh", body{"refreshToken": token}, 200).RefreshToken}
	signIn := func(proof string, code string, want int) {
		t.Helper()
		phone := newDevice(t, s.address)
		phone.post(t, "/login/factor", body{"handle": phone.startSecondFactor(t, email), proof: code}, want)
	}
	signIn("totp", totpCode(t, factorSecret, step+1), 200)
	signIn("totp", totpCode(t, factorSecret, step+1), 403)
	signIn("recoveryCode", codes[0], 200)
	signIn("recoveryCode", codes[0], 403)
	if found := watchword("doctor"); strings.Contains(found, "restore") {
		t.Errorf("before the restore:\n%s", found)
	}
	stop()
	arguments = restore()

	again()
	signIn("totp", totpCode(t, factorSecret, step+1), 200)
	signIn("recoveryCode", codes[0], 200)
	if found := watchword("doctor"); strings.Contains(found, "restore") {
		t.Errorf("before a newer token was presented:\n%s", found)
	}
	laptop.post(t, "/refresh", next, 401).wantCode(t, "SESSION_ENDED")
	found := watchword("doctor")
	if !strings.Contains(found, "warn  restore     a refresh token was newer than its session at ") ||
		!strings.Contains(found, "Run `watchword sessions end --all`. Used recovery codes") {
		t.Errorf("after the restore:\n%s", found)
	}
	if events := watchword("events"); strings.Count(events, "restore_detected") != 1 {
		t.Errorf("events:\n%s", events)
	}

	if ended := watchword("sessions", "end", "--all", "--yes"); !strings.Contains(ended, "Ended 3.") {
		t.Error(ended)
	}
	laptop.post(t, "/refresh", next, 401).wantCode(t, "SESSION_ENDED")
	laptop.post(t, "/refresh", body{"refreshToken": token}, 401).wantCode(t, "SESSION_ENDED")
	if found := watchword("doctor"); !strings.Contains(found, "ok    restore     noticed at ") ||
		strings.Contains(found, "sessions end --all") {
		t.Errorf("after the end of every session:\n%s", found)
	}
	stop()
}

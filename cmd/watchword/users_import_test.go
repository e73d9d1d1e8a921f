package main_test

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-auth/watchword/store/storetest"
)

// The sample of https://github.com/firebase/scrypt, whose password is user1password.
const (
	firebaseKey = "WATCHWORD_FIREBASE_SIGNER_KEY=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0Q" +
		"sEmYUSDzZvpjeJ9WmXA=="
	firebaseHash = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
	firebaseSalt = "42xEC+ixf3L2lw=="
)

// Accounts are imported into a running server, and their users sign in with their passwords. The first sign-in must
// replace the imported hash with a hash in the server's own format.
//
// PW-7, PW-10
func TestImportedUsersSignInAndHashesAreUpgraded(t *testing.T) {
	t.Parallel()
	onEachStore(t, importAndSignIn)
}

func importAndSignIn(t *testing.T, arguments []string) {
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s, arguments...)
	made, err := bcrypt.GenerateFromPassword([]byte(firstSecret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	derived, err := pbkdf2.Key(sha256.New, firstSecret, []byte("salt"), 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("email,password,salt\na@example.com,$2a$%[1]s,\ny@example.com,$2y$%[1]s,\n"+
		"d@example.com,pbkdf2_sha256$1000$salt$%[2]s,\nf@example.com,%[3]s,%[4]s\nn@example.com,,\n",
		made[4:], base64.StdEncoding.EncodeToString(derived), firebaseHash, firebaseSalt)
	got := run(t, call{
		dir: dir, files: map[string]string{"users.csv": file}, env: []string{firebaseKey},
		args: append([]string{"users", "import", "users.csv"}, arguments...),
	})
	if got.code != 0 || !strings.Contains(got.out, "  5  imported\n") {
		t.Fatalf("exit code %d:\n%s%s", got.code, got.out, got.errors)
	}
	before := exportedHashes(t, dir, arguments)
	for email, secret := range map[string]string{
		"a@example.com": firstSecret, "y@example.com": firstSecret, "d@example.com": firstSecret,
		"f@example.com": "user1password",
	} {
		device := newDevice(t, s.address)
		device.post(t, "/login", body{"email": email, "password": "not " + secret}, 401)
		device.post(t, "/login", body{"email": email, "password": secret}, 200)
		after := exportedHashes(t, dir, arguments)
		if strings.HasPrefix(before[email], "$argon2id$") || !strings.HasPrefix(after[email], "$argon2id$") {
			t.Errorf("%s: the hash was %.12s… and is %.12s…", email, before[email], after[email])
		}
		device.post(t, "/login", body{"email": email, "password": secret}, 200)
	}
	newDevice(t, s.address).post(t, "/login", body{"email": "n@example.com", "password": firstSecret}, 401)
}

// exportedHashes exports the accounts, and returns their password hashes by address.
func exportedHashes(t *testing.T, dir string, arguments []string) map[string]string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(exportAccounts(t, dir, arguments, "--format=csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{}
	for _, line := range lines {
		hashes[line[1]] = line[len(line)-1]
	}
	return hashes
}

func exportAccounts(t *testing.T, dir string, arguments []string, more ...string) string {
	t.Helper()
	got := run(t, call{dir: dir, args: append(append([]string{"users", "export"}, more...), arguments...)})
	if got.code != 0 || got.errors != "" {
		t.Fatalf("export: exit code %d: %s", got.code, got.errors)
	}
	return got.out
}

// The export of one server is imported into another server and exported again. Both exports must be equal, on both
// stores.
func TestExportAndImportPreserveAccounts(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, arguments []string) {
		from, to := t.TempDir(), t.TempDir()
		users := csvOfUsers(2500) + "3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69,zoe@example.com,Zoë " +
			"\U0001f600,,\"admin,x.y:z\",true,2021-03-04T05:06:07.089Z,true\n"
		got := run(t, call{dir: from, files: map[string]string{"users.csv": users},
			args: []string{"users", "import", "users.csv"}})
		if got.code != 0 {
			t.Fatal(got.out, got.errors)
		}
		before := exportAccounts(t, from, nil)
		got = run(t, call{dir: to, input: before, args: append([]string{"users", "import", "-"}, arguments...)})
		if got.code != 0 {
			t.Fatal(got.out, got.errors)
		}
		if after := exportAccounts(t, to, arguments); after != before || strings.Count(after, "\n") != 2501 {
			t.Errorf("%d accounts, of which the last are\n%s\nand were\n%s", strings.Count(after, "\n"),
				after[max(0, len(after)-500):], before[max(0, len(before)-500):])
		}
	})
}

// csvOfUsers returns a CSV file with n users, who have a hash and every common field.
func csvOfUsers(n int) string {
	var file strings.Builder
	file.WriteString("id,email,name,password,roles,emailVerified,createdAt,disabled\n")
	for i := range n {
		fmt.Fprintf(&file, "%d,ada%d@example.com,Ada "+
			"%d,$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy,editor,%t,2021-03-04 "+
			"05:06:07,f\n", i, i, i, i%2 == 0)
	}
	return file.String()
}

// An import is stopped, then killed, then run to its end. Every committed batch must stay, no account may be
// incomplete, and the table of ids must be complete.
func TestInterruptedImportContinues(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: thousands of accounts are not imported")
	}
	onEachStore(t, importInPieces)
}

func importInPieces(t *testing.T, arguments []string) {
	const users = 6_000
	dir := t.TempDir()
	args := append([]string{"users", "import", "users.csv", "--id-map=ids.csv"}, arguments...)
	if got := run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)}); got.code != 0 {
		t.Fatal(got.errors)
	}
	count := func() int { return queryNumber(t, dir, arguments, "SELECT count(*) FROM users") }
	there := 0
	for _, piece := range []struct {
		signal    syscall.Signal
		delivered int // number of accounts that the pipe delivers before it blocks
	}{{syscall.SIGINT, 9_500}, {syscall.SIGKILL, 11_500}} {
		writeToOpenPipe(t, filepath.Join(dir, "users.csv"), csvOfUsers(piece.delivered))
		w := startProgram(t, dir, args...)
		w.awaitCondition(t, "a thousand were imported", func() bool { return count() >= there+1000 })
		if err := w.Process.Signal(piece.signal); err != nil {
			t.Fatal(err)
		}
		<-w.ended
		there = count()
		if there == 0 || there > piece.delivered || there%500 != 0 {
			t.Fatalf("after %s %d accounts are there\n%s", piece.signal, there, w.errs.String())
		}
		if piece.signal == syscall.SIGINT {
			w.wantOutput(t,
				fmt.Sprintf("stopped. Imported so far: %d accounts. Run the same command again to continue", there))
		}
		if _, err := os.Stat(filepath.Join(dir, "ids.csv")); err == nil {
			t.Fatal("half a table of ids has a name")
		}
	}
	if err := os.Remove(filepath.Join(dir, "users.csv")); err != nil {
		t.Fatal(err)
	}
	got := run(t, call{dir: dir, files: map[string]string{"users.csv": csvOfUsers(users)}, args: args})
	for _, want := range []string{fmt.Sprintf("  %d  imported\n", users-there),
		fmt.Sprintf("  %d  already exist, left unchanged\n", there)} {
		if got.code != 0 || !strings.Contains(strings.ReplaceAll(got.out, "   ", "  "), want) {
			t.Errorf("exit code %d, and %q is not in\n%s%s", got.code, want, got.out, got.errors)
		}
	}
	if all, events := count(),
		queryNumber(t, dir, arguments, "SELECT count(DISTINCT user_id) FROM events WHERE kind = 'signup' "+
			"AND detail = 'imported'"); all != users || events != users {
		t.Errorf("%d accounts, %d events", all, events)
	}
	ids, err := os.ReadFile(filepath.Join(dir, "ids.csv"))
	if err != nil || bytes.Count(ids, []byte("\n")) != users+1 {
		t.Errorf("%d lines in the table of ids, %v", bytes.Count(ids, []byte("\n")), err)
	}
	if arguments == nil {
		checkDatabase(t, filepath.Join(dir, "watchword-data", "watchword.db"), 0)
	}
}

// writeToOpenPipe creates a named pipe, writes the text to the pipe, and keeps the pipe open. After the text, a
// reader therefore blocks.
func writeToOpenPipe(t *testing.T, path, text string) {
	t.Helper()
	os.Remove(path) //nolint:errcheck // the file may not exist
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return
		}
		t.Cleanup(func() { pipe.Close() })
		io.WriteString(pipe, text) //nolint:errcheck // fails when the reader is stopped
	}()
}

func queryNumber(t *testing.T, dir string, arguments []string, question string) (n int) {
	t.Helper()
	if arguments == nil {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "watchword-data",
			"watchword.db")+"?_pragma=busy_timeout(10000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.QueryRowContext(t.Context(), question).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	conn, err := pgx.Connect(t.Context(), strings.TrimPrefix(arguments[0], "--store="))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it only ran a query
	if err := conn.QueryRow(t.Context(), question).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An import of many accounts must use little memory. To detect duplicates, it keeps only 16 bytes for the address and
// 16 bytes for the id of each account.
func TestImportOfManyAccountsUsesLittleMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it takes many seconds")
	}
	users := 30_000
	if storetest.RaceDetector() {
		users /= 10
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.csv"), []byte(csvOfUsers(users)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Getenv(binaryVariable), "users", "import", "users.csv")
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "GOMEMLIMIT=64MiB"} // makes measurements comparable
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("  %d  imported\n", users)) {
		t.Fatalf("%v\n%s", err, out)
	}
	const most = 150 << 10 // KiB, most of it for the program itself and SQLite
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if used > most {
		t.Errorf("it took %d KiB of memory", used)
	}
	t.Logf("%d accounts in %s, %d KiB", users, time.Since(begun), used)
}

// Another program creates the file of --id-map while the import runs. The import must not overwrite it.
func TestIDMapDoesNotOverwriteANewFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Getenv(binaryVariable), "users", "import", "-", "--id-map=ids.csv")
	var errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, []string{"HOME=" + dir}, &errs
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if found, err := filepath.Glob(filepath.Join(dir, ".ids.csv-*")); err == nil && len(found) > 0 {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("the import does not begin")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ids.csv"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(input, csvOfUsers(3)); err != nil {
		t.Fatal(err)
	}
	input.Close()
	const want = "ids.csv already exists and is not overwritten. Write another name, or remove it. " +
		"Imported so far: 3 accounts"
	if err := cmd.Wait(); err == nil || !strings.Contains(errs.String(), want) {
		t.Errorf("%v: %s", err, errs.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*ids.csv*"))
	if text, failed := os.ReadFile(filepath.Join(dir,
		"ids.csv")); failed != nil || string(text) != "mine" || err != nil || len(files) != 1 {
		t.Errorf("the file holds %q, %v; there are %q", text, failed, files)
	}
}

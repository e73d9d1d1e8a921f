package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// KEY-4
func TestResealReplacesTheMasterKeyAndKeepsSessions(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := startServer(t, s, "--refresh-grace=0s")
	laptop := newDevice(t, s.address)
	laptop.post(t, "/register", body{"email": ada, "password": firstSecret}, 201)
	reseal := call{dir: dir, args: []string{"keys", "reseal", "--yes"}}
	if got := run(t, reseal); got.code != 1 ||
		!strings.Contains(got.errors, "watchword.db is in use: stop its server") {
		t.Errorf("beside a running server: exit code %d\n%s", got.code, got.errors)
	}
	if err := s.terminate(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "watchword-data", "master.key")
	before, err := os.ReadFile(path)
	must(t, err)
	if got := run(t, call{dir: dir, args: []string{"keys", "reseal"}}); got.code != 2 ||
		!strings.Contains(got.errors, "confirm with --yes") {
		t.Errorf("without --yes: exit code %d\n%s", got.code, got.errors)
	}
	if got := run(t, reseal); got.code != 0 {
		t.Fatal(got.errors)
	}
	after, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if bytes.Equal(before, after) || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is the same, or has mode %o", info.Mode().Perm())
	}
	kept, err := filepath.Glob(path + ".until-*")
	must(t, err)
	if len(kept) != 1 {
		t.Fatalf("old master keys: %v", kept)
	}
	if old, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(old, before) {
		t.Errorf("the old master key is not kept: %v", err)
	}

	// The files are now as after a crash between the reseal of the store and the rename of the new key file. The next
	// start must finish the rename.
	must(t, os.Rename(path, path+".new"))
	must(t, os.WriteFile(path, before, 0o600))
	must(t, s.start(dir, []string{"HOME=" + dir}, nil))
	laptop.post(t, "/refresh", nil, 200)
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, after) {
		t.Errorf("the start did not finish the replacement: %v", err)
	}
	must(t, s.terminate())

	// The files are now as after a crash before the reseal of the store. The server must start with the old key.
	must(t, os.WriteFile(path+".new", before, 0o600))
	must(t, s.start(dir, []string{"HOME=" + dir}, nil))
	laptop.post(t, "/refresh", nil, 200)
	must(t, s.terminate())
	if got := run(t, reseal); got.code != 0 {
		t.Errorf("with the leftover of a crash: %s", got.errors)
	}
}

// KEY-4
func TestResealWritesANewMasterKeyToAFileIfItIsSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := "WATCHWORD_STORE=" + pgtest.Database(t)
	command := func(key string, args ...string) result {
		return run(t, call{dir: dir, env: []string{"WATCHWORD_MASTER_KEY_FILE=" + key, store}, args: args})
	}
	must(t, os.WriteFile(filepath.Join(dir, "old.key"), []byte(key32), 0o600))
	if got := command("old.key", "migrate"); got.code != 0 {
		t.Fatal(got.errors)
	}
	if got := command("old.key", "keys", "list"); got.code != 0 {
		t.Fatal(got.errors)
	}
	if got := command("old.key", "keys", "reseal", "--yes"); got.code != 2 ||
		!strings.Contains(got.errors, "--to: is missing") {
		t.Errorf("without --to: exit code %d\n%s", got.code, got.errors)
	}
	if got := command("old.key", "keys", "reseal", "--yes", "--to=old.key"); got.code != 1 {
		t.Errorf("onto the old key: exit code %d\n%s", got.code, got.out)
	}
	if got := command("old.key", "keys", "reseal", "--yes", "--to=new.key"); got.code != 0 {
		t.Fatal(got.errors)
	}
	if got := command("new.key", "keys", "list"); got.code != 0 {
		t.Errorf("the new key does not open the store: %s", got.errors)
	}
	if got := command("old.key", "keys", "list"); got.code != 1 || !strings.Contains(got.errors, "not the master key") {
		t.Errorf("the old key: exit code %d\n%s", got.code, got.errors)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

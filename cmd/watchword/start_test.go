package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/transcript"
)

// The server must not create a data directory that it does not need. In this test, a file has the directory's name,
// so creating the directory would fail, even for root.
func TestStartCreatesNoUnneededDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "watchword-data"), nil, 0o600))
	s := newServer(t, freeAddress(t))
	env := []string{"HOME=" + dir, "WATCHWORD_MASTER_KEY=" + key32,
		"WATCHWORD_STORE=" + pgtest.Database(t)}
	must(t, s.start(dir, env, []string{smtp, from}))
	must(t, s.terminate())
	if got := run(t, call{dir: dir, env: env[1:], args: []string{"keys", "list", smtp, from}}); got.code != 0 {
		t.Errorf("keys list: %s", got.errors)
	}
	// For an SQLite file in another folder, the server creates only that folder.
	other := filepath.Join(t.TempDir(), "data", "other.db")
	must(t, s.start(dir, env[:2], []string{"--store=sqlite:" + other, smtp, from}))
	must(t, s.terminate())
}

// overwritePages never overwrites the first page.
func overwritePages(t *testing.T, dir string, choose func(pages int) []int) {
	t.Helper()
	const size = 4096
	path := filepath.Join(dir, "watchword-data", "watchword.db")
	content, err := os.ReadFile(path)
	must(t, err)
	for _, page := range choose(len(content) / size) {
		copy(content[page*size:(page+1)*size], strings.Repeat("damage", size))
	}
	must(t, os.WriteFile(path, content, 0o600))
}

func TestServeNamesDamagedPagesAsDoctorDoes(t *testing.T) {
	t.Parallel()
	dir := createDataDir(t)
	// The damaged pages contain the tables of challenges and devices. They do not contain the schema, because the
	// store could not be opened without it.
	overwritePages(t, dir, func(int) []int { return []int{43, 44, 45, 46} })
	if got := run(t, call{dir: dir, args: []string{"doctor"}}); !strings.Contains(got.out, "the database is damaged") {
		t.Errorf("doctor: %s", got.out)
	}
	var said transcript.Transcript
	address := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), "serve", "--listen="+address,
		"--public-url=http://"+address, "--admin-listen=")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, []string{"HOME=" + dir}, &said
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	deadline := time.Now().Add(30 * time.Second)
	for ; !strings.Contains(said.String(), "restore the last backup"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("serve does not name the damage:\n%s", said.String())
		}
	}
	if !strings.Contains(said.String(), "the database is damaged: ") {
		t.Errorf("serve does not say what is damaged:\n%s", said.String())
	}
}

func TestStartOnADamagedFileNamesTheDamage(t *testing.T) {
	t.Parallel()
	dir := createDataDir(t)
	overwritePages(t, dir, func(pages int) (all []int) {
		for page := 1; page < pages; page++ {
			all = append(all, page)
		}
		return all
	})
	for _, args := range [][]string{{"serve", "--listen=127.0.0.1:0", "--admin-listen="}, {"users", "list"}} {
		if got := run(t, call{dir: dir, args: args}); got.code != 1 ||
			!strings.Contains(got.errors, "the database is damaged") {
			t.Errorf("%v: exit code %d\n%s", args, got.code, got.errors)
		}
	}
	if got := run(t, call{dir: dir, args: []string{"doctor"}}); !strings.Contains(got.out, "restore the last backup") {
		t.Errorf("doctor: %s", got.out)
	}
}

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An earlier revision and this revision serve the same data during an upgrade. This revision opens the data of the
// earlier revision and migrates it. The earlier server keeps running on the new tables together with the new server,
// and clients that switch between the two servers must not notice. `make upgrade` runs the test, because it builds
// the earlier revision.
func TestEarlierRevisionRunsBesideThisOne(t *testing.T) {
	t.Parallel()
	revision := os.Getenv("WATCHWORD_TEST_UPGRADE")
	if revision == "" {
		t.Skip("WATCHWORD_TEST_UPGRADE is not set: make upgrade builds an earlier revision and runs this test")
	}
	binary := buildRevision(t, revision)
	onEachStore(t, func(t *testing.T, arguments []string) { upgradeFrom(t, binary, arguments) })
}

func buildRevision(t *testing.T, revision string) (binary string) {
	t.Helper()
	source := t.TempDir()
	archive := exec.Command("sh", "-c", `git archive "$1" | tar -x -C "$2"`, "sh", revision, source)
	archive.Dir = filepath.Join("..", "..") // in a subfolder, git would archive only the subfolder
	if out, err := archive.CombinedOutput(); err != nil {
		t.Fatalf("git archive %s: %v\n%s", revision, err, out)
	}
	binary = filepath.Join(t.TempDir(), "earlier")
	build := exec.Command("go", "build", "-o", binary, "./cmd/watchword")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", revision, err, out)
	}
	return binary
}

func upgradeFrom(t *testing.T, binary string, arguments []string) {
	earlier, later := newServer(t, freeAddress(t)), newServer(t, freeAddress(t))
	earlier.binary = binary
	dir := startServer(t, earlier, arguments...)
	laptop, phone, tablet := newDevice(t, earlier.address), newDevice(t, earlier.address), newDevice(t, earlier.address)
	account := body{"email": ada, "password": firstSecret}
	laptop.post(t, "/register", account, 201)
	phone.post(t, "/login", account, 200)
	phone.post(t, "/refresh", nil, 200)

	shared := append([]string{"--public-url=" + earlier.url()}, arguments...)
	if err := later.start(dir, []string{"HOME=" + dir}, shared); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, address := range []string{later.address, earlier.address} {
			for _, device := range []*device{laptop, phone} {
				device.moveTo(address)
				device.get(t, "/me", 200)
				device.post(t, "/refresh", nil, 200)
				device.get(t, "/me", 200)
			}
		}
	}

	// Accounts, sign-ins, sign-outs and failed passwords at one server must take effect at the other server.
	grace := body{"email": "grace@example.com", "password": firstSecret}
	tablet.post(t, "/register", grace, 201)
	tablet.moveTo(later.address)
	tablet.post(t, "/login", body{"email": "grace@example.com", "password": "wrong otters here"}, 401)
	tablet.post(t, "/login", grace, 200)
	tablet.moveTo(earlier.address)
	tablet.post(t, "/login", body{"email": "grace@example.com", "password": "wrong otters here"}, 401)
	tablet.post(t, "/login", grace, 200)
	phone.moveTo(later.address)
	phone.post(t, "/logout", nil, 200)
	phone.moveTo(earlier.address)
	phone.post(t, "/refresh", nil, 401)

	// Commands of this revision must work while both servers run, and the earlier server must apply their changes.
	command := func(args ...string) string {
		t.Helper()
		got := run(t, call{dir: dir, args: append(args, arguments...)})
		if got.code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, got.code, got.errors)
		}
		return got.out
	}
	command("users", "rename", ada, "Ada Lovelace", "--as", "operator-7")
	laptop.moveTo(earlier.address)
	if name := laptop.get(t, "/me", 200).User.Name; name != "Ada Lovelace" {
		t.Errorf("the earlier server reads the name %q", name)
	}
	if shown := command("users", "show", ada); !strings.Contains(shown, "operator-7") {
		t.Errorf("the operator is not among the events:\n%s", shown)
	}
	command("users", "disable", "grace@example.com", "--yes")
	tablet.post(t, "/refresh", nil, 401)

	if err := earlier.terminate(); err != nil {
		t.Fatal(err)
	}
	if err := earlier.start(dir, []string{"HOME=" + dir}, arguments); err == nil ||
		!strings.Contains(err.Error(), "newer watchword") {
		t.Errorf("the earlier revision starts again: %v", err)
	}
	laptop.moveTo(later.address)
	laptop.post(t, "/refresh", nil, 200)
	laptop.get(t, "/me", 200)
}

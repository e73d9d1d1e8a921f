package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The database file can't grow, as on a full disk. The server must refuse writes with 503, serve reads, and keep
// users signed in. When the disk has space again, all acknowledged changes must be present.
//
// CFG-8, OPS-1
func TestFullDiskKeepsUsersSignedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir, program := t.TempDir(), s.binary
	s.binary = filepath.Join(t.TempDir(), "cramped")
	script := fmt.Sprintf("#!/bin/sh\nulimit -S -f 1200\nexec %q \"$@\"\n", program)
	if err := os.WriteFile(s.binary, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.start(dir, []string{"HOME=" + dir}, []string{"--limits=off"}); err != nil {
		t.Fatal(err)
	}
	phone := newDevice(t, s.address)
	kept := phone.post(t, "/register", body{"email": ada, "password": firstSecret, "delivery": "body"},
		201).RefreshToken
	var made []string
	for try, full := 0, false; !full; try++ {
		if try == 500 {
			t.Fatal("the disk never became full")
		}
		email := fmt.Sprintf("user%d@example.com", try)
		got, err := newDevice(t, s.address).send(t.Context(), http.MethodPost, "/register",
			body{"email": email, "password": firstSecret, "delivery": "body"})
		if err != nil {
			t.Fatal(err)
		}
		if got.status == 201 {
			made = append(made, email)
			continue
		}
		wantTryLater(t, got)
		// A refresh writes less than a sign-up, so it may still succeed. The loop continues until a refresh fails,
		// too.
		if got, err = phone.send(t.Context(), http.MethodPost, "/refresh", body{"refreshToken": kept}); err != nil {
			t.Fatal(err)
		}
		if got.status == 200 {
			kept = got.RefreshToken
			continue
		}
		wantTryLater(t, got)
		full = true
	}
	phone.get(t, "/me", 200)
	s.awaitReadyStatus(t, http.StatusServiceUnavailable)
	raise := exec.Command("prlimit", "--fsize=unlimited:", "--pid", strconv.Itoa(s.cmd.Process.Pid))
	if out, err := raise.CombinedOutput(); err != nil {
		t.Fatalf("prlimit: %v\n%s", err, out)
	}
	s.awaitReadyStatus(t, http.StatusOK)
	if err := s.terminate(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.errs.String()+s.out.String(), "the store is unavailable") {
		t.Errorf("no log line tells why:\n%s", s.errs.String())
	}

	s.binary = program
	if err := s.start(dir, []string{"HOME=" + dir}, nil); err != nil {
		t.Fatal(err)
	}
	phone.post(t, "/refresh", body{"refreshToken": kept}, 200)
	for _, email := range made {
		newDevice(t, s.address).post(t, "/login", body{"email": email, "password": firstSecret}, 200)
	}
}

// awaitReadyStatus fails after a minute without the wanted status from /readyz.
func (s *server) awaitReadyStatus(t *testing.T, want int) {
	t.Helper()
	begun := time.Now()
	for {
		got, err := s.client().Get(s.url() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode == want {
			t.Logf("/readyz is %d after %s", want, time.Since(begun).Round(time.Millisecond))
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("/readyz is %d after a minute, want %d", got.StatusCode, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func wantTryLater(t *testing.T, got *apiResponse) {
	t.Helper()
	if got.status != 503 {
		t.Fatalf("%d %s, want 503", got.status, got.Code)
	}
	got.wantCode(t, "TRY_LATER")
}

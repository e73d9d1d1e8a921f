package seal_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword/internal/seal"
)

func box(t testing.TB, master string) *seal.Box {
	t.Helper()
	b, err := seal.New([]byte(master))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const master = "a master key for tests, 32 bytes"

// KEY-4
func TestOpenRequiresTheSameKeyAndContext(t *testing.T) {
	t.Parallel()
	b := box(t, master)
	sealed := b.Seal("sign ES256 k1", []byte("private"))
	if bytes.Contains(sealed, []byte("private")) || bytes.Equal(sealed, b.Seal("sign ES256 k1", []byte("private"))) {
		t.Error("Seal shows the plain text, or returns the same bytes twice")
	}
	if plain, err := b.Open("sign ES256 k1", sealed); err != nil || string(plain) != "private" {
		t.Errorf("got %q, %v", plain, err)
	}
	if _, err := b.Open("sign ES256 k2", sealed); err == nil {
		t.Error("opened in another context")
	}
	if _, err := box(t, "another key for tests: 32 bytes!").Open("sign ES256 k1", sealed); err == nil {
		t.Error("opened with another key")
	}
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := b.Open("sign ES256 k1", broken); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	for _, short := range [][]byte{nil, sealed[:1], sealed[:12], sealed[:len(sealed)-1]} {
		if _, err := b.Open("sign ES256 k1", short); err == nil {
			t.Errorf("opened %d bytes", len(short))
		}
	}
}

func TestDerivedKeysDifferByPurposeAndMaster(t *testing.T) {
	t.Parallel()
	b := box(t, master)
	if bytes.Equal(b.Derive("a"), b.Derive("b")) || !bytes.Equal(b.Derive("a"), box(t, master).Derive("a")) ||
		len(b.Derive("a")) != 32 {
		t.Error("wrong derived keys")
	}
	for _, wrong := range []int{0, 16, 31, 33} {
		if _, err := seal.New(make([]byte, wrong)); err == nil {
			t.Errorf("a master key of %d bytes was accepted", wrong)
		}
	}
}

func TestParseMasterAcceptsBothAlphabets(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key),
		base64.URLEncoding.EncodeToString(key), " " + base64.RawURLEncoding.EncodeToString(key) + "\n",
	} {
		if got, err := seal.ParseMaster(text); err != nil || !bytes.Equal(got, key) {
			t.Errorf("%q: %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "secret!", strings.Repeat("A", 42), strings.Repeat("A", 44), master} {
		_, err := seal.ParseMaster(text)
		if err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// KEY-4, CFG-1
func TestLoadOrCreateKeepsTheKeyFilePrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	keys := make([][]byte, 8)
	var creations int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range keys { // several processes start at once
		wg.Go(func() {
			key, created, err := seal.LoadOrCreate(path)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if keys[i] = key; created {
				creations++
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if !bytes.Equal(key, keys[0]) {
			t.Fatal("the processes have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || creations != 1 {
		t.Errorf("mode %v, created %d times, %v", info.Mode(), creations, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := seal.LoadOrCreate(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("garbage that is secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := seal.LoadOrCreate(path); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("garbage: %v", err)
	}
	if _, _, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "missing", "master.key")); err == nil {
		t.Error("created in a folder that does not exist")
	}
}

func FuzzOpen(f *testing.F) {
	b, err := seal.New([]byte(master))
	if err != nil {
		f.Fatal(err)
	}
	good := b.Seal("x", []byte("plain"))
	f.Add(good)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if plain, err := b.Open("x", sealed); err == nil && string(plain) != "plain" {
			t.Fatalf("forged %q", plain)
		}
	})
}

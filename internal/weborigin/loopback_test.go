package weborigin_test

import (
	"encoding/json"
	"net/url"
	"os"
	"testing"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

func TestIsLoopbackAcceptsOnlyNamesAndAddressesOfThisMachine(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "localhost.": true, "localhost:8080": true, "LocalHost.:8080": true,
		"id.localhost": true, "a.b.localhost": true, "Id.Localhost.": true, "id.localhost:8080": true,
		"127.0.0.1": true, "127.0.0.1:8080": true, "127.255.255.254": true,
		"::1": true, "[::1]": true, "[::1]:8080": true, "::ffff:127.0.0.1": true, "[::ffff:127.0.0.1]:80": true,

		"": false, ".": false, ":8080": false, ".localhost": false, "localhost..": false, "a..localhost": false,
		"localhost.example.com": false, "localhost.evil": false, "mylocalhost": false, "localhost:80:80": false,
		"127.0.0.1.example.com": false, "127.1": false, "2130706433": false, "0x7f.0.0.1": false, "127.0.0.1.": false,
		"0.0.0.0": false, "::": false, "[::]:8080": false, "128.0.0.1": false, "10.0.0.1": false, "::2": false,
		"[localhost]": false, "[127.0.0.1]": false, "[[::1]]": false, "example.com:8080": false,
		"user@id.localhost": false, "evil.example/.localhost": false, "evil.example#.localhost": false,
		"a b.localhost": false, "*.localhost": false,
	} {
		if got := weborigin.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %t", host, got)
		}
	}
}

// The clients of the API and the verifiers must accept http for the same hosts as the server. Their tests read the
// same file.
func TestLoopbackURLsOfTheClientsAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/loopback.json")
	if err != nil {
		t.Fatal(err)
	}
	var urls map[string]bool
	if err := json.Unmarshal(text, &urls); err != nil || len(urls) < 10 {
		t.Fatalf("%d URLs, %v", len(urls), err)
	}
	for text, want := range urls {
		u, err := url.Parse(text)
		if err != nil || weborigin.IsLoopback(u.Host) != want {
			t.Errorf("%s: want %t (%v)", text, want, err)
		}
	}
}

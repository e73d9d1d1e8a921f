package weborigin_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// CSRF-4
func TestIsAppAcceptsOnlyExactOriginsOfApps(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]bool{
		"capacitor://localhost": true, "tauri://localhost": true, "capacitor://app.example.com": true,
		"chrome-extension://abcdefghijklmnopabcdefghijklmnop": true,

		"": false, "capacitor://": false, "capacitor://a/b": false, "capacitor://*": false, "Capacitor://a": false,
		"chrome-extension://short": false, "chrome-extension://*": false, "file://": false, "ionic://localhost": false,
		"chrome-extension://abcdefghijklmnopabcdefghijklmnoz": false, "https://app.example.com": false,
		"moz-extension://abcdefghijklmnopabcdefghijklmnop": false, "tauri://localhost\n": false,
	} {
		if got := weborigin.IsApp(origin); got != want {
			t.Errorf("IsApp(%q) = %t", origin, got)
		}
	}
}

// HTTP-12, CFG-1
func TestOfPageReturnsTheOriginOrRejectsThePage(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"https://app.example.com":       "https://app.example.com",
		"https://app.example.com/a?b=c": "https://app.example.com",
		"http://localhost:3000/a":       "http://localhost:3000",
		"https://app.example.com:8443/": "https://app.example.com:8443",

		"": "", "app.example.com": "", "/home": "", "//app.example.com": "", "http://app.example.com/": "",
		"https://me:secret@app.example.com/": "", "https://app.example.com/#a": "", "https://app.example.com/\\a": "",
		"https://App.example.com/": "", "https://*.example.com/": "", "https://app.example.com:443/": "",
		"javascript:alert(1)": "", "capacitor://localhost/a": "", "https://app.example.com/a\nb": "",
	} {
		got, err := weborigin.OfPage(page)
		if got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("OfPage(%q) = %q, %v", page, got, err)
		}
	}
}

// CSRF-4, CFG-1
func TestCheckRejectsInvalidOriginsAndPatterns(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://app.example.com", "http://localhost:3000", "https://app.example.com:8443",
		"http://[::1]:3000"} {
		if err := weborigin.Check(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*", "https://*.example.com", "app.example.com", "https://app.example.com/",
		"https://app.example.com/path",
		"https://App.example.com", "HTTPS://app.example.com", "https://u@app.example.com", "https://app.example.com?x",
		"https://app.example.com#x",
		"ftp://app.example.com", "null", "https://", "https://app.example.com:443", "http://app.example.com:80"} {
		if err := weborigin.Check(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

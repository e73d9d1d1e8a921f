package device_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/device"
)

func TestNameIsReadable(t *testing.T) {
	t.Parallel()
	namer := device.New()
	for userAgent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 " +
			"Safari/537.36": "Chrome on Windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0": "Firefox on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/18.1 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 " +
			"Mobile/15E148 Safari/604.1": "Safari on iPad",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile " +
			"Safari/537.36": "Chrome on Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 " +
			"Safari/537.36 Edg/130.0.0.0": "Edge on macOS",
		"curl/8.5.0":               "curl",
		"":                         "Unknown device",
		"<script>alert":            "Unknown device",
		"a\r\nb: c/1":              "Unknown device",
		"Go-http-client/1.1":       "Go-http-client",
		strings.Repeat("x", 1<<16): "Unknown device",
	} {
		if got := namer.Name(userAgent); got != want {
			t.Errorf("%.80q: %q, want %q", userAgent, got, want)
		}
	}
}

func TestNameIsTranslated(t *testing.T) {
	t.Parallel()
	texts := map[string]string{"sessions.unknown": "Unbekanntes Gerät", "device.on": "%s unter %s",
		"device.on.model": "%s auf dem %s"}
	say := func(key string, args ...any) string { return fmt.Sprintf(texts[key], args...) }
	for name, want := range map[string]string{
		"Chrome on Windows": "Chrome unter Windows", "Safari on iPhone": "Safari auf dem iPhone",
		"Safari on iPad": "Safari auf dem iPad", "iPhone": "iPhone", "curl": "curl", "Linux": "Linux",
		"": "Unbekanntes Gerät", "Unknown device": "Unbekanntes Gerät", "the phone of Ada": "the phone of Ada",
	} {
		if got := device.Translate(name, say); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"Chrome on Windows": "Chrome unter Windows",
		"Safari on iPad": "Safari auf dem iPad", "Key on my desk": "Key on my desk", "Passkey": "Passkey", "": ""} {
		if got := device.TranslateChosen(name, say); got != want {
			t.Errorf("chosen %q: %q, want %q", name, got, want)
		}
	}
}

func FuzzName(f *testing.F) {
	namer := device.New()
	f.Add("curl/8")
	f.Add("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 " +
		"Safari/537.36")
	f.Fuzz(func(t *testing.T, userAgent string) {
		name := namer.Name(userAgent)
		if name == "" || len(name) > 64 {
			t.Fatalf("name of %q is %q", userAgent, name)
		}
		for _, r := range name {
			if r < ' ' || r > '~' {
				t.Fatalf("name of %q is %q", userAgent, name)
			}
		}
	})
}

func TestNameIsTheSameWhenItIsRemembered(t *testing.T) {
	t.Parallel()
	namer := device.New()
	for round := range 3 {
		for i := range 3000 { // more than the namer remembers
			want := fmt.Sprintf("tool%d", i)
			if got := namer.Name(want + "/1.0"); got != want {
				t.Fatalf("round %d: got %q, want %q", round, got, want)
			}
		}
	}
}

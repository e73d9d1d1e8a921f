package clientip_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/clientip"
)

func trusted(t testing.TB, entries ...string) clientip.Trusted {
	t.Helper()
	set, err := clientip.ParseTrusted(entries)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// RL-5
func TestClientIsTheRightmostUntrustedHop(t *testing.T) {
	t.Parallel()
	proxies := trusted(t, "10.0.0.0/8", "fd00::/8", "192.0.2.1")
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.7:1000", nil, "203.0.113.7"},
		{"header from an untrusted peer is ignored", "203.0.113.7:1000", []string{"198.51.100.1"}, "203.0.113.7"},
		{"behind a proxy", "10.0.0.1:1000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"behind one proxy listed by address", "192.0.2.1:1000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"behind two", "10.0.0.1:1000", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"an entry forged by the client is ignored",
			"10.0.0.1:1000", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"several header lines", "10.0.0.1:1000", []string{"1.1.1.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:1000", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no header", "10.0.0.1:1000", nil, "10.0.0.1"},
		{"malformed entry falls back to the peer", "10.0.0.1:1000", []string{"198.51.100.1, garbage"}, "10.0.0.1"},
		{"empty entry falls back to the peer", "10.0.0.1:1000", []string{"198.51.100.1,"}, "10.0.0.1"},
		{"entry with a port falls back to the peer", "10.0.0.1:1000", []string{"198.51.100.1:80"}, "10.0.0.1"},
		{"IPv6", "[fd00::1]:1000", []string{"2001:db8::7"}, "2001:db8::7"},
		{"a zone is dropped", "[fd00::1]:1000", []string{"fe80::7%eth0"}, "fe80::7"},
		{"IPv4 in IPv6 is IPv4", "[::ffff:10.0.0.1]:1000", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a huge header", "10.0.0.1:1000", []string{strings.Repeat("10.0.0.2,", 10_000) + "10.0.0.2"}, "10.0.0.2"},
		{"leading zeros are malformed", "10.0.0.1:1000", []string{"198.051.100.1"}, "10.0.0.1"},
	} {
		if got := proxies.Client(c.peer, c.forwarded); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := (clientip.Trusted{}).Client("@", nil); got.IsValid() {
		t.Errorf("a malformed peer became %s", got)
	}
	if !proxies.Contains("10.1.2.3:80") || proxies.Contains("11.1.2.3:80") || proxies.Contains("garbage") {
		t.Error("Contains returns the wrong result")
	}
}

// RL-5
func TestKeyGroupsIPv6ByPrefix64(t *testing.T) {
	t.Parallel()
	key := func(text string) string { return clientip.Key(netip.MustParseAddr(text)) }
	if key("198.51.100.1") == key("198.51.100.2") || key("198.51.100.1") != key("::ffff:198.51.100.1") {
		t.Error("IPv4: wrong key")
	}
	if key("2001:db8::1") != key("2001:db8::ffff:1") || key("2001:db8:0:1::1") == key("2001:db8::1") ||
		key("fe80::1%a") != key("fe80::2") {
		t.Error("IPv6: wrong key")
	}
	if clientip.Key(netip.Addr{}) == "" {
		t.Error("an invalid address has an empty key")
	}
}

// CFG-1
func TestParseTrustedRejectsInvalidNetworks(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "everyone", "0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0"} {
		if _, err := clientip.ParseTrusted([]string{entry}); err == nil {
			t.Errorf("%q was accepted", entry)
		}
	}
}

func FuzzClient(f *testing.F) {
	proxies := trusted(f, "10.0.0.0/8")
	f.Add("10.0.0.1:1", "198.51.100.1, 10.0.0.2")
	f.Add("10.0.0.1:1", ",,,")
	f.Fuzz(func(t *testing.T, peer, header string) {
		got := proxies.Client(peer, []string{header})
		if from := proxies.Client(peer, nil); !got.IsValid() && from.IsValid() {
			t.Fatalf("header %q made the client invalid", header)
		} else if !proxies.Contains(peer) && got != from {
			t.Fatalf("an untrusted peer chose %s", got)
		}
	})
}

func TestTextOfAnAddressHasOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7",
		"::ffff:192.0.2.7":     "192.0.2.7",
		"2001:DB8:0:0:0:0:0:7": "2001:db8::7",
		"fe80::1%eth0":         "fe80::1",
		"::ffff:192.0.2.7%2":   "192.0.2.7",
	} {
		if got := clientip.Text(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := clientip.Text(netip.Addr{}); got != "" {
		t.Errorf("no address: %q", got)
	}
}

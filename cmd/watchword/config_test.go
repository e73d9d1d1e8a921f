package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

const (
	public = "--public-url=https://auth.example.com"
	smtp   = "--mail-url=smtp://mail.example.com:587"
	from   = "--mail-from=no-reply@example.com"
	key32  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	weak   = "correct-horse-battery"
)

// Each of the rejectedSettings must stop the start, with exactly the lines in want as error output.
var rejectedSettings = []struct {
	name  string
	args  string // separated by spaces
	env   []string
	files map[string]string
	want  []string // lines of stderr, without the program's name; … matches any text
}{
	// CFG-1, CK-6
	{name: "http off the machine", args: "--public-url=http://auth.example.com " + smtp + " " + from,
		want: []string{"public-url (flag --public-url): plain http is for loopback names only…Write " +
			"https://auth.example.com."}},
	{name: "public URL with a path", args: "--public-url=https://auth.example.com/auth " + smtp + " " + from,
		want: []string{"public-url (flag --public-url): …Write https://auth.example.com."}},
	{name: "public URL with a slash", args: "--public-url=http://localhost:8080/",
		want: []string{"public-url (flag --public-url): …Write http://localhost:8080."}},
	{name: "public URL with a query", args: "--public-url=http://localhost:8080?a=b",
		want: []string{"public-url…Write http://localhost:8080."}},
	{name: "public URL with an empty query", args: "--public-url=http://localhost:8080?",
		want: []string{"public-url…Write http://localhost:8080."}},
	{name: "public URL with a fragment", args: "--public-url=http://localhost:8080#a",
		want: []string{"public-url…Write http://localhost:8080."}},
	{name: "public URL in upper case", args: "--public-url=http://LOCALHOST:8080",
		want: []string{"public-url…Write http://localhost:8080."}},
	{name: "public URL with its own port", args: "--public-url=http://localhost:80",
		want: []string{"public-url…Write http://localhost."}},
	{name: "public URL with credentials", args: "--public-url=http://me:" + weak + "@localhost:8080",
		want: []string{"public-url…credentials…Write http://localhost:8080."}},
	{name: "public URL of another kind", args: "--public-url=ftp://localhost",
		want: []string{"public-url…is not an origin…such as https://app.example.com."}},
	{name: "public URL without scheme", args: "--public-url=localhost:8080",
		want: []string{"public-url…is not an origin…"}},
	{name: "public URL without anything", args: "--public-url=", want: []string{"public-url…is empty…"}},
	{name: "public URL with a final dot", args: "--public-url=http://localhost.:8080",
		want: []string{"public-url…has no valid host name…"}},
	{name: "public URL with a bad port", args: "--public-url=http://localhost:99999",
		want: []string{"public-url…has no valid port…"}},
	{name: "public URL with an empty port", args: "--public-url=http://localhost:",
		want: []string{"public-url…has no valid port…"}},
	{name: "public URL with umlauts", args: "--public-url=https://bücher.example " + smtp + " " + from,
		want: []string{"public-url…xn-- form."}},

	// CSRF-4
	{name: "any origin", args: "--allowed-origins=*",
		want: []string{"allowed-origins (flag --allowed-origins): a wildcard…"}},
	{name: "any host", args: "--allowed-origins=https://*.example.com",
		want: []string{"allowed-origins…has a wildcard…"}},
	{name: "null origin", args: "--allowed-origins=null", want: []string{"allowed-origins…null is the origin of any…"}},
	{name: "origin with a path", args: "--allowed-origins=https://app.example.com/app",
		want: []string{"allowed-origins…Write https://app.example.com."}},
	{name: "origin with a slash", args: "--allowed-origins=https://app.example.com/",
		want: []string{"allowed-origins…Write https://app.example.com."}},
	{name: "origin in upper case", args: "--allowed-origins=https://App.Example.com",
		want: []string{"allowed-origins…Write https://app.example.com."}},
	{name: "second origin is bad", args: "--allowed-origins=https://app.example.com,app",
		want: []string{"allowed-origins…\"app\" is not an origin…"}},
	{name: "app URL without scheme", args: "--app-url=app.example.com",
		want: []string{"app-url (flag --app-url): is not the address of a page…"}},
	{name: "app URL off the machine over http", args: "--app-url=http://app.example.com/home",
		want: []string{"app-url…is plain http…Write https://app.example.com."}},
	{name: "app URL with a fragment", args: "--app-url=https://app.example.com/#home",
		want: []string{"app-url…Write it in the form https://app.example.com/."}},
	{name: "app URL with a user", args: "--app-url=https://me:" + weak + "@app.example.com/",
		want: []string{"app-url…Write it in the form https://app.example.com/."}},
	{name: "no mail where it is the way in", args: "--verify-mail=off --signup=verified",
		want: []string{"verify-mail (flag --verify-mail): off is only for signup=open, but signup is verified. " +
			"Write verify-mail=on, or signup=open."}},
	{name: "no mail and no sign-up", args: "--verify-mail=off --signup=closed",
		want: []string{"verify-mail…off is only for signup=open…"}},
	{name: "http origin off the machine", args: "--allowed-origins=http://app.example.com",
		want: []string{"allowed-origins…Write https://app.example.com."}},

	{name: "domain is a public suffix",
		args: "--cookie-domain=co.uk --public-url=https://auth.co.uk " + smtp + " " + from,
		want: []string{"cookie-domain…co.uk is a public suffix…"}},
	{name: "domain is a shared host",
		args: "--cookie-domain=github.io --public-url=https://me.github.io " + smtp + " " +
			from, want: []string{"cookie-domain…github.io is a public suffix…"}},
	{name: "domain is somebody else's", args: "--cookie-domain=example.org " + public + " " + smtp + " " + from,
		want: []string{"cookie-domain…is not the public host, auth.example.com, nor a parent…"}},
	{name: "domain that only ends alike", args: "--cookie-domain=th.example.com " + public + " " + smtp + " " + from,
		want: []string{"cookie-domain…nor a parent…"}},
	{name: "domain with a dot", args: "--cookie-domain=.example.com " + public + " " + smtp + " " + from,
		want: []string{"cookie-domain…without a leading dot…"}},
	{name: "domain on localhost", args: "--cookie-domain=localhost",
		want: []string{"cookie-domain…is a public suffix…"}},
	{name: "domain is an address", args: "--cookie-domain=127.0.0.1 --public-url=http://127.0.0.1:8080",
		want: []string{"cookie-domain…is not a domain…"}},
	{name: "SameSite none over http", args: "--cookie-same-site=none",
		want: []string{"cookie-same-site…browsers refuse SameSite=None…"}},
	{name: "SameSite of no kind", args: "--cookie-same-site=Strict",
		want: []string{"cookie-same-site…Write one of: strict, lax, none."}},
	{name: "prefix over http", args: "--cookie-name=__Host-a",
		want: []string{"cookie-name…browsers refuse __Host-a over http…"}},
	{name: "prefix with a domain", args: "--cookie-name=__Host-a --cookie-domain=example.com " + public + " " + smtp +
		" " + from, want: []string{"cookie-name…browsers refuse a __Host- cookie…"}},
	{name: "cookie name with a blank", env: []string{"WATCHWORD_COOKIE_NAME=a b"},
		want: []string{"cookie-name (environment WATCHWORD_COOKIE_NAME): …is not a cookie name…"}},
	{name: "cookie name of a partitioned cookie", args: "--cookie-name=mine-partitioned",
		want: []string{"cookie-name…mine-partitioned ends in -partitioned, which is kept…Write another name."}},
	{name: "cookie name of a known device", args: "--cookie-name=mine-known",
		want: []string{"cookie-name…-known, which…"}},
	{name: "cookie name of the dialect lesson", args: "--cookie-name=jwt", want: []string{"cookie-name…of a dialect…"}},
	{name: "cookie name of the dialect users", args: "--cookie-name=refreshTkn",
		want: []string{"cookie-name…of a dialect…"}},
	{name: "cookie name of a step", args: "--cookie-name=mine-step", want: []string{"cookie-name…-step, which…"}},
	{name: "cookie name of a device", args: "--cookie-name=mine-device", want: []string{"cookie-name…-device, which…"}},
	{name: "cookie name of the pages", args: "--cookie-name=mine-page", want: []string{"cookie-name…-page, which…"}},
	{name: "cookie name of a provider", args: "--cookie-name=a-with-b",
		want: []string{"cookie-name…a-with-b contains -with-, which is kept…Write another name."}},

	{name: "mailbox for everybody", args: "--listen=:8080",
		want: []string{"dev-mail: other machines can reach :8080…dev-mail=any if a firewall stands before it."}},
	{name: "mailbox on an address", args: "--listen=192.0.2.1:8080 --public-url=http://localhost:8080",
		want: []string{"dev-mail: other machines can reach 192.0.2.1:8080…"}},
	{name: "mailbox on every IPv6 address", args: "--listen=[::]:8080 --public-url=http://localhost:8080",
		want: []string{"dev-mail: other machines can reach [::]:8080…"}},
	{name: "mailbox of another kind", args: "--dev-mail=yes", want: []string{"dev-mail…Write one of: loopback, any."}},

	{name: "HS256 without secret", args: "--signing-alg=HS256",
		want: []string{"signing-secret: is missing, but signing-alg is HS256…"}},
	// CFG-1
	{name: "HS256 with a short secret", args: "--signing-alg=HS256", env: []string{"WATCHWORD_SIGNING_SECRET=" + weak},
		want: []string{"signing-secret (environment WATCHWORD_SIGNING_SECRET): has 21 bytes…"}},
	{name: "secret without HS256", env: []string{"WATCHWORD_SIGNING_SECRET=0123456789abcdef0123456789abcdef"},
		want: []string{"signing-secret…is for HS256, but signing-alg is ES256…"}},
	{name: "no signing", args: "--signing-alg=none",
		want: []string{"signing-alg…Write one of: ES256, Ed25519, RS256, HS256."}},
	// JWT-17
	{name: "claim of the token", args: "--claims=email,sub=me",
		want: []string{"claims…claim \"sub\" is reserved. Choose another name…"}},
	{name: "claim of the token in another case", args: "--claims=SUB=x",
		want: []string{"claims…claim \"SUB\" is reserved…"}},
	{name: "claim of the user in another case", args: "--claims=Email=me@example.com",
		want: []string{"claims…claim \"Email\" is reserved…"}},
	{name: "claim with a long s", args: "--claims=\u017fub=x", want: []string{"claims…is reserved…"}},
	{name: "claim twice", args: "--claims=tier=a,tier=b", want: []string{"claims…names \"tier\" twice…"}},
	{name: "claim twice in another case", args: "--claims=tier=a,Tier=b",
		want: []string{"claims…appears twice with different case…"}},
	{name: "claim computed from nothing known", args: "--claims=user=@uid",
		want: []string{"claims…claim \"user\" can't be computed from \"@uid\". Write one of @id, @role,…"}},
	{name: "claim that names a value of the user", args: "--claims=userId=id",
		want: []string{
			"claims…the constant of claim \"userId\" is id, the same text for every user. Write userId=@id…"}},
	{name: "computed claim with a reserved name", args: "--claims=Roles=@roles",
		want: []string{"claims…claim \"Roles\" is reserved…"}},
	{name: "computed claims that are long", args: "--claims=a=@name,b=@name,c=@name,d=@name",
		want: []string{"claims…an access token could have…the limit is 4000…"}},
	// JWT-20
	{name: "issuer with public keys", args: "--issuer=your-app",
		want: []string{"issuer (flag --issuer): …signing-alg is ES256. Remove it, or write signing-alg=HS256."}},
	{name: "issuer with a quote", args: "--signing-alg=HS256", env: []string{`WATCHWORD_ISSUER=your"app`,
		"WATCHWORD_SIGNING_SECRET=0123456789abcdef0123456789abcdef"},
		want: []string{"issuer (environment WATCHWORD_ISSUER): …is malformed. Write 1 to 128 characters…"}},
	{name: "claim that is long", args: "--claims=a=" + strings.Repeat("x", 3000),
		want: []string{"claims…an access token could have…the limit is 4000. Write shorter claims…"}},
	{name: "audience that is long", args: "--audience=" + strings.Repeat("x", 3000),
		want: []string{"claims…an access token could have…a shorter audience…"}},
	{name: "claim that says nothing", args: "--claims=phone",
		want: []string{"claims…\"phone\" is not an optional claim…"}},
	{name: "claim without value", args: "--claims=tier=", want: []string{"claims…lacks its key or its value…"}},

	{name: "limits off in public", args: "--limits=off " + public + " " + smtp + " " + from,
		want: []string{"limits (flag --limits): off is for load tests…"}},
	{name: "grace too long", args: "--refresh-grace=61s",
		want: []string{"refresh-grace…61s is too long. Write 60s or less."}},
	{name: "grace negative", args: "--refresh-grace=-1s",
		want: []string{"refresh-grace…is too short. Write 0s or more."}},
	{name: "access tokens too short", args: "--access-ttl=9s",
		want: []string{"access-ttl…9s is too short. Write 10s or more."}},
	{name: "access tokens too long", args: "--access-ttl=61m",
		want: []string{"access-ttl…61m is too long. Write 1h or less."}},
	{name: "a number for a duration", env: []string{"WATCHWORD_ACCESS_TTL=900"},
		want: []string{"access-ttl (environment WATCHWORD_ACCESS_TTL): \"900\" is not a duration…"}},
	{name: "an empty duration", env: []string{"WATCHWORD_ACCESS_TTL="},
		want: []string{"access-ttl…is not a duration…"}},
	{name: "idle longer than life", args: "--session-idle=48h --session-max=24h",
		want: []string{"session-idle…48h is longer than session-max, 24h…"}},
	{name: "sessions too short", args: "--session-idle=1s --session-max=1s",
		want: []string{"session-idle…is too short…", "session-max…is too short…"}},
	{name: "reset links too long", args: "--reset-ttl=31m",
		want: []string{"reset-ttl…31m is too long. Write 30m or less…"}},
	{name: "no sessions", args: "--max-sessions=0", want: []string{"max-sessions…is not a number from 1 to 10000…"}},
	{name: "always forgiving", args: "--rotation-clean=0",
		want: []string{"rotation-clean…is not a number from 1 to 1000…"}},
	{name: "reuse ends nothing", args: "--reuse-ends=none", want: []string{"reuse-ends…Write one of: session, all."}},
	{name: "proven accounts linked in a third way", args: "--link-proven=off",
		want: []string{"link-proven…Write one of: ask, auto."}},
	{name: "signup of no kind", args: "--signup=maybe", want: []string{"signup…Write one of: open, verified, closed."}},

	// PW-1
	{name: "short passwords", args: "--password-min=7",
		want: []string{"password-min…\"7\" is not a number from 8 to 128…"}},
	{name: "short passwords under nist", args: "--password-min=10 --password-profile=nist",
		want: []string{"password-min…10 is less than the 15…"}},
	{name: "a word that is too short", args: "--password-words=acme,ww",
		want: []string{"password-words…\"ww\" does not have 3 to 64 characters…"}},
	{name: "too many words", args: "--password-words=" + strings.Repeat("word,", 100) + "word",
		want: []string{"password-words…has 101 words. Write at most 100…"}},
	{name: "cheap argon2id", args: "--hash-cost=m=1024,t=1,p=1",
		want: []string{"hash-cost…is too low: write at least…"}},
	{name: "argon2id with bcrypt's cost", args: "--hash-cost=12",
		want: []string{"hash-cost…can't be read: write it as m=…"}},
	{name: "bcrypt too cheap", args: "--hash-alg=bcrypt --hash-cost=4",
		want: []string{"hash-cost…write a number from 10 to 15."}},
	{name: "md5", args: "--hash-alg=md5", want: []string{"hash-alg…Write one of: argon2id, bcrypt."}},

	{name: "proxies that are no network", args: "--trusted-proxies=proxy",
		want: []string{"trusted-proxies…is not a network…"}},
	{name: "proxy without length", args: "--trusted-proxies=10.1.2.3",
		want: []string{"trusted-proxies…Write 10.1.2.3/32."}},
	{name: "proxy with bits too many", args: "--trusted-proxies=10.1.2.3/8",
		want: []string{"trusted-proxies…Write 10.0.0.0/8."}},
	// CFG-1
	{name: "everybody is a proxy", args: "--trusted-proxies=0.0.0.0/0",
		want: []string{"trusted-proxies…contains every address…"}},
	{name: "everybody is a proxy over IPv6", args: "--trusted-proxies=10.0.0.0/8,::/0",
		want: []string{"trusted-proxies…contains every address…"}},

	{name: "PostgreSQL without a master key", env: []string{"WATCHWORD_STORE=postgres://me:" + weak + "@db/auth"},
		want: []string{"master-key: is missing…"}},
	{name: "PostgreSQL nowhere", args: "--store=postgres://:port/",
		want: []string{"store…is not a PostgreSQL URL…", "master-key: is missing…"}},
	{name: "another store", args: "--store=redis://localhost", want: []string{"store…is not a store…"}},
	{name: "a dialect twice", args: "--dialects=users,users", want: []string{"dialects…twice…"}},
	{name: "no dialect", args: "--dialects=oidc", want: []string{"dialects…\"oidc\" is not a dialect…"}},
	{name: "no data directory", args: "--data-dir=", want: []string{"data-dir…is empty…"}},
	// CFG-1
	{name: "short master key", env: []string{"WATCHWORD_MASTER_KEY=" + weak},
		want: []string{"master-key (environment WATCHWORD_MASTER_KEY): is not 32 bytes in base64…"}},

	{name: "development mailbox in public", args: public,
		want: []string{"mail-url: is missing: the development mailbox is for loopback public URLs only…"}},
	{name: "mail without sender", args: smtp, want: []string{"mail-from: is missing…"}},
	{name: "sender that is none", args: smtp + " --mail-from=me",
		want: []string{"mail-from…is not an address…Write the sender of mails…"}},
	{name: "mail by http", args: "--mail-url=https://mail.example.com " + from,
		want: []string{"mail-url…must begin with smtp:// or smtps://. Write smtp…"}},
	{name: "mail without a host", args: "--mail-url=smtp:// " + from, want: []string{"mail-url…has no host…"}},
	{name: "mail with more", args: "--mail-url=smtp://mail.example.com/?tls=off " + from,
		want: []string{"mail-url…must not have a path…"}},
	{name: "mail password in plain", env: []string{"WATCHWORD_MAIL_URL=smtp://me:" + weak + "%@mail.example.com"},
		args: from, want: []string{"mail-url…is not a URL…"}},

	{name: "mail user without password", args: "--mail-url=smtp://me@mail.example.com " + from,
		want: []string{"mail-url…has a user without a password…"}},
	{name: "sender without domain", args: smtp + " --mail-from=me@localhost",
		want: []string{"mail-from…is not an address…"}},

	{name: "certificate without key", args: "--tls-cert=cert.pem --public-url=https://localhost:8080",
		want: []string{"tls-cert…has no key…"}},
	{name: "key without certificate", args: "--tls-key=key.pem --public-url=https://localhost:8080",
		want: []string{"tls-cert: is missing…"}},
	{name: "certificate that is not there", args: "--tls-cert=cert.pem --tls-key=key.pem " +
		"--public-url=https://localhost:8080", want: []string{"tls-cert…cert.pem: no such file…"}},
	{name: "certificate for http", args: "--tls-cert=cert.pem --tls-key=key.pem",
		want: []string{"tls-cert…the public URL is http…"}},

	{name: "listen nowhere", args: "--listen=8080", want: []string{"listen…is not an address to listen on…"}},
	// CFG-4
	{name: "one listener for both", args: "--admin-listen=127.0.0.1:8080",
		want: []string{"admin-listen…is the same as listen…"}},

	{name: "limit without time", args: "--limit-login=100",
		want: []string{"limit-login…is not a limit. Write uses/time, such as 100/15m."}},
	{name: "limit of nothing", args: "--limit-refresh-session=0/1m",
		want: []string{"limit-refresh-session…is not a limit…"}},
	{name: "log format", args: "--log-format=xml", want: []string{"log-format…Write one of: auto, text, json."}},
	{name: "log level", args: "--log-level=loud", want: []string{"log-level…Write one of: debug, info, warn, error."}},

	{name: "unknown variable", env: []string{"WATCHWORD_PUBLIC_URI=http://localhost"},
		want: []string{"WATCHWORD_PUBLIC_URI: is not a setting. Write WATCHWORD_PUBLIC_URL, or remove it."}},
	{name: "variable far from any", env: []string{"WATCHWORD_COLOUR=red"},
		want: []string{"WATCHWORD_COLOUR: is not a setting. Remove it…"}},
	{name: "variable in lower case", env: []string{"WATCHWORD_listen=:1"},
		want: []string{"WATCHWORD_listen: is not a setting. Write WATCHWORD_LISTEN, or remove it."}},
	{name: "variables of Kubernetes", env: []string{"WATCHWORD_PORT=tcp://10.0.0.1:80"},
		want: []string{"WATCHWORD_PORT: …enableServiceLinks: false…"}},
	{name: "file of what is no secret", env: []string{"WATCHWORD_LISTEN_FILE=listen.txt"},
		want: []string{"WATCHWORD_LISTEN_FILE: is not a setting…"}},
	{name: "unknown variable in .env", files: map[string]string{".env": "WATCHWORD_SIGNUPS=open\nOTHER=1\n"},
		want: []string{"WATCHWORD_SIGNUPS: is not a setting. Write WATCHWORD_SIGNUP, or remove it."}},
	{name: "broken .env", files: map[string]string{".env": "this is " + weak + " '\n"},
		want: []string{".env: …Write lines of NAME=value, or remove it."}},
	{name: "secret file that is not there", env: []string{"WATCHWORD_MASTER_KEY_FILE=nowhere"},
		want: []string{"WATCHWORD_MASTER_KEY_FILE: nowhere: no such file…"}},
	{name: "secret file without secret", env: []string{"WATCHWORD_MASTER_KEY_FILE=key"},
		files: map[string]string{"key": "\n"}, want: []string{"WATCHWORD_MASTER_KEY_FILE: key is empty…"}},
	{name: "secret twice", env: []string{"WATCHWORD_MASTER_KEY_FILE=key", "WATCHWORD_MASTER_KEY=" + key32},
		files: map[string]string{"key": key32},
		want:  []string{"master-key…is given twice…Keep one of them."}},

	{name: "no file of settings", args: "--config=ww.yaml", want: []string{"config: ww.yaml: no such file…"}},
	{name: "file that is not YAML", args: "--config=ww.yaml", files: map[string]string{"ww.yaml": "a: [" + weak},
		want: []string{"ww.yaml: is not YAML…"}},
	{name: "file that is a list", args: "--config=ww.yaml", files: map[string]string{"ww.yaml": "- listen"},
		want: []string{"ww.yaml: is not a list of settings…"}},
	{name: "unknown key", env: []string{"WATCHWORD_CONFIG=ww.yaml"},
		files: map[string]string{"ww.yaml": "# ours\nlisten: localhost:8080\npublic_url: x\n"},
		want:  []string{"ww.yaml:3: \"public_url\" is not a setting. Write public-url:, or remove it."}},
	{name: "key twice", args: "--config=ww.yaml",
		files: map[string]string{"ww.yaml": "listen: localhost:8080\nlisten: " +
			"localhost:8081\n"}, want: []string{"listen (ww.yaml:2): is given twice, by ww.yaml:1 and by ww.yaml:2…"}},
	{name: "key without value", args: "--config=ww.yaml", files: map[string]string{"ww.yaml": "access-ttl:\n"},
		want: []string{"ww.yaml:1: access-ttl has no readable value. Write access-ttl: 15m, or remove the line."}},
	{name: "list for a word", args: "--config=ww.yaml", files: map[string]string{"ww.yaml": "signup: [open]\n"},
		want: []string{"ww.yaml:1: signup has no readable value…"}},

	{name: "all faults at once", args: "--access-ttl=1s --signup=no",
		env:   []string{"WATCHWORD_X=1", "WATCHWORD_TRUSTED_PROXIES=*"},
		files: map[string]string{"ww.yaml": "nope: 1\npassword-min: 3\n", ".env": "WATCHWORD_CONFIG=ww.yaml\n"},
		want: []string{"access-ttl (flag --access-ttl)…", "signup (flag --signup)…", "WATCHWORD_X…",
			"ww.yaml:1: \"nope\"…",
			"password-min (ww.yaml:2)…",
			"trusted-proxies (environment WATCHWORD_TRUSTED_PROXIES)…"}},
}

// W-13, W-50, W-59, W-68
func TestDangerousSettingStopsTheStart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the program is not started for each setting")
	}
	for _, c := range rejectedSettings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, call{env: c.env, files: c.files, args: append([]string{"serve"}, strings.Fields(c.args)...)})
			if got.code != 2 || got.out != "" {
				t.Errorf("exit code %d and output %q, want 2 and none", got.code, got.out)
			}
			if strings.Contains(got.errors, weak) {
				t.Errorf("a secret is shown:\n%s", got.errors)
			}
			wantLines(t, got.errors, c.want)
		})
	}
}

// The lines of text may have any order. In a wanted line, … matches any text.
func wantLines(t *testing.T, text string, want []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, each := range want {
		if !anyLine(lines, "watchword: "+each) {
			t.Errorf("no line like\n  %s\nin\n%s", each, text)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d:\n%s", len(lines), len(want), text)
	}
}

func anyLine(lines []string, pattern string) bool {
	parts := strings.Split(pattern, "…")
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, parts[0])
		for _, part := range parts[1:] {
			_, after, found := strings.Cut(rest, part)
			rest, ok = after, ok && found
		}
		last := parts[len(parts)-1]
		if ok && (last == "" || strings.HasSuffix(line, last)) {
			return true
		}
	}
	return false
}

// effectiveSettings returns the value and the origin of each setting by name, from `watchword config --json`.
func effectiveSettings(t *testing.T, c call) map[string][2]string {
	t.Helper()
	c.args = append([]string{"config", "--json"}, c.args...)
	got := run(t, c)
	if got.code != 0 {
		t.Fatalf("exit code %d:\n%s", got.code, got.errors)
	}
	var shown struct {
		Settings []struct{ Name, Value, Origin string }
	}
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil {
		t.Fatal(err)
	}
	values := map[string][2]string{}
	for _, s := range shown.Settings {
		values[s.Name] = [2]string{s.Value, s.Origin}
	}
	return values
}

func TestSourcesOfSettingsHavePrecedence(t *testing.T) {
	t.Parallel()
	c := call{
		env: []string{"WATCHWORD_CONFIG=ww.yaml", "WATCHWORD_ACCESS_TTL=11m", "WATCHWORD_SESSION_IDLE=11h"},
		files: map[string]string{
			".env": "WATCHWORD_ACCESS_TTL=12m\nWATCHWORD_SESSION_IDLE=12h\nWATCHWORD_RESET_TTL=12m\n",
			"ww.yaml": "access-ttl: 13m\nsession-idle: 13h\nreset-ttl: 13m\nverify-ttl: 13h\n" +
				"claims: [email, tier=gold]\n",
		},
		args: []string{"--access-ttl=10m"},
	}
	got := effectiveSettings(t, c)
	for name, want := range map[string][2]string{
		"access-ttl":   {"10m", "flag --access-ttl"},
		"session-idle": {"11h", "environment WATCHWORD_SESSION_IDLE"},
		"reset-ttl":    {"12m", ".env WATCHWORD_RESET_TTL"},
		"verify-ttl":   {"13h", "ww.yaml:4"},
		"session-max":  {"720h", "default"},
		"claims":       {"email,tier=gold", "ww.yaml:5"},
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// PW-1
func TestDefaultsDeriveFromOtherSettings(t *testing.T) {
	t.Parallel()
	got := effectiveSettings(t, call{args: []string{"--listen=127.0.0.1:9000", "--password-profile=nist"}})
	if got["public-url"][0] != "http://localhost:9000" || got["password-min"][0] != "15" {
		t.Errorf("public-url is %q, password-min %q", got["public-url"], got["password-min"])
	}
}

// CFG-3
func TestSecretFromAFileIsNotShown(t *testing.T) {
	t.Parallel()
	got := effectiveSettings(t, call{
		env: []string{
			"WATCHWORD_MASTER_KEY_FILE=key", "WATCHWORD_SIGNING_ALG=HS256",
			"WATCHWORD_SIGNING_SECRET=0123456789abcdef0123456789abcdef",
			"WATCHWORD_MAIL_URL=smtps://me:" + weak + "@mail.example.com", "WATCHWORD_MAIL_FROM=no-reply@example.com",
		},
		files: map[string]string{"key": key32 + "\n"},
	})
	for name, want := range map[string][2]string{
		"master-key":     {"[redacted]", "file key (WATCHWORD_MASTER_KEY_FILE)"},
		"signing-secret": {"[redacted]", "environment WATCHWORD_SIGNING_SECRET"},
		"mail-url":       {"smtps://me:xxxxx@mail.example.com", "environment WATCHWORD_MAIL_URL"},
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// The setting of each case resembles a rejected setting, but the server must accept it.
func TestSafeSettingIsAccepted(t *testing.T) {
	t.Parallel()
	certificate, key := createLocalhostCertificate(t)
	for _, c := range []struct {
		name, args string
		files      map[string]string
	}{
		{name: "nothing set"},
		{name: "loopback by address", args: "--public-url=http://127.0.0.1:9999"},
		{name: "loopback by IPv6", args: "--public-url=http://[::1]:8080"},
		{name: "name below localhost", args: "--public-url=http://auth.localhost:8080"},
		{name: "in public", args: strings.Join([]string{public, smtp, from}, " ")},
		{name: "parent as cookie domain",
			args: strings.Join([]string{public, smtp, from, "--cookie-domain=example.com", "--cookie-name=__Secure-w"},
				" ")},
		{name: "cross-site cookies on https", args: "--public-url=https://localhost:8080 --cookie-same-site=none"},
		{name: "origins", args: "--allowed-origins=https://app.example.com,http://localhost:3000"},
		{name: "app URL", args: "--app-url=https://app.example.com/home?tab=1"},
		{name: "app URL of the same origin", args: "--app-url=http://localhost:8080/app"},
		{name: "no mail at sign-up", args: "--verify-mail=off"},
		{name: "two dialects", args: "--dialects=users,lesson"},
		{name: "no grace", args: "--refresh-grace=0"},
		{name: "no admin listener", args: "--admin-listen="},
		{name: "nist", args: "--password-profile=nist"},
		{name: "bcrypt", args: "--hash-alg=bcrypt --hash-cost=12"},
		{name: "limits off on loopback", args: "--limits=off"},
		{name: "empty file", args: "--config=ww.yaml", files: map[string]string{"ww.yaml": "# nothing yet\n"}},
		{name: "https of our own", args: "--public-url=https://localhost:8443 --tls-cert=cert.pem --tls-key=key.pem",
			files: map[string]string{"cert.pem": certificate, "key.pem": key}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			effectiveSettings(t, call{files: c.files, args: strings.Fields(c.args)})
		})
	}
}

func TestConfigPrintsFaultySettings(t *testing.T) {
	t.Parallel()
	got := run(t, call{args: []string{"config", "--signup=maybe", "--reuse-ends=all"}})
	if got.code != 2 || !strings.Contains(got.errors, "signup") || !strings.Contains(got.out, "flag --reuse-ends") {
		t.Errorf("exit code %d\n%s\n%s", got.code, got.out, got.errors)
	}
}

// Both results are PEM.
func createLocalhostCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

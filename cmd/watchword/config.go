package main

import (
	"reflect"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// Settings holds every setting of the program. Its struct tags are the only place that
// defines a setting: flags, environment variables, keys of the file, `watchword config`
// and docs/settings.md are derived from them.
//
//	name     as a flag and in the file; WATCHWORD_NAME in the environment
//	default  as text
//	oneof    the allowed words
//	min max  bounds of a number or a duration, both included
//	secret   what is never printed: "all" of the value, or the "password" in a URL
//
// Rules about several settings are in config_rules.go. Defaults that depend on other settings are in
// config_faults.go.
type Settings struct {
	// By default, only this machine can reach the listeners. If an operator forgets this
	// setting, the server is unreachable instead of open to everyone.
	Listen      string `name:"listen" default:"127.0.0.1:8080" group:"network" help:"Address of the public listener."`
	AdminListen string `name:"admin-listen" default:"127.0.0.1:9090" group:"network" help:"Address of the admin listener: metrics, profiling and details of readiness. Empty: no admin listener."`
	Pprof       string `name:"pprof" default:"off" oneof:"on,off" group:"network" help:"Profiling on the admin listener, at /debug/pprof/."`
	TLSCert     string `name:"tls-cert" group:"network" help:"Certificate file, to serve https without a proxy; reloaded when it changes."`
	TLSKey      string `name:"tls-key" group:"network" help:"Private key file of the certificate."`
	PublicURL   string `name:"public-url" default:"http://localhost:8080" group:"network" help:"Address at which clients reach the server. It is the issuer and the start of every link. Plain http is allowed only on a loopback name; with https, cookies are secure. If it is not set: localhost with the port of listen."`

	// A load balancer needs time to notice that the server is not ready. Set the delay to more
	// than the interval of its probes.
	DrainDelay time.Duration `name:"drain-delay" default:"5s" min:"0s" max:"5m" group:"network" help:"After SIGTERM, the server reports not ready but serves requests for this time. Then it closes the listener. The default is 0s with a loopback public URL."`

	// allowed-origins and app-url let front-ends send credentials. trusted-proxies lets proxies
	// state a client's address. All three are empty by default, because each setting trusts
	// other machines.
	AllowedOrigins []string `name:"allowed-origins" group:"network" help:"Exact origins of front-ends on other hosts, comma separated. The origins of apps have the form capacitor://HOST, tauri://HOST or chrome-extension://ID."`
	AppURL         string   `name:"app-url" group:"network" help:"URL of the front-end, to which pages and mails link, such as https://app.example.com/. The server also accepts requests from the origin of this URL."`
	TrustedProxies []string `name:"trusted-proxies" group:"network" help:"Networks (CIDR) of the proxies from which the server accepts X-Forwarded-For, comma separated."`
	AdminACR       string   `name:"admin-acr" default:"aal2" oneof:"aal2,aal1" group:"network" help:"Authentication level (acr) that the session of an administrator needs. aal1: a password alone is enough."`
	AdminOn        string   `name:"admin-on" default:"public" oneof:"public,admin" group:"network" help:"admin: the admin API and the admin pages are on the admin listener only, with a separate sign-in."`
	AdminURL       string   `name:"admin-url" group:"network" help:"Address at which browsers reach the admin listener, with admin-on=admin. Plain http is allowed only on a loopback name. Empty: http with the address of admin-listen. If that host is not loopback, localhost replaces it."`
	AdminPages     string   `name:"admin-pages" default:"on" oneof:"on,off" group:"network" help:"off: there are no pages at /admin."`
	PagesDir       string   `name:"pages-dir" group:"network" help:"Folder with your own templates, texts, style and logo (docs/pages.md); empty: the built-in pages."`
	ProductName    string   `name:"product-name" group:"network" help:"Name of the service in pages and mails; empty: the host of the public URL."`
	Dialects       []string `name:"dialects" group:"network" help:"Dialects: additional APIs in the form of other servers, comma separated: users, lesson (docs/dialects.md)."`

	// By default, all data is in one folder, which the operator can back up as a whole. The
	// store is a secret, because a URL can contain a password. The master key is a secret,
	// because it decrypts all other keys.
	DataDir   string           `name:"data-dir" default:"./watchword-data" group:"data" help:"Folder of the embedded database, the master key and the development mailbox."`
	Store     watchword.Secret `name:"store" default:"sqlite:" secret:"password" group:"data" help:"sqlite:PATH, or postgres://user:password@host/database. With sqlite: and no path, the file is in the data directory."`
	MasterKey watchword.Secret `name:"master-key" secret:"all" group:"data" help:"32 bytes in base64 that encrypt keys at rest. Empty: the server creates a key file in the data directory."`

	// A service that does not follow the revocation feed accepts a revoked access token until
	// it expires. A short lifetime therefore limits the use of a stolen token. ES256 is the
	// default, because every library verifies it.
	Issuer        string           `name:"issuer" group:"tokens" help:"iss of access tokens, if your services expect a name other than the public URL. It needs signing-alg=HS256. Empty: the public URL."`
	Audience      string           `name:"audience" group:"tokens" help:"aud of access tokens; empty: the public URL."`
	AccessTTL     time.Duration    `name:"access-ttl" default:"15m" min:"10s" max:"1h" group:"tokens" help:"Lifetime of an access token."`
	SigningAlg    string           `name:"signing-alg" default:"ES256" oneof:"ES256,Ed25519,RS256,HS256" group:"tokens" help:"How access tokens are signed. With HS256, services need signing-secret to verify tokens."`
	SigningSecret watchword.Secret `name:"signing-secret" secret:"all" group:"tokens" help:"Secret of HS256: at least 32 bytes, which are used without decoding."`
	Claims        []string         `name:"claims" group:"tokens" help:"Optional claims of access tokens, comma separated: email, name, fixed claims as key=value, and computed claims as key=@VALUE. @VALUE is @id, @role, @roles, @email, @name, @sid or @public.PATH (public metadata of the user)."`

	// refresh-grace and rotation-clean are the parameters of docs/rotation.md. The document
	// explains the effects of other values. The upper bounds keep the detection of theft
	// effective.
	RefreshGrace   time.Duration `name:"refresh-grace" default:"10s" min:"0s" max:"60s" group:"sessions" help:"How long a superseded refresh token is still accepted."`
	RotationClean  int           `name:"rotation-clean" default:"1" min:"1" max:"1000" group:"sessions" help:"Number of generations that must follow a forgiven generation before the server forgives another."`
	ReuseEnds      string        `name:"reuse-ends" default:"session" oneof:"session,all" group:"sessions" help:"Sessions that end when a refresh token is reused. session: the session of the token; all: all sessions of the user."`
	SessionIdle    time.Duration `name:"session-idle" default:"168h" min:"10s" group:"sessions" help:"Longest time between two refreshes of a session."`
	SessionMax     time.Duration `name:"session-max" default:"720h" min:"10s" group:"sessions" help:"Longest lifetime of a session."`
	MaxSessions    int           `name:"max-sessions" default:"100" min:"1" max:"10000" group:"sessions" help:"Maximum number of sessions of a user. A sign-in above this number ends the oldest session."`
	CookieName     string        `name:"cookie-name" group:"sessions" help:"Name of the refresh cookie; empty: __Host-watchword on https (__Secure-watchword with a domain), watchword on http."`
	CookieSameSite string        `name:"cookie-same-site" default:"strict" oneof:"strict,lax,none" group:"sessions" help:"SameSite of the refresh cookie. none is for front-ends on other sites; it needs https and adds a partitioned cookie."`
	CookieDomain   string        `name:"cookie-domain" group:"sessions" help:"Domain of the refresh cookie; empty: only the host of the public URL."`

	// The hash costs follow OWASP's minimum for argon2id. Links that reset a password expire
	// sooner than links that verify an address, because a stolen reset link opens the account.
	Signup          string        `name:"signup" default:"open" oneof:"open,verified,closed" group:"accounts" help:"Who can create an account. open: anyone. verified: anyone who verifies the address first. closed: only operators."`
	PasswordMin     int           `name:"password-min" default:"8" min:"8" max:"128" group:"accounts" help:"Minimum number of characters of a password."`
	PasswordWords   []string      `name:"password-words" group:"accounts" help:"Words, comma separated. The server rejects a password that consists only of these words, the user's address and name, product-name and the host of public-url."`
	PasswordProfile string        `name:"password-profile" default:"default" oneof:"default,nist" group:"accounts" help:"nist sets password-min to 15."`
	HashAlg         string        `name:"hash-alg" default:"argon2id" oneof:"argon2id,bcrypt" group:"accounts" help:"How new passwords are hashed."`
	HashCost        string        `name:"hash-cost" group:"accounts" help:"Cost of a hash: m=KiB,t=passes,p=threads for argon2id, 10 to 15 for bcrypt. Empty: m=19456,t=2,p=1 for argon2id, 10 for bcrypt."`
	HashWorkers     int           `name:"hash-workers" default:"0" min:"0" max:"256" group:"accounts" help:"Passwords hashed at the same time. 0: number of cores minus 1, at least 1. The maximum is the number of cores, or one less under a CPU quota or with GOMAXPROCS."`
	HashQueue       time.Duration `name:"hash-queue" default:"2s" min:"100ms" max:"30s" group:"accounts" help:"Longest wait for hashing before the server responds with 503."`
	VerifyMail      string        `name:"verify-mail" default:"on" oneof:"on,off" group:"accounts" help:"off: sign-up sends no mail that verifies the address; allowed only with signup=open."`
	SecondFactor    string        `name:"second-factor" default:"optional" group:"accounts" help:"off: no account can add a second factor. optional: each user decides. required: all accounts must have one; required:admin,staff: accounts with one of these roles must have one."`
	StepUpAge       time.Duration `name:"step-up-age" default:"5m" min:"10s" max:"24h" group:"accounts" help:"A session may change second factors only within this time after a proof of the user. For an account with a second factor, this also limits changes of address and password."`
	RememberDevice  time.Duration `name:"remember-device" default:"0s" min:"0s" max:"720h" group:"accounts" help:"How long a browser can skip the second factor after the user proved it there; 0: never."`
	Passkeys        string        `name:"passkeys" default:"on" oneof:"on,off" group:"accounts" help:"off: no account can add or use a passkey."`
	PasskeyRPID     string        `name:"passkey-rp-id" group:"accounts" help:"Domain that passkeys are bound to: the host of the public URL, or a parent domain. A later change makes all passkeys unusable. Empty: the host of the public URL."`
	LinkProven      string        `name:"link-proven" default:"ask" oneof:"ask,auto" group:"accounts" help:"Whether a sign-in with a provider opens an existing account with the same proven address. auto: yes, if the provider guarantees that the user owns the address. ask: the user must first sign in to that account."`
	VerifyTTL       time.Duration `name:"verify-ttl" default:"24h" min:"1s" max:"720h" group:"accounts" help:"Lifetime of a mailed link that verifies an address."`
	ResetTTL        time.Duration `name:"reset-ttl" default:"15m" min:"1s" max:"30m" group:"accounts" help:"Lifetime of a mailed link that resets a password."`

	// The development mailbox shows every mail without a sign-in, so it needs a loopback public
	// URL.
	MailURL  watchword.Secret `name:"mail-url" secret:"password" group:"mail" help:"smtp://user:password@host:587 (STARTTLS) or smtps://…:465; empty: the development mailbox."`
	MailFrom string           `name:"mail-from" group:"mail" help:"Sender of mails, as in: Example <no-reply@example.com>."`
	DevMail  string           `name:"dev-mail" default:"loopback" oneof:"loopback,any" group:"mail" help:"any: the development mailbox also works if other machines can reach the address in listen. These machines can then read every mail, with its links."`

	// Each rate limit counts the requests of one account, session, client network or email
	// address. docs/operations.md explains each of them.
	Limits              string          `name:"limits" default:"on" oneof:"on,off" group:"limits" help:"off is allowed only with a loopback public URL, for load tests."`
	LimitFailedPassword watchword.Limit `name:"limit-failed-passwords" default:"10/15m" group:"limits" help:"Failed passwords of one account from one client network."`
	LimitLogin          watchword.Limit `name:"limit-login" default:"100/15m" group:"limits" help:"Logins of one client."`
	LimitSignup         watchword.Limit `name:"limit-signup" default:"20/15m" group:"limits" help:"Sign-ups of one client."`
	LimitMail           watchword.Limit `name:"limit-mail" default:"30/15m" group:"limits" help:"Requests of one client that send mail."`
	LimitMailAddress    watchword.Limit `name:"limit-mail-address" default:"3/1h" group:"limits" help:"Mails of one kind to one address. Further mails are dropped silently, but a reset is sent when no earlier link works."`
	LimitRefreshSession watchword.Limit `name:"limit-refresh-session" default:"60/1m" group:"limits" help:"Refreshes of one session."`
	LimitRefreshClient  watchword.Limit `name:"limit-refresh-client" default:"1200/1m" group:"limits" help:"Refreshes of one client."`

	// Both log formats write durations and times in the same way.
	LogFormat string `name:"log-format" default:"auto" oneof:"auto,text,json" group:"logs" help:"auto: text on a terminal, else json."`
	LogLevel  string `name:"log-level" default:"info" oneof:"debug,info,warn,error" group:"logs" help:"Lowest level that is logged."`

	// Providers is the setting sign-in-with of the YAML file (config_providers.go). It is not a
	// flag, because entries with several keys have no readable form on a command line.
	Providers []providerSetting `kong:"-"`
}

// settingGroups are the headings of the help and the docs, in their order. A setting whose
// group is missing here would not be documented.
var settingGroups = []struct{ key, title string }{
	{"network", "Network"},
	{"data", "Data"},
	{"tokens", "Access tokens"},
	{"sessions", "Sessions"},
	{"accounts", "Accounts and passwords"},
	{"mail", "Mail"},
	{"limits", "Limits, as uses/time"},
	{"logs", "Logs"},
}

// A setting is one field of Settings with its tags. All texts come from the tags, so a new
// setting is one line in Settings. Min and Max are text, because they can be numbers or
// durations.
type setting struct {
	Name, Default, Help, Group string
	OneOf                      []string
	Min, Max                   string
	Secret                     string
	value                      reflect.Value // the field, addressable
}

// listSettings returns the settings in the order of the struct, which is also the order of the
// help and of docs/settings.md. The value of each setting refers to a field of s, so a decoder
// that sets the value changes s. Every field of Settings except Providers must have the tags of
// a setting.
func (s *Settings) listSettings() []setting {
	fields := reflect.ValueOf(s).Elem()
	var all []setting
	for i := range fields.NumField() {
		tag := fields.Type().Field(i).Tag
		if tag.Get("name") == "" {
			continue // Providers has no name, because it is not a flag
		}
		one := setting{
			Name:    tag.Get("name"),
			Default: tag.Get("default"),
			Help:    tag.Get("help"),
			Group:   tag.Get("group"),
			Min:     tag.Get("min"),
			Max:     tag.Get("max"),
			Secret:  tag.Get("secret"),
			value:   fields.Field(i),
		}
		if words := tag.Get("oneof"); words != "" {
			one.OneOf = strings.Split(words, ",")
		}
		all = append(all, one)
	}
	return all
}

// variableName returns the name of the environment variable. The mapping is one to one: no
// setting has an underscore in its name.
func variableName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// envPrefix is the prefix of all environment variables of the program. A variable with this
// prefix and an unknown name is a fault. If an upgrade removes a setting, its old variable
// therefore stops the program, and the operator notices.
const envPrefix = "WATCHWORD_"

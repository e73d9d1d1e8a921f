package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/internal/weborigin"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/smtp"
)

// settingRules are the checks of settings against each other and against the machine, in the
// order in which they run. Each problem function returns "" or sentences for the operator. The
// last sentence says what to write instead. The first value of each rule is the name of the
// setting that the operator has to change. No rule opens a connection or creates a file,
// because `watchword doctor` and `watchword config` run the rules too.
var settingRules = []struct {
	setting string
	problem func(*Settings) string
}{
	{"listen", func(s *Settings) string { return listenProblem(s.Listen) }},
	{"admin-listen", adminListenProblem},
	{"tls-cert", tlsProblem},
	{"public-url", publicURLProblem},
	{"admin-on", adminOnProblem},
	{"admin-url", adminURLProblem},
	{"allowed-origins", func(s *Settings) string { return firstProblem(s.AllowedOrigins, allowedOriginProblem) }},
	{"app-url", appURLProblem},
	{"pages-dir", pagesDirProblem},
	{"product-name", productNameProblem},
	{"trusted-proxies", func(s *Settings) string { return firstProblem(s.TrustedProxies, proxyProblem) }},
	{"dialects", dialectsProblem},
	{"data-dir", dataDirProblem},
	{"store", storeProblem},
	{"master-key", masterKeyProblem},
	{"signing-secret", signingSecretProblem},
	{"issuer", issuerProblem},
	{"claims", claimsProblem},
	{"session-idle", sessionProblem},
	{"cookie-name", cookieNameProblem},
	{"cookie-same-site", sameSiteProblem},
	{"cookie-domain", cookieDomainProblem},
	{"password-min", passwordMinProblem},
	{"password-words", passwordWordsProblem},
	{"verify-mail", verifyMailProblem},
	{"second-factor", secondFactorProblem},
	{"passkey-rp-id", passkeyProblem},
	{"hash-cost", hashCostProblem},
	{"hash-workers", hashWorkersProblem},
	{"mail-url", mailURLProblem},
	{"mail-from", mailFromProblem},
	{"dev-mail", devMailProblem},
	{"limits", limitsProblem},
}

// firstProblem returns the first problem in a list, or "". One message for a list is enough,
// because the elements usually share a mistake.
func firstProblem(list []string, problem func(string) string) string {
	for _, each := range list {
		if p := problem(each); p != "" {
			return p
		}
	}
	return ""
}

// pagesDirProblem checks only that the folder exists. The server checks the files in it when it
// starts. A symbolic link to a folder is accepted, because deployments often replace a folder
// by changing a link.
func pagesDirProblem(s *Settings) string {
	if s.PagesDir == "" {
		return ""
	}
	if info, err := os.Stat(s.PagesDir); err != nil || !info.IsDir() {
		return fmt.Sprintf("%q is not a folder. Create it, or leave pages-dir empty for the built-in pages.", s.PagesDir)
	}
	return ""
}

// listenProblem checks the form of a listener address. Port 0 is allowed: tests and containers
// let the system choose. Opening the listener shows whether the address belongs to this machine
// and is free. A host name is allowed; the system resolves it once, when the listener opens.
func listenProblem(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (port == "0" || isPort(port)) && (host == "" || isHostName(host)) {
		return ""
	}
	return fmt.Sprintf("%q is not an address to listen on. Write host:port, such as 127.0.0.1:8080, or :8080 for all.",
		address)
}

// adminListenProblem refuses the address of the public listener for the admin listener. The
// public must not see the metrics, which count sign-ins and failures, or the readiness, which
// shows errors of the store. Both addresses may have port 0, because the system then chooses
// two different ports.
func adminListenProblem(s *Settings) string {
	if s.AdminListen == "" {
		return ""
	}
	if s.AdminListen == s.Listen && !strings.HasSuffix(s.Listen, ":0") {
		return "is the same as listen: metrics would be public. Write another port, or leave it empty to turn the admin " +
			"listener off."
	}
	return listenProblem(s.AdminListen)
}

// adminOnProblem requires admin-listen if admin-on is "admin". Without the admin listener, no
// listener would serve administration.
func adminOnProblem(s *Settings) string {
	switch {
	case s.AdminOn != "admin":
		return ""
	case s.AdminListen == "":
		return "admin needs the admin listener, which is off. Write admin-listen=127.0.0.1:9090, or admin-on=public."
	// Port 0 is refused, because the URL needs the port before the listener opens and the
	// system chooses one.
	case s.AdminURL == "" && strings.HasSuffix(s.AdminListen, ":0"):
		return "admin needs to know the port of the admin listener. Write a port in admin-listen, such as 127.0.0.1:9090."
	}
	return ""
}

// adminURLProblem checks the address of the sign-in on the admin listener, by the rules of
// public-url. admin-url and public-url must differ, because one of the two listeners would
// otherwise get no requests.
func adminURLProblem(s *Settings) string {
	switch {
	case s.AdminURL == "":
		return ""
	// An admin-url without admin-on=admin is refused, because the operator has probably
	// forgotten admin-on.
	case s.AdminOn != "admin":
		return "is for administration on the admin listener. Write admin-on=admin, or remove admin-url."
	case s.AdminURL == s.PublicURL:
		return "is the same as public-url. Write the address of the admin listener, such as https://admin.example.com."
	}
	if problem := originProblem(s.AdminURL); problem != "" {
		return problem
	}
	// Only a loopback name may have http. For any other name, a proxy must terminate TLS,
	// because the admin listener has none.
	if u, _ := url.Parse(s.AdminURL); u.Scheme == "http" && !weborigin.IsLoopback(u.Hostname()) {
		return fmt.Sprintf("plain http is for loopback names only: an attacker on the network could read passwords and "+
			"cookies. Write https://%s, and let a proxy pass it on to admin-listen.", u.Host)
	}
	return ""
}

// tlsProblem loads the certificate and its key, so that a wrong file is found at the start and
// not in the first handshake. With a TLS listener the public URL must be https, because it
// determines the names and flags of cookies. The expiry of the certificate is not checked,
// because an expired certificate may be renewed while the server runs.
func tlsProblem(s *Settings) string {
	switch {
	case s.TLSCert == "" && s.TLSKey == "":
		return ""
	case s.TLSKey == "":
		return "has no key. Write tls-key as well."
	case s.TLSCert == "":
		return "is missing, but there is a tls-key. Write tls-cert as well, or remove tls-key."
	case !s.usesHTTPS():
		return "is for https, but the public URL is http. Write public-url with https://."
	}
	if _, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey); err != nil {
		return fmt.Sprintf("%s. Write PEM files of a certificate and of its key.", plainFileError(err))
	}
	return ""
}

// publicURLProblem checks the setting that most others depend on: the issuer of tokens, the
// links in mails, and the Secure flag and prefix of cookies. Plain http is allowed only on
// loopback names, which browsers treat as secure.
func publicURLProblem(s *Settings) string {
	if s.PublicURL == "" {
		return "is empty. Write the address under which clients reach the server, such as https://auth.example.com."
	}
	if problem := originProblem(s.PublicURL); problem != "" {
		return problem
	}
	if !s.usesHTTPS() && !s.isLocal() {
		return fmt.Sprintf("plain http is for loopback names only: an attacker on the network could read tokens and "+
			"cookies. Write https://%s.",
			strings.TrimPrefix(s.PublicURL, "http://"))
	}
	return ""
}

// allowedOriginProblem checks one front-end origin. A script of that origin can use the refresh
// cookie of the user. The origin must therefore be exact. Plain http is refused beyond the
// loopback, because an attacker on the network could forge HTML pages of the origin. Wildcards
// and null are refused before the general check, which would only call them malformed.
func allowedOriginProblem(origin string) string {
	switch {
	case origin == "*":
		return "a wildcard would let every site act for your users. Write each origin, such as https://app.example.com."
	case origin == "null":
		return "null is the origin of any sandboxed page. Write each origin, such as https://app.example.com."
	}
	if weborigin.IsApp(origin) {
		return ""
	}
	if problem := originProblem(origin); problem != "" {
		return problem
	}
	u, _ := url.Parse(origin)
	if u.Scheme == "http" && !weborigin.IsLoopback(u.Hostname()) {
		return fmt.Sprintf("%s is plain http: an attacker on the network could act as this front-end. Write https://%s.",
			origin, u.Host)
	}
	return ""
}

// proxyProblem checks one trusted network. Requests from this network may state the IP of the
// client, which the rate limits and the log use. A network that contains every address would
// let each client choose its own IP, and escape the rate limits.
func proxyProblem(cidr string) string {
	prefix, err := netip.ParsePrefix(cidr)
	if addr, addrErr := netip.ParseAddr(cidr); err != nil && addrErr == nil {
		return fmt.Sprintf("%s is an address, not a network. Write %s/%d.", cidr, cidr, addr.BitLen())
	}
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not a network. Write it as CIDR, such as 10.0.0.0/8.", cidr)
	case prefix.Bits() == 0:
		return fmt.Sprintf("%s contains every address: any client could choose its own IP. Write the network of your "+
			"proxies, such as 10.0.0.0/8.", cidr)
	// 10.1.2.3/8 may mean the address or the network. The operator has to say which.
	case prefix != prefix.Masked():
		return fmt.Sprintf("%s has bits set after its prefix. Write %s.", cidr, prefix.Masked())
	}
	return ""
}

// dialectsProblem checks the names of the dialects. The same dialect twice would register its
// routes twice. Both `users` and `lesson` are allowed, because their routes differ.
func dialectsProblem(s *Settings) string {
	for _, name := range s.Dialects {
		if name != "users" && name != "lesson" {
			return fmt.Sprintf("%q is not a dialect. Write users, lesson, or both.", name)
		}
	}
	if len(s.Dialects) == 2 && s.Dialects[0] == s.Dialects[1] || len(s.Dialects) > 2 {
		return "names a dialect twice. Write each once."
	}
	return ""
}

// dataDirProblem requires a name for the data directory. It does not create the directory,
// because commands that only read must not create one.
func dataDirProblem(s *Settings) string {
	if s.DataDir == "" {
		return "is empty. Write a folder, such as ./watchword-data."
	}
	return ""
}

// masterKeyProblem checks the key that encrypts all other keys. On SQLite, the program creates
// it in the data directory. On PostgreSQL it must be given, because every server needs the same
// key, and servers do not share a directory. The message never quotes the key, because even a
// text that is not base64 may contain most of a real key.
func masterKeyProblem(s *Settings) string {
	if s.MasterKey == "" && s.usesPostgres() {
		return "is missing: with PostgreSQL it is not created, because every server needs the same one. Write what " +
			"`openssl rand -base64 32` prints."
	}
	if s.MasterKey == "" {
		return ""
	}
	if _, err := seal.ParseMaster(string(s.MasterKey)); err != nil {
		return "is not 32 bytes in base64. Write what `openssl rand -base64 32` prints."
	}
	return ""
}

// signingSecretProblem requires the shared secret for HS256 and refuses it for the other
// algorithms, where it would have no effect. RFC 7518, section 3.2, requires at least 32 bytes.
// The length is that of the text as written, in bytes. The text is not decoded, so a secret in
// base64 or hexadecimal has less entropy than random bytes of this length.
func signingSecretProblem(s *Settings) string {
	hs256 := s.SigningAlg == "HS256"
	switch {
	case hs256 && s.SigningSecret == "":
		return "is missing, but signing-alg is HS256. Write a secret of at least 32 bytes, or signing-alg=ES256."
	case hs256 && len(s.SigningSecret) < 32:
		return fmt.Sprintf("has %d bytes, which can be guessed. Write at least 32, such as `openssl rand -hex 32` prints.",
			len(s.SigningSecret))
	case !hs256 && s.SigningSecret != "":
		return fmt.Sprintf("is for HS256, but signing-alg is %s. Remove it, or write signing-alg=HS256.", s.SigningAlg)
	}
	return ""
}

// issuerProblem allows an issuer other than public-url only with HS256, and then checks only
// its form. With other algorithms, services fetch the public keys and the feed from the URL in
// `iss`, which must therefore be public-url.
func issuerProblem(s *Settings) string {
	if s.Issuer == "" || s.Issuer == s.PublicURL {
		return ""
	}
	if s.SigningAlg != "HS256" {
		return fmt.Sprintf("is for services that share a secret, but signing-alg is %s. Remove it, or write "+
			"signing-alg=HS256.", s.SigningAlg)
	}
	if !accesstoken.IsIssuerName(s.Issuer) {
		return fmt.Sprintf("%q is malformed. Write 1 to 128 characters of printable ASCII, without quotes and backslashes.",
			s.Issuer)
	}
	return ""
}

// claimsProblem checks the form of each claim and then asks the engine, which refuses reserved
// names and tokens that are too long. The engine would refuse them at its start as well, but
// without the name of the setting.
func claimsProblem(s *Settings) string {
	if problem := firstProblem(s.Claims, claimProblem); problem != "" {
		return problem
	}
	if problem := duplicateClaimProblem(s.Claims); problem != "" {
		return problem
	}
	options := s.engineOptions()
	if issuerProblem(s) != "" {
		options.Issuer = "" // issuerProblem reports a wrong issuer
	}
	if err := options.CheckTokens(); err != nil {
		return twoSentences(err)
	}
	return ""
}

// duplicateClaimProblem finds the name of a claim that occurs twice. Only the last value would
// take effect, so one of the values is a mistake. Names of claims are compared exactly, because
// they are case-sensitive (RFC 7519, section 10.1.1).
func duplicateClaimProblem(claims []string) string {
	var keys []string
	for _, claim := range claims {
		key, _, _ := strings.Cut(claim, "=")
		if slices.Contains(keys, key) {
			return fmt.Sprintf("names %q twice. Write each claim once.", key)
		}
		keys = append(keys, key)
	}
	return ""
}

// twoSentences splits the text of an engine error at its first colon. The result is one
// sentence about the problem and one with advice. A text without a colon stays one sentence.
// The engine uses colons, because its users are Go programs, which print errors in this form.
func twoSentences(err error) string {
	problem, advice, found := strings.Cut(err.Error(), ": ")
	if !found {
		return problem + "."
	}
	return problem + ". " + strings.ToUpper(advice[:1]) + advice[1:] + "."
}

// claimProblem checks the form of one claim: email, name, or key=value, where value may be
// computed. A value may contain further equals signs; only the first one separates.
func claimProblem(claim string) string {
	key, value, static := strings.Cut(claim, "=")
	switch {
	case claim == "email" || claim == "name":
		return ""
	case !static:
		return fmt.Sprintf("%q is not an optional claim. Write email, name, key=value for a fixed one, or "+
			"key=@id for a computed one.", claim)
	case key == "" || value == "":
		return fmt.Sprintf("%q lacks its key or its value. Write key=value.", claim)
	}
	return ""
}

// sessionProblem refuses an idle timeout that is longer than the absolute timeout, because it
// can never take effect. The operator has probably confused the two settings.
func sessionProblem(s *Settings) string {
	if s.SessionIdle > s.SessionMax {
		return fmt.Sprintf("%s is longer than session-max, %s. Write session-idle=%s or less.",
			durationText(s.SessionIdle), durationText(s.SessionMax), durationText(s.SessionMax))
	}
	return ""
}

// productNameProblem checks that the name fits into the subject of a mail: one line, which mail
// programs show as a whole.
func productNameProblem(s *Settings) string {
	const most = 60
	if utf8.RuneCountInString(s.ProductName) > most || strings.ContainsFunc(s.ProductName, unicode.IsControl) {
		return fmt.Sprintf("write one line of at most %d characters.", most)
	}
	return ""
}

// passwordMinProblem requires for password-profile=nist the minimum of NIST SP 800-63B: 15
// characters without a second factor.
func passwordMinProblem(s *Settings) string {
	if s.PasswordProfile == "nist" && s.PasswordMin < 15 {
		return fmt.Sprintf("%d is less than the 15 of password-profile nist. Remove it, or write 15 or more.", s.PasswordMin)
	}
	return ""
}

// passwordWordsProblem refuses words that the password check would ignore. It also limits their
// number, because each new password is compared with all words.
func passwordWordsProblem(s *Settings) string {
	const most, least, longest = 100, 3, 64
	if len(s.PasswordWords) > most {
		return fmt.Sprintf("has %d words. Write at most %d.", len(s.PasswordWords), most)
	}
	for _, word := range s.PasswordWords {
		if n := utf8.RuneCountInString(word); n < least || n > longest {
			return fmt.Sprintf("%q does not have %d to %d characters. Change or remove it.", word, least, longest)
		}
	}
	return ""
}

// hashCostProblem bounds the cost. A low cost makes stolen hashes easy to guess, and with a
// high cost a few sign-ins occupy the server. The bounds are in passhash, because imports must
// refuse hashes with a high cost too.
func hashCostProblem(s *Settings) string {
	if _, err := passhash.ParseParams(s.HashAlg, s.HashCost); err != nil {
		return err.Error() + "."
	}
	return ""
}

// mailURLProblem requires a mail server in production. Without a mail server, users could not
// verify an address or reset a password. In development, mails go to a mailbox in the browser.
// The rule does not contact the mail server: mails wait in the outbox, so a server may start
// while the mail server is down.
func mailURLProblem(s *Settings) string {
	switch {
	case s.MailURL != "":
		return senderProblem(s.MailURL, "no-reply@example.com",
			"Write smtp://user:password@host:587 or smtps://user:password@host:465, the password in percent-encoding.")
	case s.isLocal():
		return ""
	}
	return "is missing: the development mailbox is for loopback public URLs only. Write smtp://user:password@host:587."
}

// devMailProblem keeps other machines away from the development mailbox, which shows every mail
// without a sign-in. The mails have links that sign in or reset a password. Containers have to
// listen beyond the loopback, so dev-mail=any exists for them.
func devMailProblem(s *Settings) string {
	if s.MailURL != "" || s.DevMail == "any" || !s.isLocal() || listenProblem(s.Listen) != "" ||
		!listensBeyondLoopback(s.Listen) {
		return ""
	}
	return fmt.Sprintf("other machines can reach %s, and with it the development mailbox, which shows every mail to "+
		"anybody. Write listen=127.0.0.1:8080 or a mail-url; or dev-mail=any if a firewall stands before it.", s.Listen)
}

// mailFromProblem requires a sender for a mail server. There is no useful default, because mail
// servers refuse senders of other domains.
func mailFromProblem(s *Settings) string {
	const write = "Write the sender of mails, such as Example <no-reply@example.com>."
	switch {
	case s.MailFrom != "":
		return senderProblem("smtp://localhost", s.MailFrom, write)
	case s.MailURL == "":
		return ""
	}
	return "is missing. " + write
}

// senderProblem returns why package smtp would refuse the value of mail-url or mail-from, and
// what to write instead. It opens no connection. A caller that checks only one of the two
// values passes a placeholder for the other. senderProblem cuts the name of the setting from
// the message, because callers print the name themselves.
func senderProblem(url watchword.Secret, fromAddress, advice string) string {
	if _, err := smtp.New(smtp.Options{URL: url, From: fromAddress, Renderer: &mail.Renderer{}}); err != nil {
		_, what, _ := strings.Cut(err.Error(), ": mail-")
		_, what, _ = strings.Cut(what, " ")
		return what + ". " + advice
	}
	return ""
}

// limitsProblem refuses limits=off in production, and allows it for load tests with a loopback
// URL. Only this setting turns the rate limits off. A single rate limit can't be 0, so a typing
// error can't turn it off.
func limitsProblem(s *Settings) string {
	if s.Limits == "off" && !s.isLocal() {
		return "off is for load tests on a loopback public URL: without limits passwords can be guessed. Write on."
	}
	return ""
}

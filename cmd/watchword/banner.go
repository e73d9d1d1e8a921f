package main

import (
	"fmt"
	"io"
	"time"
)

// printBanner prints the first screen of serve. It fits into 80 columns and 24 lines, the
// smallest usual terminal; a test checks this size. It is printed after "ready", and only at a
// terminal. Write errors are ignored, because the server works without a terminal.
func printBanner(w io.Writer, s *Settings, took time.Duration, warnings []string) {
	fmt.Fprintf(w, "\n  Watchword %s is ready after %s.\n\n", thisBuild().Version, took.Round(10*time.Millisecond))
	line := func(name, value string) { fmt.Fprintf(w, "  %-12s %s\n", name, value) }
	line("Public URL", s.PublicURL)
	line("Pages", s.PublicURL+"/login")
	line("Data", s.DataDir)
	// Without a mail server, the links are in the development mailbox, so the screen shows its
	// address.
	if s.MailURL == "" {
		line("Mails", s.PublicURL+"/dev/mail  (nothing is sent)")
	}
	line("API", s.PublicURL+"/docs")
	for _, name := range s.Dialects {
		line("Dialect", name+"  "+s.PublicURL+map[string]string{"users": "/api/users",
			"lesson": "/register, /login, /token …"}[name])
	}
	if s.AdminListen != "" {
		// The URL of the admin listener is always http, because this listener has no TLS and
		// belongs on the loopback. The screen shows the URL, because an operator can't guess
		// the port. With admin-on=public, the administration pages have the public URL and need
		// no line.
		if s.AdminOn == "admin" {
			line("Admin", s.adminURL()+map[string]string{"on": "/admin", "off": "/api/admin"}[s.AdminPages])
		}
		line("Metrics", "http://"+s.AdminListen+"/metrics")
	}
	for _, warning := range warnings {
		fmt.Fprintf(w, "\n  Warning: %s\n", warning)
	}
	if s.isLocal() {
		printFirstSteps(w, s)
	}
	fmt.Fprintf(w, "\n  Press Ctrl-C to stop.\n\n")
}

// printFirstSteps prints three commands that work when pasted. They appear only in development,
// because they send a password that everyone can read in the documentation. The last command
// has the header Origin, because the server rejects a cookie without it. The commands need curl
// 7.82 or newer, because of --json.
func printFirstSteps(w io.Writer, s *Settings) {
	const account = `--json '{"email":"ada@example.com","password":"seven purple otters"}'`
	api := s.PublicURL + "/api/auth"
	fmt.Fprintf(w, "\n  Try it: create an account, sign in, refresh.\n\n")
	// With signup=closed, the server refuses the first command. `watchword users create` works
	// in every mode.
	if s.Signup == "closed" {
		fmt.Fprintf(w, "  echo 'seven purple otters' |\n    watchword users create ada@example.com --password-stdin\n")
	} else {
		fmt.Fprintf(w, "  curl %s/register \\\n    %s\n", api, account)
	}
	fmt.Fprintf(w, "  curl %s/login -c jar.txt \\\n    %s\n", api, account)
	fmt.Fprintf(w, "  curl -X POST %s/refresh -b jar.txt -c jar.txt \\\n    -H 'Origin: %s'\n", api, s.PublicURL)
}

// warnings returns a text for each setting that is allowed but risky. Unlike a fault, a warning
// does not stop the start. A text may have several lines; each line after the first begins with
// two spaces. Each text names the risk and the change that removes it. serve logs them, the
// doctor repeats them.
func (s *Settings) warnings() []string {
	var all []string
	// HS256 is allowed, because some frameworks verify only this algorithm.
	if s.SigningAlg == "HS256" {
		all = append(all, "HS256: every service that can verify a token can also forge one,\n  and there is no public key "+
			"to publish. Prefer ES256.")
	}
	// With this listener, other machines can read every mail in the development mailbox.
	// devMailProblem accepts such a listener only with dev-mail=any. The warning reminds the
	// operator of the risk at each start.
	if s.MailURL == "" && listensBeyondLoopback(s.Listen) {
		all = append(all, "other machines can reach "+s.Listen+", and with it every mail at /dev/mail.\n  Write "+
			"listen=127.0.0.1:8080 unless a container needs it.")
	}
	if s.AdminListen != "" && listensBeyondLoopback(s.AdminListen) {
		all = append(all, "other machines can reach metrics at "+s.AdminListen+".\n  Write admin-listen=127.0.0.1:9090 "+
			"unless a firewall stands before it.")
	}
	// An unverified connection is not a fault, because private networks, such as that of Docker
	// Compose, have no certificates.
	if host := unverifiedDatabaseHost(string(s.Store)); host != "" {
		all = append(all, "the connection to PostgreSQL at "+host+" is not verified. A machine on the way can read and "+
			"change all data.\n  Write sslmode=verify-full in store, unless the network is yours alone.")
	}
	// Dialects without front-end origins are allowed, because they work with a front-end on the
	// same origin.
	if len(s.Dialects) > 0 && len(s.frontEnds()) == 0 {
		all = append(all, "front-ends on other origins can't call the dialects.\n  Write their origins, such as "+
			"allowed-origins=http://localhost:3000.")
	}
	if s.Limits == "off" {
		all = append(all, "limits are off. Attackers can guess passwords without bound.")
	}
	return all
}

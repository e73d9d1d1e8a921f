package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword/admin"
)

const (
	// unusedAfter is how long a service key may be unused before `watchword doctor` reports it.
	// A key that a script uses once a quarter still counts as used.
	unusedAfter = 100 * 24 * time.Hour

	// expiresSoon is how long before its expiry `watchword doctor` reports a service key. It
	// reports only keys that are in use.
	expiresSoon = 14 * 24 * time.Hour
)

// checkAdministration checks that an administrator can use the administration API, and that no
// service key was forgotten. An administrator without a second factor can't use the API, and
// may notice this only in an emergency. A forgotten service key is a credential without an
// owner.
func (d *checkup) checkAdministration(ctx context.Context, s *stack, settings *Settings) {
	m := settings.newAdminManager(s)
	// The limit is 1, because `watchword doctor` checks only whether such an account exists.
	all, err := m.FindUsers(ctx, admin.Filter{Role: "admin", State: admin.StateActive}, "", 1)
	if err != nil {
		d.fail("admin", oneLine(err.Error()), "Check the database.")
		return
	}
	strong, err := m.FindUsers(ctx, admin.Filter{Role: "admin", State: admin.StateActive, Factor: admin.FactorAny}, "", 1)
	if err != nil {
		d.fail("admin", oneLine(err.Error()), "Check the database.")
		return
	}
	byCode, err := m.FindUsers(ctx, admin.Filter{Role: "admin", State: admin.StateActive, Factor: admin.FactorTOTP}, "", 1)
	if err != nil {
		d.fail("admin", oneLine(err.Error()), "Check the database.")
		return
	}
	// pagesThere is true if the admin listener has pages on which administrators sign in.
	// Without pages, only programs use this listener.
	pagesThere := settings.AdminOn == "admin" && settings.AdminPages == "on"
	switch {
	case len(all.Items) == 0:
		d.pass("admin", "no active account is an administrator")
	case len(strong.Items) == 0 && settings.AdminACR != "aal1":
		d.warn("admin", "no administrator has a second factor, so none can use /admin and /api/admin.",
			"Sign in as an administrator and add an authenticator app or a passkey on the account page.")
	// A passkey belongs to the public URL, so it doesn't work at the sign-in of the admin
	// listener.
	case len(byCode.Items) == 0 && settings.AdminACR != "aal1" && pagesThere:
		d.warn("admin", "no administrator has an authenticator app, and passkeys don't work at "+settings.adminURL()+".",
			"Sign in at "+settings.PublicURL+" as an administrator, and add an authenticator app on the account page.")
	default:
		// A sign-in may still fail: `watchword doctor` can't see whether the person has the
		// device of the factor.
		d.pass("admin", "an administrator can use /api/admin")
	}
	d.checkServiceKeys(ctx, m, time.Now())
}

// checkAdminReachable requests the administration API at both listeners, without credentials.
// With admin-on=admin, only the admin listener may have the API. With admin-on=public, there is
// nothing to check. A server that does not run is a warning, as for the public URL.
func (d *checkup) checkAdminReachable(ctx context.Context, s *Settings) {
	at := s.adminURL()
	if at == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// The path is one of the API, because errors of the API have codes. A page would only
	// redirect to a sign-in.
	const path = "/api/admin/users"
	there, err := sendProbe(ctx, at+path)
	if err != nil {
		d.warn("admin url", at+" does not respond: "+err.Error(),
			"Start `watchword serve`; then check DNS, proxy and certificate. Run `watchword doctor` where administrators work.")
		return
	}
	here, err := sendProbe(ctx, s.PublicURL+path)
	if err != nil { // checkPublicURL reports this error
		here = probe{}
	}
	if found, do := diagnoseAdmin(at, s.PublicURL, there, here); found != "" {
		d.fail("admin url", found, do)
		return
	}
	d.pass("admin url", at+" has the administration, and "+s.PublicURL+" has not")
}

// diagnoseAdmin compares adminProbe and publicProbe, the responses of the admin listener and of
// the public listener to a request for accounts without credentials. It returns what is wrong,
// or "" for correct responses. A zero publicProbe means that the public URL does not respond.
func diagnoseAdmin(adminURL, publicURL string, adminProbe, publicProbe probe) (found, do string) {
	switch {
	case adminProbe.code == "MISDIRECTED_REQUEST":
		return adminURL + " leads to this server, but under another Host: a proxy changes the Host header.",
			"Let the proxy pass the Host header on, or set admin-url."
	// This case also covers a server that was not restarted after admin-on was changed.
	case adminProbe.code != "TOKEN_MISSING":
		return fmt.Sprintf("%s responds with %d, and has no administration.", adminURL, adminProbe.status),
			"Let the proxy pass all paths on to the address in admin-listen; then restart the server with these settings."
	case publicProbe.code == "TOKEN_MISSING":
		return publicURL + " also has the administration: the server runs with other settings.",
			"Restart the server with admin-on=admin."
	// The proxy of the public URL forwards to the admin listener. Only the check of the Host
	// header protects administration.
	case publicProbe.code == "MISDIRECTED_REQUEST":
		return "the proxy at " + publicURL + " passes /api/admin on to a server with another host.",
			"Let the proxy pass all paths on to the address in listen."
	}
	return "", ""
}

// checkServiceKeys reports keys that are no longer used, and keys that expire soon although a
// program uses them. Each key has a separate line, because the advice names the key. Without
// service keys, there is no line.
//
// The decision is a separate function (decideKeyWarning), so that its test needs no store.
func (d *checkup) checkServiceKeys(ctx context.Context, m *admin.Manager, now time.Time) {
	keys, err := listServiceKeys(ctx, m)
	if err != nil {
		d.fail("service-keys", oneLine(err.Error()), "Check the database.")
		return
	}
	for _, k := range keys {
		switch decideKeyWarning(k, now) {
		case "unused":
			d.warn("service-keys", fmt.Sprintf("%s (%s) was not used for %d days.", k.Name, k.ID, int(unusedAfter.Hours()/24)),
				"Revoke it: watchword service-keys revoke "+k.ID)
		case "ends":
			d.warn("service-keys", fmt.Sprintf("%s (%s) expires at %s.", k.Name, k.ID, tableTime(k.ExpiresAt)),
				"Create another key for this program, then revoke this one.")
		}
	}
}

// decideKeyWarning returns "unused" for a key without recent use, "ends" for a key that expires
// soon, and otherwise "". A key that was never used gets no "ends", because no program would
// need a new key. A key that no longer works gets "".
func decideKeyWarning(k admin.ServiceKey, now time.Time) string {
	used := k.LastUsedAt
	// A key that was never used counts as unused since its creation.
	if used.Before(k.CreatedAt) {
		used = k.CreatedAt
	}
	switch {
	case k.State(now) != admin.KeyActive:
		return ""
	case now.Sub(used) > unusedAfter:
		return "unused"
	case k.ExpiresAt.Sub(now) < expiresSoon && !k.LastUsedAt.IsZero():
		return "ends"
	}
	return ""
}

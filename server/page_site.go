package server

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/watchword-auth/watchword/internal/respond"
)

// Browsers, crawlers and password managers look for these small files at fixed paths.

// serveFavicon serves the logo of the server, or the operator's logo. Browsers request this path for responses
// without an icon, such as /openapi.json. They don't request it for the pages, which contain the icon.
func (p *pages) serveFavicon(w http.ResponseWriter, _ *http.Request) error {
	content, err := p.theme.readFile("assets/mark.svg")
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=86400")
	respond.Write(w, http.StatusOK, "image/svg+xml", content)
	return nil
}

// serveRobots tells crawlers not to index the pages. The pages are useless as search results, and links in mails must
// not be indexed.
func (p *pages) serveRobots(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	respond.Write(w, http.StatusOK, "text/plain", []byte("User-agent: *\nDisallow: /\n"))
	return nil
}

// redirectToChangePassword redirects to the form that changes the password. Password managers use its path (W3C, A
// Well-Known URL for Changing Passwords). Users who are not signed in have to sign in first.
func (p *pages) redirectToChangePassword(w http.ResponseWriter, _ *http.Request) error {
	p.redirect(w, pathAccount+"/password", nil)
	return nil
}

// serveSecurityContact serves the operator's contact for security reports (RFC 9116), a file of the
// pages folder. There is no built-in file, because it must contain the operator's contact and an
// expiry date. It is read on each request, so that the operator can renew it without a restart.
func (p *pages) serveSecurityContact(w http.ResponseWriter, r *http.Request) error {
	content, err := p.theme.readFile("security.txt")
	if errors.Is(err, fs.ErrNotExist) {
		return notFound(w, r)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	respond.Write(w, http.StatusOK, "text/plain", content)
	return nil
}

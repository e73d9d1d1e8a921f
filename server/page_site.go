package server

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/watchword-auth/watchword/internal/respond"
)

// The small files that browsers, crawlers and password managers look for at fixed paths.

// favicon serves the logo. Browsers request this path for responses that are not pages of this
// server, such as /openapi.json. The pages themselves have the icon in their head and do not load
// it. An operator's logo replaces it here as well.
func (p *pages) favicon(w http.ResponseWriter, _ *http.Request) error {
	content, err := p.theme.read("assets/mark.svg")
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=86400")
	respond.Write(w, http.StatusOK, "image/svg+xml", content)
	return nil
}

// robots asks crawlers to stay away. No page here is worth a search result, and links in mails must
// not be indexed.
func (p *pages) robots(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	respond.Write(w, http.StatusOK, "text/plain", []byte("User-agent: *\nDisallow: /\n"))
	return nil
}

// changePassword redirects password managers to the form (W3C, A Well-Known URL for Changing
// Passwords). Users who are not signed in reach it after the sign-in.
func (p *pages) changePassword(w http.ResponseWriter, _ *http.Request) error {
	p.redirect(w, pathAccount+"/password", nil)
	return nil
}

// securityContact serves the operator's contact for reports of faults (RFC 9116), a file of the
// pages folder. There is no built-in one: it must name the operator's contact and expire. An
// expired contact is useless. The file is read on each request, so that the operator can renew it
// without a restart.
func (p *pages) securityContact(w http.ResponseWriter, r *http.Request) error {
	content, err := p.theme.read("security.txt")
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

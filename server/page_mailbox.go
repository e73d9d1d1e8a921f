package server

import (
	"net/http"
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
)

// mailboxPage lists the mails of the development mailbox. Pages for developers are in English only. They exist only
// with a loopback public URL, because the mails contain working links.
func (p *pages) mailboxPage(w http.ResponseWriter, _ *http.Request) error {
	mails, err := p.devMail()
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, p.newEnglishView("mailbox", "Mailbox", mails))
}

// mailPage shows a mail's text, its link and, in a frame, its HTML.
func (p *pages) mailPage(w http.ResponseWriter, r *http.Request) error {
	mail, err := p.findMail(r)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, p.newEnglishView("mail", mail.Subject, mail))
}

// mailHTML shows the HTML of a mail as a mail program does, without scripts and external content. A developer must be
// able to click the links of the mail. These links open in the whole window, so the sandbox must allow that.
func (p *pages) mailHTML(w http.ResponseWriter, r *http.Request) error {
	mail, err := p.findMail(r)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "+
		"object-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox allow-top-navigation allow-popups")
	respond.Write(w, http.StatusOK, "text/html", []byte(mail.HTML))
	return nil
}

// findMail returns an error with status 404 if the mailbox does not have the mail in the path.
func (p *pages) findMail(r *http.Request) (watchword.StoredMail, error) {
	mails, err := p.devMail()
	if err != nil {
		return watchword.StoredMail{}, err
	}
	id := r.PathValue("id")
	i := slices.IndexFunc(mails, func(m watchword.StoredMail) bool { return m.ID == id })
	if i < 0 {
		return watchword.StoredMail{}, notFound(nil, r)
	}
	return mails[i], nil
}

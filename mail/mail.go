// Package mail renders emails: subject, plain text and HTML. It knows the pages that links
// lead to, and it decides which text from users may appear in a mail. Packages mail/smtp and
// mail/devbox deliver mails, and the engine decides when.
//
// A mail loads no remote content and contains no tracking.
package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/netip"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/watchword-auth/watchword"
)

// The pages that links in mails lead to, below the public URL. A front-end may have a page of
// its own (watchword.MailFacts.Page). The token is in the fragment, as in /verify#token=…,
// because browsers do not send the fragment to a server. The page posts it after a click
// (RST-6).
const (
	PathVerify       = "/verify"
	PathReset        = "/reset"
	PathConfirmEmail = "/email/confirm"
	PathUndoEmail    = "/email/undo"
)

// pages maps each kind of mail to the page of its link, or "" if it has no link.
var pages = map[watchword.MailKind]string{
	watchword.MailVerify:          PathVerify,
	watchword.MailReset:           PathReset,
	watchword.MailConfirmAddress:  PathConfirmEmail,
	watchword.MailAddressChanged:  PathUndoEmail,
	watchword.MailPasswordChanged: "",
	watchword.MailReuseDetected:   "",
	watchword.MailMoreHappened:    "",
	watchword.MailSignupExisting:  "",
}

//go:embed templates
var templates embed.FS

// Options configure a Renderer.
type Options struct {
	PublicURL string           // all links begin with it: http or https, without query or fragment; required
	Product   string           // what the mails call the service; default: the host of PublicURL
	Now       func() time.Time // default: time.Now
}

// A Renderer renders mails. Create one with NewRenderer. It is safe for concurrent use.
type Renderer struct {
	base    string
	product string
	now     func() time.Time
	texts   map[watchword.MailKind]*texttemplate.Template
	htmls   map[watchword.MailKind]*htmltemplate.Template
}

// Rendered is a rendered mail. Text, HTML and Link contain the token.
type Rendered struct {
	Subject string // one line, without text from users
	Text    string
	HTML    string // a whole document
	Link    string // the link of the mail, or empty
}

// NewRenderer returns a Renderer. It fails if PublicURL is not an http or https URL without
// user, query and fragment, or if Product has more than one line.
func NewRenderer(o Options) (*Renderer, error) {
	u, err := url.Parse(o.PublicURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("mail: the public URL is not scheme://host[:port]")
	}
	r := &Renderer{
		base:    strings.TrimSuffix(o.PublicURL, "/"),
		product: o.Product,
		now:     o.Now,
		texts:   map[watchword.MailKind]*texttemplate.Template{},
		htmls:   map[watchword.MailKind]*htmltemplate.Template{},
	}
	if r.product == "" {
		r.product = u.Host
	}
	if strings.ContainsFunc(r.product, isControl) {
		return nil, errors.New("mail: the name of the product is not one line")
	}
	if r.now == nil {
		r.now = time.Now
	}
	for kind := range pages {
		file := "templates/" + string(kind)
		if r.texts[kind], err = texttemplate.ParseFS(templates, "templates/layout.txt", file+".txt"); err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		if r.htmls[kind], err = htmltemplate.ParseFS(templates, "templates/layout.html", file+".html"); err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
	}
	return r, nil
}

// words are the values that templates can use.
type words struct {
	Product, Subject, To string
	Name                 string // empty unless personName accepts it
	Link                 string
	For, Until           string // how long the link works
	At, Device, Address  string
	NewEmail             string
	UndoUntil            string // end of the time in which the previous address can take the account back, or empty
}

// Render renders a mail. It fails if the kind is unknown, or if the mail has a link and no
// token.
func (r *Renderer) Render(m watchword.Message) (Rendered, error) {
	page, known := pages[m.Kind]
	if !known {
		return Rendered{}, fmt.Errorf("render mail: no such kind %q", m.Kind)
	}
	w := words{
		Product:  r.product,
		To:       string(m.To),
		At:       clock(m.At),
		Device:   deviceName(m.Device),
		NewEmail: string(m.NewEmail),

		UndoUntil: clock(m.UndoUntil),
	}
	if m.Kind != watchword.MailVerify { // before that, a stranger may have chosen the name
		w.Name = personName(m.Name)
	}
	if addr, err := netip.ParseAddr(m.MailFacts.Address); err == nil {
		w.Address = addr.WithZone("").String() // a zone can contain any text
	}
	switch {
	case page != "" && m.Token != "":
		w.Link = r.base + page + "#token=" + url.QueryEscape(string(m.Token))
		if m.Page != "" {
			w.Link = m.Page + "/" + url.PathEscape(string(m.Token))
		}
		w.For, w.Until = span(m.Expires.Sub(r.now())), clock(m.Expires)
	case page != "" && m.Kind != watchword.MailAddressChanged:
		return Rendered{}, fmt.Errorf("render mail: the %s mail has no token", m.Kind)
	}
	return r.fill(m.Kind, w)
}

// fill executes the templates of a kind.
func (r *Renderer) fill(kind watchword.MailKind, w words) (Rendered, error) {
	var subject, text, html strings.Builder
	if err := r.texts[kind].ExecuteTemplate(&subject, "subject", w); err != nil {
		return Rendered{}, fmt.Errorf("render mail: %w", err)
	}
	w.Subject = subject.String()
	if err := r.texts[kind].Execute(&text, w); err != nil {
		return Rendered{}, fmt.Errorf("render mail: %w", err)
	}
	if err := r.htmls[kind].Execute(&html, w); err != nil {
		return Rendered{}, fmt.Errorf("render mail: %w", err)
	}
	return Rendered{Subject: w.Subject, Text: text.String(), HTML: html.String(), Link: w.Link}, nil
}

// Package mail renders the emails: subject, plain text and
// HTML. It knows the pages that links lead to, and what of a user's words may
// stand in a mail; it does not know how a mail is sent (mail/smtp, mail/devbox)
// or when.
//
// A mail loads nothing from anywhere, and counts nobody who reads it.
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

// The pages that the links of mails lead to, below the public URL, unless a
// front-end has one of its own (watchword.MailFacts). The token is in the fragment,
// as in /verify#token=…: a browser sends it to no server, and the page posts it
// after a click (RST-6).
const (
	PathVerify       = "/verify"
	PathReset        = "/reset"
	PathConfirmEmail = "/email/confirm"
	PathUndoEmail    = "/email/undo"
)

// pages are the kinds, each with the page of its link; "" if it has none.
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

// Options are what a Renderer is made of.
type Options struct {
	PublicURL string           // all links begin with it: http or https, without query or fragment; required
	Product   string           // what the mails call the service; default: the host of PublicURL
	Now       func() time.Time // default: time.Now
}

// A Renderer writes mails. Make one with NewRenderer; it is safe for concurrent
// use.
type Renderer struct {
	base    string
	product string
	now     func() time.Time
	texts   map[watchword.MailKind]*texttemplate.Template
	htmls   map[watchword.MailKind]*htmltemplate.Template
}

// Rendered is a mail in words. Text, HTML and Link hold the token.
type Rendered struct {
	Subject string // one line; nothing in it was chosen by a user
	Text    string
	HTML    string // a whole document
	Link    string // where the mail leads to; empty if nowhere
}

// NewRenderer makes a Renderer. It fails on a PublicURL that no link can begin
// with, and on a Product that is more than a line.
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

// words are what the templates may use.
type words struct {
	Product, Subject, To string
	Name                 string // empty unless it is nothing but a name
	Link                 string
	For, Until           string // how long the link works
	At, Device, Address  string
	NewEmail             string
	UndoUntil            string // until when the previous address can take the account back; empty: it can't
}

// Render writes a mail. It fails on a kind that it does not know, and on a link
// without a token.
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
	if m.Kind != watchword.MailVerify { // until then anybody may have chosen the name
		w.Name = personName(m.Name)
	}
	if addr, err := netip.ParseAddr(m.MailFacts.Address); err == nil {
		w.Address = addr.WithZone("").String() // a zone may be any text
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

// fill fills in the templates of a kind.
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

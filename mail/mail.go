// Package mail renders emails: subject, plain text and HTML. It chooses the pages to which links point, and it
// decides which text from users may appear in a mail. Packages mail/smtp and mail/devbox deliver mails, and the
// engine decides when.
//
// A mail loads no remote content and contains no tracking. Its colours, logo and texts come from the files of the
// pages (package web), so a mail has the same design as the page that its link opens.
package mail

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"net/netip"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/catalog"
	"github.com/watchword-auth/watchword/web"
)

// These are the paths of the pages to which links with a token point, relative to the public URL. A front-end may
// have its own page instead (watchword.MailFacts.Page).
//
// The token is in the fragment, as in /verify#token=…, because browsers do not send the fragment to a server. The
// page sends the token to the server after a click (RST-6).
const (
	pathVerify       = "/verify"
	pathReset        = "/reset"
	pathInvite       = "/invite"
	pathConfirmEmail = "/email/confirm"
	pathUndoEmail    = "/email/undo"
)

// These are the paths to which links in notices point. Such links contain no token.
const (
	pathLogin   = "/login"
	pathForgot  = "/forgot"
	pathAccount = "/account"
)

// A linkedPage is opened by the button of a mail.
type linkedPage struct {
	path       string
	needsToken bool
}

var pages = map[watchword.MailKind]linkedPage{
	watchword.MailVerify:          {pathVerify, true},
	watchword.MailReset:           {pathReset, true},
	watchword.MailInvite:          {pathInvite, true},
	watchword.MailConfirmAddress:  {pathConfirmEmail, true},
	watchword.MailAddressChanged:  {pathUndoEmail, true},
	watchword.MailAddressReplaced: {}, // no link, because a stranger may read this mailbox
	watchword.MailPasswordChanged: {pathForgot, false},
	watchword.MailReuseDetected:   {pathLogin, false},
	watchword.MailMoreHappened:    {pathAccount, false},
	watchword.MailTOTPAdded:       {pathForgot, false},
	watchword.MailTOTPRemoved:     {pathForgot, false},
	watchword.MailPasskeyAdded:    {pathForgot, false},
	watchword.MailPasskeyRemoved:  {pathForgot, false},
	watchword.MailIdentityLinked:  {pathForgot, false},
	watchword.MailIdentityRemoved: {pathForgot, false},
	watchword.MailFactorsReset:    {pathLogin, false},
	watchword.MailRecoveryUsed:    {pathAccount, false},
	watchword.MailTwoStepOn:       {pathAccount, false},
	watchword.MailSignupExisting:  {pathLogin, false},
}

// Options configure a Renderer.
type Options struct {
	PublicURL string           // prefix of all links: http or https, without query or fragment; required
	Product   string           // name of the service in mails; default: the host of PublicURL, without the port
	Files     fs.FS            // texts, templates, colours and logo to replace the built-in ones (docs/pages.md), or nil
	Now       func() time.Time // default: time.Now
}

// A Renderer renders mails. Create one with NewRenderer. It is safe for concurrent use.
type Renderer struct {
	base  string
	now   func() time.Time
	texts *catalog.Catalog
	look  look
	text  *texttemplate.Template
	html  *htmltemplate.Template
}

// Rendered is a rendered mail. Text, HTML and Link contain the token.
type Rendered struct {
	Subject string // one line, without text from users
	Text    string
	HTML    string // a whole document, which shows Logo as "cid:logo"
	Link    string // the link of the button, or empty
	Logo    []byte // a PNG that the mail must include with the Content-ID "logo", or nil
}

// Document returns the HTML with the logo as a data URL, so that a browser shows it without the other parts of the
// mail.
//
// Unstable: only mail/devbox uses it.
func (r Rendered) Document() string {
	return strings.ReplaceAll(r.HTML, `"cid:logo"`,
		`"data:image/png;base64,`+base64.StdEncoding.EncodeToString(r.Logo)+`"`)
}

// NewRenderer returns a Renderer. It fails if Product has more than one line, or if one of
// Files is invalid. PublicURL must be an http or https URL without user, query and fragment.
func NewRenderer(o Options) (*Renderer, error) {
	u, err := url.Parse(o.PublicURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("mail: the public URL is not scheme://host[:port]")
	}
	product := cmp.Or(o.Product, u.Hostname())
	r := &Renderer{base: strings.TrimSuffix(o.PublicURL, "/"), now: o.Now}
	if r.now == nil {
		r.now = time.Now
	}
	if r.texts, err = catalog.Read(web.Files, o.Files, map[string]string{"brand": product}); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	for i, texts := range r.texts.Texts {
		for key, text := range texts {
			if (key == "brand" || strings.HasPrefix(key, "mail.")) && strings.ContainsFunc(text, isControl) {
				return nil, fmt.Errorf("mail: the text %q in %s is not one line", key, r.texts.Languages[i])
			}
		}
	}
	files := overlay{o.Files, web.Files}
	if r.look, err = readLook(files); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return r, r.readTemplates(files)
}

// readTemplates parses both templates, and renders one mail of each kind with them. Errors in templates are therefore
// reported when the server starts, and not when it sends a mail.
func (r *Renderer) readTemplates(files overlay) error {
	text, err := files.read("mail/message.txt")
	if err == nil {
		r.text, err = texttemplate.New("message.txt").Parse(string(text))
	}
	if err != nil {
		return fmt.Errorf("mail: mail/message.txt: %w", err)
	}
	html, err := files.read("mail/message.html")
	if err == nil {
		r.html, err = htmltemplate.New("message.html").Parse(string(html))
	}
	if err != nil {
		return fmt.Errorf("mail: mail/message.html: %w", err)
	}
	for kind := range pages {
		if _, err := r.Render(watchword.Message{Kind: kind, To: "a@example.com", Token: "t"}); err != nil {
			return fmt.Errorf("mail: %w", err)
		}
	}
	return nil
}

// A view is the data of the templates. Templates of operators use its fields, so they can't be renamed.
type view struct {
	Lang, Kind     string
	Product        string
	Subject, Title string
	Preview        string // the first sentence, which mail programs show next to the subject
	Hello          string
	Footer         string
	Logo           bool // the mail includes the picture "cid:logo"
	Light, Dark    palette
	Blocks         []block
}

// Wrap breaks a paragraph of plain text into lines of at most 78 characters.
func (view) Wrap(text string) string { return wrap(text) }

// A block is a part of a mail: "text", "small", "button", "copy" (the link as text) or "facts".
type block struct {
	Type, Text, Link string
	Rows             []tableRow
}

// A tableRow is a fact in a mail. Padded is Name with a colon and spaces, which aligns the values in plain text.
type tableRow struct{ Name, Padded, Value string }

// Render renders a mail. It returns an error if the kind is unknown, or if the link needs a token and the message has
// none.
func (r *Renderer) Render(m watchword.Message) (Rendered, error) {
	page, known := pages[m.Kind]
	if !known {
		return Rendered{}, fmt.Errorf("render mail: no such kind %q", m.Kind)
	}
	w := mailTexts{texts: r.texts.Texts[r.texts.Match(m.Locale)], bodyKind: string(m.Kind), message: m}
	if m.Kind != watchword.MailVerify { // before the verification, a stranger may have chosen the name
		w.greetingName = safePersonName(m.Name)
	}
	link := ""
	switch {
	case page.path == "":
	case !page.needsToken:
		link = r.base + page.path
	case m.Token != "":
		link = r.base + page.path
		if m.ReturnTo != "" { // the query must precede the fragment; the page checks return_to again
			link += "?return_to=" + url.QueryEscape(m.ReturnTo)
		}
		link += "#token=" + url.QueryEscape(string(m.Token))
		if m.Page != "" {
			link = m.Page + "/" + url.PathEscape(string(m.Token))
		}
		w.linkValidity = w.formatDuration(m.Expires.Sub(r.now()))
	case m.Kind == watchword.MailAddressChanged:
		w.bodyKind += "_final"
	default:
		return Rendered{}, fmt.Errorf("render mail: the %s mail has no token", m.Kind)
	}
	return r.executeTemplates(m, w, link)
}

func (r *Renderer) executeTemplates(m watchword.Message, w mailTexts, link string) (Rendered, error) {
	v := view{
		Lang: r.texts.Languages[r.texts.Match(m.Locale)].String(), Kind: string(m.Kind), Product: w.texts["brand"],
		Subject: w.textFor("mail." + string(m.Kind) + ".subject"), Title: w.textFor("mail." + string(m.Kind) + ".title"),
		Hello: w.greeting(), Footer: w.textFor("mail.footer"),
		Logo: r.look.logo != nil, Light: r.look.light, Dark: r.look.dark, Blocks: w.bodyBlocks(link),
	}
	v.Preview = v.Blocks[0].Text
	var text, html strings.Builder
	if err := r.text.Execute(&text, v); err != nil {
		return Rendered{}, fmt.Errorf("render mail: %w", err)
	}
	if err := r.html.Execute(&html, v); err != nil {
		return Rendered{}, fmt.Errorf("render mail: %w", err)
	}
	return Rendered{Subject: v.Subject, Text: text.String(), HTML: html.String(), Link: link, Logo: r.look.logo}, nil
}

func ipOrEmpty(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return addr.WithZone("").String() // without the zone, which can contain any text
}

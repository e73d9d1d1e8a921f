package server

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/server/apidoc"
)

// pages has the handlers of the HTML pages, in the files page*.go. They make the same
// engine calls as the API.
type pages struct {
	edge
	theme       *theme
	passwordMin int     // characters, for the hint of the forms
	devMail     Mailbox // nil: there is no /dev/mail

	api        []route            // for /docs
	operations []apidoc.Operation // of the dialects, for /docs
	document   []byte             // OpenAPI
}

// newPages reads all templates and texts, so that a faulty file stops the server at its
// start.
func newPages(shared edge, opts Options, api []route) (*pages, error) {
	theme, err := newTheme(opts.Pages)
	if err != nil {
		return nil, fmt.Errorf("server: Options.Pages: %w", err)
	}
	document, err := describe(opts, api)
	if err != nil {
		return nil, err
	}
	return &pages{edge: shared, theme: theme, passwordMin: opts.PasswordMin, devMail: opts.DevMail,
		api: api, operations: dialects(opts.Dialects).operations(), document: document}, nil
}

// A view is one page for one reader.
type view struct {
	*theme
	words int // which of the texts

	Page    string // its name: its texts begin with it
	Title   string // default: the text Page.title
	Nonce   string // of the one script and the one style
	Problem string // what is wrong with all of it
	Notice  string // what was done
	Data    any

	Form   string // which form of the page was refused
	typed  url.Values
	faults map[string]string // by the name of a field
	blamed []string          // fields of which one is wrong, and nobody says which
	min    int               // characters of a password
}

func (p *pages) newView(r *http.Request, page string) *view {
	_, words := language.MatchStrings(p.theme.matcher, r.Header.Get("Accept-Language"))
	return &view{theme: p.theme, words: words, Page: page, Nonce: rand.Text(), min: p.passwordMin}
}

// newEnglishView is a page for developers.
func (p *pages) newEnglishView(page, title string, data any) *view {
	return &view{theme: p.theme, Page: page, Title: title, Nonce: rand.Text(), Data: data}
}

// show answers with a page. Whatever its content: it is kept nowhere, framed by
// nobody, and runs only what the nonce names (CSP, level 3).
func (p *pages) show(w http.ResponseWriter, status int, v *view) error {
	found, known := v.templates[v.Page]
	if !known {
		return fmt.Errorf("there is no page %q", v.Page)
	}
	v.Title = cmp.Or(v.Title, v.T(v.Page+".title"))
	var text bytes.Buffer
	if err := found.ExecuteTemplate(&text, "layout.html", v); err != nil {
		return fmt.Errorf("fill in page: %w", err)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Language", v.Lang())
	h.Add("Vary", "Accept-Language")
	// A form may lead on to a front-end (return_to), which browsers hold against
	// form-action as well.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+v.Nonce+"'; script-src 'nonce-"+v.Nonce+"'; "+
		"img-src 'self' data:; font-src 'self'; form-action "+strings.Join(append([]string{"'self'"}, p.origins.allowed...), " ")+
		"; base-uri 'none'; object-src 'none'; frame-ancestors 'none'")
	respond.Write(w, status, "text/html", text.Bytes())
	return nil
}

// T is a text in the reader's language.
func (v *view) T(key string, args ...any) string {
	text, known := v.texts[v.words][key]
	if !known {
		return key
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// Lang is the reader's language (RFC 5646).
func (v *view) Lang() string { return v.languages[v.words].String() }

// When is a moment. A script writes it in the reader's own time zone.
func (v *view) When(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339), template.HTMLEscapeString(t.Format(v.T("time")))))
}

// Say is a text with a moment in the place of its %s.
func (v *view) Say(key string, t time.Time) template.HTML {
	return template.HTML(strings.Replace(template.HTMLEscapeString(v.T(key)), "%s", string(v.When(t)), 1))
}

func (v *view) Script() template.JS { return v.script }
func (v *view) Icon() template.URL  { return v.icon }

// A field is an input with its label, its hint and what is wrong with it.
type field struct {
	ID, Name, Type, Autocomplete string
	Label, Hint, Value, Fault    string
	Min                          int
	Show, Hide                   string
	Optional, Blamed, Focus      bool
}

// Field is an input of a form of the page.
func (v *view) Field(form, name, kind, autocomplete string) field {
	f := field{ID: form + "-" + name, Name: name, Type: kind, Autocomplete: autocomplete,
		Label: v.T("field." + name), Show: v.T("show"), Hide: v.T("hide"), Optional: name == "name"}
	hint := "hint." + name
	if autocomplete == "new-password" {
		f.Label, f.Hint, f.Min = v.T("field.newPassword"), v.T("hint.newPassword", v.min), v.min
		if form == "signup" {
			f.Label = v.T("field.password")
		}
	} else if _, hinted := v.texts[v.words][hint]; hinted {
		f.Hint = v.T(hint)
	}
	if v.Form == form {
		f.Fault, f.Blamed = v.faults[name], slices.Contains(v.blamed, name)
		f.Focus = f.Fault != "" || f.Blamed && kind == "password"
		if kind != "password" {
			f.Value = v.typed.Get(name)
		}
	}
	return f
}

// With is the field with a value, where nothing was typed.
func (f field) With(value string) field {
	f.Value = cmp.Or(f.Value, value)
	return f
}

// filled is the page with a form filled in again, but for passwords.
func (v *view) filled(form string, typed url.Values) *view {
	v.Form, v.typed = form, typed
	return v
}

// refuse says what is wrong with what was typed.
func (v *view) refuse(refusal *watchword.Error) {
	v.faults = map[string]string{}
	v.Problem = v.problemOf(refusal)
	for _, fault := range refusal.Fields {
		text, special := v.texts[v.words]["fault."+fault.Field+"."+fault.Code]
		if !special {
			text = v.T("fault." + fault.Code)
		}
		v.faults[fault.Field] = text
		if fault.Field == "password" { // as the API calls it in the forms of the account
			v.faults["currentPassword"] = text
		}
	}
	if v.Page == "link" && (refusal.Code == watchword.CodePasswordWrong || refusal.Code == watchword.CodePasswordRequired) {
		v.faults["password"] = v.T("fault.link." + string(refusal.Code))
		v.Problem = v.T("error." + string(watchword.CodeValidationFailed))
	}
	if refusal.Code == watchword.CodeInvalidCredentials {
		v.blamed = []string{"email", "password"}
	}
	field, ofField := map[watchword.Code]string{
		watchword.CodePasswordWrong: "currentPassword", watchword.CodeEmailTaken: "email",
	}[refusal.Code]
	if ofField {
		v.faults[field], v.Problem = v.Problem, v.T("error."+string(watchword.CodeValidationFailed))
	}
}

// problemOf says what is wrong, and after a limit when to try again.
func (v *view) problemOf(refusal *watchword.Error) string {
	text := v.T("error." + string(refusal.Code))
	return strings.Replace(text, "{wait}", v.duration(refusal.RetryAfter), 1)
}

// duration writes a wait in words, rounded up: in seconds below a minute, else in
// minutes.
func (v *view) duration(d time.Duration) string {
	n, unit := max(int((d+time.Second-1)/time.Second), 1), "second"
	if n >= 60 {
		n, unit = (n+59)/60, "minute"
	}
	if n == 1 {
		return v.T("duration." + unit)
	}
	return v.T("duration."+unit+"s", n)
}

// refill shows a page again whose form was refused. What is no refusal is not for its
// reader.
func (p *pages) refill(w http.ResponseWriter, r *http.Request, v *view, err error) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return err
	}
	p.errors.logRefusal(w, r, refusal)
	v.refuse(refusal)
	p.errors.failHeaders(w, r, refusal)
	return p.show(w, statusOf(refusal.Code), v)
}

// readForm reads what a form sends.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if kind != "application/x-www-form-urlencoded" {
		return nil, &watchword.Error{Code: watchword.CodeContentType, Detail: "Send the form as application/x-www-form-urlencoded."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, apirequest.MaxBody)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &watchword.Error{Code: watchword.CodeBodyTooLarge, Detail: "The form is larger than 16 KiB."}
	case err != nil:
		return nil, bodyInvalid("The form could not be read.")
	}
	return r.PostForm, nil
}

// showError tells people what tells programs in JSON.
func (p *pages) showError(w http.ResponseWriter, r *http.Request, refusal *watchword.Error) error {
	v := p.newView(r, "error")
	v.Problem = v.problemOf(refusal)
	v.Data = w.Header().Get(requestIDHeader)
	return p.show(w, statusOf(refusal.Code), v)
}

// wantsPage reports whether a person looks at the answer.
func wantsPage(r *http.Request) bool {
	return !isAPI(r.URL.Path) && !isOpen(r.URL.Path) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (p *pages) homePage(w http.ResponseWriter, r *http.Request) error {
	v := p.newView(r, "home")
	v.Title = v.T("brand")
	v.Data = map[string]any{"Host": p.origins.public.Host, "Mailbox": p.devMail != nil}
	return p.show(w, http.StatusOK, v)
}

// asset answers with a style, a picture or whatever else an operator has put
// there. Its type does not change with its content.
func (p *pages) asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	kinds := map[string]string{".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2"}
	content, err := p.theme.read("assets/" + name)
	if err != nil || kinds[path.Ext(name)] == "" {
		return notFound(w, r)
	}
	if name == "style.css" {
		content = p.theme.style
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	respond.Write(w, http.StatusOK, kinds[path.Ext(name)], content)
	return nil
}

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
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// pages has the handlers of the HTML pages, in the files page*.go, and the values that they share. accountPages and
// adminPages add the pages of signed-in users and of administrators. The handlers make the same engine calls as the
// API. A new page needs a template in package web, a handler, and a row in a table of routes.
type pages struct {
	edge
	theme       *theme
	passwordMin int // minimum length in characters, for the hint of the forms
	// devMail is nil without a development mailbox. There is then no /dev/mail.
	devMail       func() ([]watchword.StoredMail, error)
	hasAdminPages bool

	// docsData and openAPIDocument are created at their first request, because most servers never get such a request
	// and the start must be fast.
	docsData        func() docData
	openAPIDocument func() ([]byte, error)
}

// newPages reads the texts and all files of an operator, so that a faulty file prevents the start of the server.
func newPages(shared edge, opts Options, api []route) (*pages, error) {
	theme, err := newTheme(opts.Pages, opts.Product)
	if err != nil {
		return nil, fmt.Errorf("server: Options.Pages: %w", err)
	}
	return &pages{edge: shared, theme: theme, passwordMin: shared.engine.Inside().PasswordMin(), devMail: opts.DevMail,
		hasAdminPages:   opts.AdminPages,
		docsData:        sync.OnceValue(func() docData { return newDocData(shared, api, opts.Dialects) }),
		openAPIDocument: sync.OnceValues(func() ([]byte, error) { return newOpenAPIDocument(opts, api) })}, nil
}

// A view is one page for one reader: the data of the layout template and its methods. Operators' templates use the
// exported names. A view is used for one response only, because its nonce must not be used twice.
type view struct {
	*theme
	langIndex int

	Page    string // name of the template, and prefix of its texts
	Title   string // empty: the text with the key Page + ".title"
	Nonce   string // allows the script and the style in the Content-Security-Policy
	Problem string // error message for the whole page
	Notice  string
	Data    any

	// These fields are for links back to the front-end.
	ReturnTo         string       // checked return_to: the front-end's page that the browser came from, or ""
	Back             template.URL // target after the last step: ReturnTo, else the front-end; "": none
	Signup           bool         // anyone can create an account
	offeredProviders []federation.Info

	// These fields are about the form that was refused.
	Form          string // name of the form that had an error
	enteredValues url.Values
	fieldErrors   map[string]string
	// One of the suspectFields is wrong. The page does not tell which one.
	suspectFields []string
	minPassword   int // in characters

	role listenerRole
	// isPasskeyError is set if the refused form has no field to mark, because it belongs to a passkey.
	isPasskeyError bool
	sendsRequests  bool // the script of the page calls this server
}

// newView selects the best language for Accept-Language. An unsupported or missing header gives the default language.
func (p *pages) newView(r *http.Request, page string) *view {
	lang := p.theme.catalog.Match(r.Header.Get("Accept-Language"))
	v := &view{theme: p.theme, langIndex: lang, Page: page, Nonce: rand.Text(), minPassword: p.passwordMin, role: p.role}
	v.ReturnTo = p.returnTo(r)
	v.Back = template.URL(cmp.Or(v.ReturnTo, p.origins.appURL)) // both URLs were checked, so they contain no script
	mode, _ := p.engine.Inside().Signup()
	v.Signup = mode != watchword.SignupClosed && !p.role.isAdminListener
	if p.federation != nil {
		v.offeredProviders = p.federation.Providers()
	}
	return v
}

// To returns a path of this server with the current return_to. Forms use it for their action, so that return_to
// survives an error without a script. A template that links to a page without To loses return_to.
//
// On the admin listener, To returns a URL of the public listener for a path that only the public listener has.
func (v *view) To(path string) string {
	if !v.role.servesPath(path) {
		return v.role.publicURL + path
	}
	if v.ReturnTo == "" {
		return path
	}
	return path + "?" + url.Values{"return_to": {v.ReturnTo}}.Encode()
}

// NoPasskeys reports whether passkeys can't be used on this listener.
func (v *view) NoPasskeys() bool { return v.role.isAdminListener }

// BackHost returns the host of Back, so that the reader knows where the link leads. The product name is not enough,
// because several front-ends can share one server.
func (v *view) BackHost() string {
	// The URL is parsed by hand, because url.Parse rejects some URLs that browsers accept.
	_, rest, _ := strings.Cut(string(v.Back), "://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	return host
}

// newEnglishView is for pages for developers, which are not translated.
func (p *pages) newEnglishView(page, title string, data any) *view {
	return &view{theme: p.theme, Page: page, Title: title, Nonce: rand.Text(), Data: data}
}

// show responds with a page. The page is not cached and can't be framed. It runs only the script with the nonce (CSP,
// level 3), so injected markup has no effect. If show returns an error, the response has not begun.
func (p *pages) show(w http.ResponseWriter, status int, v *view) error {
	templates, known := v.templates[v.Page]
	if !known {
		return fmt.Errorf("there is no page %q", v.Page)
	}
	found, err := templates()
	if err != nil {
		return err
	}
	v.Title = cmp.Or(v.Title, v.T(v.Page+".title"))
	// The page is rendered before the first byte is sent, so that an error in a template can still
	// become a 500.
	var text bytes.Buffer
	if err := found.ExecuteTemplate(&text, "layout.html", v); err != nil {
		return fmt.Errorf("fill in page: %w", err)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Language", v.Lang())
	h.Add("Vary", "Accept-Language")
	// The policy must allow the front-ends, because browsers also apply form-action to redirects, and a form may
	// redirect to a front-end (return_to).
	formTargets := strings.Join(append([]string{"'self'"}, p.origins.allowedOrigins...), " ")
	policy := "default-src 'none'; style-src 'nonce-" + v.Nonce + "'; script-src 'nonce-" + v.Nonce + "'; " +
		"img-src 'self' data:; font-src 'self'; form-action " + formTargets +
		"; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
	// Only pages whose script fetches options of a passkey may send requests. On other
	// pages, even injected markup can't send requests.
	if v.sendsRequests {
		policy += "; connect-src 'self'"
	}
	h.Set("Content-Security-Policy", policy)
	respond.Write(w, status, "text/html", text.Bytes())
	return nil
}

// T returns a text in the reader's language. If there is no such text, it returns the key. A wrong key in an
// operator's template is thus visible on the page, but causes no error for users.
func (v *view) T(key string, args ...any) string {
	text, known := v.catalog.Texts[v.langIndex][key]
	if !known {
		return key
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// Lang returns the language tag of the page (RFC 5646). It is the language of the texts, which
// may differ from the reader's first choice.
func (v *view) Lang() string { return v.catalog.Languages[v.langIndex].String() }

// Script and Icon return trusted content of the theme, which the template does not escape.
func (v *view) Script() template.JS { return v.script }
func (v *view) Icon() template.URL  { return v.icon }

// formField is the data of an input with its label, hint and error message. Operators' templates use
// its fields.
type formField struct {
	ID, Name, Type, Autocomplete string
	Label, Hint, Value, Fault    string
	Min                          int
	Rule, Caps                   string // texts of the minimum length and of the caps lock warning
	Mode                         string // attribute inputmode
	Show, Hide                   string
	Optional, Blamed, Focus      bool
}

// Field returns an input of a form. It repeats the value that the user entered, except for passwords,
// and sets the focus to the first field with an error.
func (v *view) Field(form, name, kind, autocomplete string) formField {
	optional := name == "name" || name == "roles"
	f := formField{ID: form + "-" + name, Name: name, Type: kind, Autocomplete: autocomplete,
		Label: v.T("field." + name), Show: v.T("show"), Hide: v.T("hide"), Caps: v.T("capsLock"), Optional: optional}
	hint := "hint." + name
	// With this attribute, password managers offer to create a password, so the label says that the password is new.
	if autocomplete == "new-password" {
		f.Label, f.Min = v.T("field.newPassword"), v.minPassword
		f.Rule, f.Hint = v.T("hint.newPassword", v.minPassword), v.T("hint.passphrase")
		if link, isLink := v.Data.(linkData); form == "signup" || isLink && link.Welcome {
			f.Label = v.T("field.password")
		}
	} else if _, hinted := v.catalog.Texts[v.langIndex][hint]; hinted {
		f.Hint = v.T(hint)
	}
	// Codes are not repeated, because a wrong code is useless and a right code works only one time.
	code := name == "totp" || name == "recoveryCode"
	if name == "totp" {
		f.Mode = "numeric"
	}
	f.Focus = code
	if v.Form == form {
		f.Fault, f.Blamed = v.fieldErrors[name], slices.Contains(v.suspectFields, name)
		// After wrong credentials, the password gets the focus, because it is more often wrong than the address.
		f.Focus = code || f.Fault != "" || f.Blamed && kind == "password"
		if kind != "password" && !code {
			f.Value = v.enteredValues.Get(name)
		}
	}
	return f
}

// Fault returns the error message of a field that is not a single input, such as a group of
// checkboxes.
func (v *view) Fault(name string) string { return v.fieldErrors[name] }

// With returns the field with a default value. A value that the user has entered takes precedence.
func (f formField) With(value string) formField {
	f.Value = cmp.Or(f.Value, value)
	return f
}

// withValues repeats the values that the user entered in a form. Field does not repeat passwords.
func (v *view) withValues(form string, typed url.Values) *view {
	v.Form, v.enteredValues = form, typed
	return v
}

// setErrors marks the fields of the form that have an error. If no field is the cause, the message is for the whole
// page.
func (v *view) setErrors(refusal *watchword.Error) {
	v.fieldErrors = map[string]string{}
	v.Problem = v.errorText(refusal)
	for _, fault := range refusal.Fields {
		text, special := v.catalog.Texts[v.langIndex]["fault."+fault.Field+"."+fault.Code]
		if !special {
			text = v.T("fault." + fault.Code)
		}
		v.fieldErrors[fault.Field] = text
		if fault.Field == "password" { // the forms of the account page name the field currentPassword
			v.fieldErrors["currentPassword"] = text
		}
	}
	// The form of a passkey has no field to mark, so the text becomes the problem of the whole page.
	if text, known := v.catalog.Texts[v.langIndex]["passkey."+string(refusal.Code)]; v.isPasskeyError && known {
		v.Problem = text
		return
	}
	// Both fields, totp and recoveryCode, get a message, because the page has only one of them.
	if refusal.Code == watchword.CodeFactorWrong {
		v.fieldErrors["totp"], v.fieldErrors["recoveryCode"] = v.T("fault.totp.WRONG"), v.Problem
		v.Problem = v.T("error." + string(watchword.CodeValidationFailed))
	} else if fault, found := v.fieldErrors["totp"]; found {
		v.fieldErrors["recoveryCode"] = fault
	}
	if fault, found := v.fieldErrors["name"]; found {
		v.fieldErrors["factorName"], v.fieldErrors["keyName"] = fault, v.T("fault.keyName")
	}
	wantsPassword := refusal.Code == watchword.CodePasswordWrong || refusal.Code == watchword.CodePasswordRequired
	// A mailed link opens a form that may first ask for a password. A missing password is then no mistake, so the
	// text only tells for which account the password is needed.
	if v.Page == "link" && wantsPassword {
		v.fieldErrors["password"] = v.T("fault.link." + string(refusal.Code))
		v.Problem = v.T("error." + string(watchword.CodeValidationFailed))
	}
	// The message must not reveal whether the address or the password is wrong, so both fields
	// are marked.
	if refusal.Code == watchword.CodeInvalidCredentials {
		v.suspectFields = []string{"email", "password"}
	}
	field, ofField := map[watchword.Code]string{
		watchword.CodePasswordWrong: "currentPassword", watchword.CodeEmailTaken: "email",
	}[refusal.Code]
	// The forms on the pages that mailed links open have no field for the address.
	if ofField && v.Page != "link" {
		v.fieldErrors[field], v.Problem = v.Problem, v.T("error."+string(watchword.CodeValidationFailed))
	}
}

// errorText returns the message for an error in the reader's language. After a rate limit, the message says when to
// try again.
func (v *view) errorText(refusal *watchword.Error) string {
	text := v.T("error." + string(refusal.Code))
	// Some messages address the owner of an account. The admin pages show a different text for them, because their
	// reader is an administrator.
	if own, known := v.catalog.Texts[v.langIndex]["admin.error."+string(refusal.Code)]; known &&
		strings.HasPrefix(v.Page, "admin-") {
		text = own
	}
	return strings.Replace(text, "{wait}", v.formatWait(refusal.RetryAfter), 1)
}

// formatWait uses seconds below a minute, and minutes above. It rounds up, because an early retry would be refused
// again.
func (v *view) formatWait(d time.Duration) string {
	n, unit := max(int((d+time.Second-1)/time.Second), 1), "second"
	if n >= 60 {
		n, unit = (n+59)/60, "minute"
	}
	if n == 1 {
		return v.T("duration." + unit)
	}
	return v.T("duration."+unit+"s", n)
}

// showAgain shows a page after an error in its form, with the status of the API. Browsers show the page with any
// status, and monitoring counts the refusal. showAgain returns an error that is not a *watchword.Error, because users
// must not see it.
func (p *pages) showAgain(w http.ResponseWriter, r *http.Request, v *view, err error) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return err
	}
	p.errors.logRefusal(w, r, refusal)
	v.setErrors(refusal)
	p.errors.setErrorHeaders(w, r, refusal)
	return p.show(w, statusOf(refusal.Code), v)
}

// readForm parses the body of a form, which may have at most apirequest.MaxBody bytes. It ignores the query, because
// a link must not fill in a form.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	// A page of another site can send text/plain and multipart forms without a preflight. This
	// server needs no such forms, so it rejects them.
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if kind != "application/x-www-form-urlencoded" {
		return nil, &watchword.Error{Code: apirequest.CodeContentType,
			Detail: "Send the form as application/x-www-form-urlencoded."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, apirequest.MaxBody)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &watchword.Error{Code: apirequest.CodeBodyTooLarge, Detail: "The form is larger than 16 KiB."}
	case err != nil:
		return nil, invalidBody("The form could not be read.")
	}
	// Repeated fields are rejected, because Get returns the first value, but a filter in front of the server may
	// check the last one. The server's forms send each field once: of two buttons with the same name, browsers send
	// only the pressed button.
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, invalidBody("The form has a field twice.")
		}
	}
	return r.PostForm, nil
}

// showError responds with an error page. It shows the request id, which users can send to the operator to find the
// details in the log. The page for 404 shows no id, because it needs no investigation.
func (p *pages) showError(w http.ResponseWriter, r *http.Request, refusal *watchword.Error) error {
	v := p.newView(r, "error")
	v.Problem, v.Data = v.errorText(refusal), w.Header().Get(requestIDHeader)
	switch {
	case refusal.Code == watchword.CodeNotFound || refusal.Code == apirequest.CodeMethodNotAllowed:
		v.Title, v.Problem, v.Data = v.T("error.missing"), "", ""
	case exceedsMaxCookies(r): // the text of the code is about the address
		v.Problem = v.T("error.cookies")
	case refusal.Code == apirequest.CodeCrossOrigin && hidesOrigin(r):
		v.Problem = v.T("error.origin")
	}
	return p.show(w, statusOf(refusal.Code), v)
}

// wantsPage reports whether an error should be a page. This is the case if the path is not of the API and the client
// accepts HTML.
func wantsPage(r *http.Request) bool {
	return !isAPI(r.URL.Path) && !isPublicDocument(r.URL.Path) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// homePage redirects to the front-end. Without a front-end, it redirects to the sign-in. With a loopback public URL,
// it instead shows links for developers, including the development mailbox if there is one.
func (p *pages) homePage(w http.ResponseWriter, r *http.Request) error {
	if p.role.isAdminListener {
		p.redirect(w, p.role.homePath(), nil)
		return nil
	}
	if !weborigin.IsLoopback(p.origins.parsedURL.Hostname()) {
		target := pathLogin
		// If AppURL is this server itself, a redirect would lead back to this path.
		if app := p.origins.appURL; app != "" && strings.TrimSuffix(app, "/") != p.origins.publicURL {
			target = app
		}
		p.redirect(w, target, nil)
		return nil
	}
	v := p.newView(r, "home")
	v.Data = map[string]any{"Host": p.origins.parsedURL.Host, "Mailbox": p.devMail != nil}
	return p.show(w, http.StatusOK, v)
}

// serveAsset serves a file of the folder assets. The media type depends only on the extension. Browsers never run an
// operator's file as a script, except a file that replaces the script of passkeys.
func (p *pages) serveAsset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	kinds := map[string]string{".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2"}
	content, err := p.theme.readFile("assets/" + name)
	kind := kinds[path.Ext(name)]
	// Only the file with exactly this name is served as a script.
	if name == passkeyScript {
		kind = "text/javascript"
	}
	// An unknown extension gets 404, because guessing a media type could turn a file into a
	// script.
	if err != nil || kind == "" {
		return notFound(w, r)
	}
	if name == "style.css" {
		content = p.theme.style
	}
	// File names have no version, so browsers may use the old style for up to five minutes after an upgrade.
	w.Header().Set("Cache-Control", "public, max-age=300")
	respond.Write(w, http.StatusOK, kind, content)
	return nil
}

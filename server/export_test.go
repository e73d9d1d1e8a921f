package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// Heads runs a requestParser over text, in pieces of the given size, and returns the request lines. It stops at the
// first request with an ambiguous length, and then allClear is false.
func Heads(text []byte, size int) (lines []string, allClear bool) {
	f, _ := runFraming(text, size)
	return clearHeads(f)
}

// Passed returns the bytes that net/http reads if a client sends text in pieces of the given size. For each
// request, malformedPaths reports whether the path has a malformed escape.
func Passed(text []byte, size int) (out []byte, malformedPaths []bool) {
	f, out := runFraming(text, size)
	for _, h := range f.untakenHeads {
		malformedPaths = append(malformedPaths, h.hasMalformedPath)
	}
	return out, malformedPaths
}

func runFraming(text []byte, size int) (f requestParser, out []byte) {
	for len(text) > 0 {
		n := min(size, len(text))
		out = append(out, f.parseAndEscape(bytes.Clone(text[:n]))...)
		text = text[n:]
	}
	return f, out
}

func clearHeads(f requestParser) (lines []string, allClear bool) {
	for _, h := range f.untakenHeads {
		if h.isAmbiguous {
			return lines, false
		}
		lines = append(lines, h.requestLine)
	}
	return lines, true
}

// Streams are the open streams of a server, for tests that need no real readers.
type Streams struct{ s *streamRegistry }

func NewStreams() Streams { return Streams{newStreams()} }

// Enter opens a stream for an address. ok is false if the stream was refused. isReplaced reports whether the server
// has closed this stream in favour of another network's.
func (s Streams) Enter(addr netip.Addr) (closeStream func(), isReplaced func() bool, ok bool) {
	one := s.s.register(streamNetwork(addr))
	if one == nil {
		return nil, nil, false
	}
	return func() { s.s.unregister(one) }, one.isReplaced, true
}

// Count returns how many streams are open.
func (s Streams) Count() int { return s.s.countOpen() }

// OpenStreams returns the open streams of a server.
func (s *Server) OpenStreams() Streams { return Streams{s.api.streams} }

// DeviceIcon, DevicesOf and FoldEvents create the lists on the account page.
var (
	DeviceIcon = deviceIcon
	DevicesOf  = groupByDevice
	FoldEvents = mergeEqualEvents
)

type (
	AccountSession = accountSession
	AccountEvent   = accountEvent
)

// Ago returns the <time> element for a time t, in a language and at the time now.
func Ago(lang string, t, now time.Time) (string, error) {
	theme, err := newTheme(nil, "")
	if err != nil {
		return "", err
	}
	v := &view{theme: theme, langIndex: theme.catalog.Match(lang)}
	return string(v.formatAge(t, now)), nil
}

// An AdminRoute is a row of the table of administrative routes.
type AdminRoute struct{ Method, Path string }

// AdminRoutes returns the table of routes of the administration API.
func (s *Server) AdminRoutes() (all []AdminRoute) {
	for _, r := range (&adminAPI{s.edge}).routes() {
		all = append(all, AdminRoute{r.method, r.path})
	}
	return all
}

// AdminPageRoutes returns the table of routes of the administration pages.
func (s *Server) AdminPageRoutes() (all []AdminRoute) {
	p := &adminPages{&pages{edge: s.edge, hasAdminPages: true}}
	for _, r := range p.routes() {
		all = append(all, AdminRoute{r.method, r.path})
	}
	return all
}

// AdminChangePaths returns the paths of the pages that change something.
func (s *Server) AdminChangePaths() (all []string) {
	p := &adminPages{&pages{edge: s.edge}}
	for _, c := range p.allChanges() {
		all = append(all, c.path)
	}
	return all
}

// A Route is a row of the tables of the API and of the pages.
type Route struct {
	Method, Path string
	Body         any // zero value of the type of the body; nil: no body
}

// AllRoutes returns the tables of routes of the API and of the pages, for a server with the options o.
func (s *Server) AllRoutes(o Options) (all []Route, err error) {
	p, err := newPages(s.edge, o, s.api.routes())
	if err != nil {
		return nil, err
	}
	for _, r := range append(s.api.routes(), p.routes()...) {
		all = append(all, Route{r.method, r.path, r.body})
	}
	return all, nil
}

// Described returns a key for the content of /openapi.json. Servers with the same key have the same document, except
// for the URL and the name of the cookie. The key is "" if the server has dialects, because dialects add operations
// that the key does not cover.
func (s *Server) Described() string {
	var all strings.Builder
	for _, r := range s.api.routes() {
		r.handle = nil
		if len(s.errors.dialects) == 0 {
			fmt.Fprintf(&all, "%#v\n", r)
		}
	}
	return all.String()
}

// Sides returns the tables of routes of the public and of the admin listener, for a server with the options o.
func (s *Server) Sides(o Options) (public, admin []Route, err error) {
	if public, err = s.AllRoutes(o); err == nil {
		admin, err = s.adminServer.AllRoutes(o.forAdminListener())
	}
	return public, admin, err
}

// An Entrance is a row of any table of routes. Members has the names of the members of its JSON body.
type Entrance struct {
	Method, Path string
	Members      []string
	Dialect      bool
}

// Entrances returns all routes of a server with these options: the routes of the API, of the pages and of the
// dialects.
func Entrances(engine *watchword.Engine, opts Options) (all []Entrance, err error) {
	opts.PublicURL = engine.PublicURL()
	o, err := newOrigins(opts.PublicURL, opts.AllowedOrigins, opts.AppURL)
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults(o.isHTTPS())
	shared, err := newEdge(engine, opts, o, listenerRole{})
	if err != nil {
		return nil, err
	}
	a := &api{edge: shared, streams: newStreams(), draining: opts.Draining}
	p, err := newPages(shared, opts, a.routes())
	if err != nil {
		return nil, err
	}
	table := append(a.routes(), p.routes()...)
	own := len(table)
	for _, d := range opts.Dialects {
		table = append(table, dialectRoutes(d, shared.clients)...)
	}
	for i, r := range table {
		all = append(all, Entrance{r.method, r.path, membersOf(reflect.TypeOf(r.body)), i >= own})
	}
	return all, nil
}

// membersOf returns the names of those members of a body type whose values are texts or JSON.
func membersOf(t reflect.Type) (names []string) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			names = append(names, membersOf(f.Type)...)
		case f.Type.Kind() == reflect.String, f.Type == reflect.TypeFor[json.RawMessage]():
			names = append(names, name)
		}
	}
	return names
}

// OwnCookies returns the names of all cookies except the refresh cookie. For the cookies of attempts, it returns
// their common prefix.
func OwnCookies(o Options, https bool) (names []string) {
	all := reflect.ValueOf(*newCookies(o, https, nil, nil))
	for i := range all.NumField() {
		switch field := all.Field(i); field.Type() {
		case reflect.TypeFor[tokencookie.Cookie]():
			names = append(names, field.FieldByName("Name").String())
		case reflect.TypeFor[tokencookie.Pair]():
			if name := field.FieldByName("Usual").FieldByName("Name").String(); name != o.CookieName {
				names = append(names, name)
			}
		}
	}
	return names
}

// Package apiexample documents JSON bodies: a description and an example of each member, and
// curl commands. It uses reflection on the types of the bodies, so the documentation can't
// differ from the types. Members of the same name have the same meaning in the whole API.
//
// It doesn't know the routes. The server passes the bodies of its table of routes.
package apiexample

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Member is one member of a JSON body.
type Member struct {
	Name     string // path in the body, such as sessions[].id
	Type     string
	Doc      string
	Optional bool
}

// Members lists the members of a body in the order of its type. A body that is not a struct,
// such as a stream, has no members.
func Members(body any) []Member {
	t := reflect.TypeOf(body)
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	return membersOf(t, "")
}

func membersOf(t reflect.Type, prefix string) (members []Member) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		doc := field.Tag.Get("doc")
		if doc == "" {
			doc = Doc(name)
		}
		kind := describeJSONType(field.Type)
		if values := field.Tag.Get("enum"); values != "" {
			kind = strings.ReplaceAll(values, ",", " or ")
		}
		members = append(members, Member{prefix + name, kind, doc, options == "omitempty"})
		inner, name := field.Type, prefix+name
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Slice {
			inner, name = inner.Elem(), name+"[]"
		}
		if inner.Kind() == reflect.Struct && inner != timeType {
			members = append(members, membersOf(inner, name+".")...)
		}
	}
	return members
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]() // an object that another specification defines
)

func describeJSONType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return describeJSONType(t.Elem())
	case reflect.Slice:
		if t == rawType {
			return "object"
		}
		return "list"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Struct, reflect.Map:
		if t == timeType {
			return "time (RFC 3339)"
		}
		return "object"
	}
	return "text"
}

// Doc returns the description of the members with that name, or "".
func Doc(name string) string { return notes[name].doc }

// Response returns an example of a response body as indented JSON. In the examples of members, it replaces the text
// URL with url. A member named message or status has the example message. Response omits the optional members whose
// names are in omittedNames.
func Response(body any, url, message string, omittedNames ...string) string {
	v := reflect.New(reflect.TypeOf(body)).Elem()
	(&exampleFiller{url: url, message: message, omittedNames: omittedNames}).fill(v)
	text, err := encodeUnescaped(v.Interface(), "  ")
	if err != nil {
		return "" // can't happen: JSON can express every body of the API
	}
	return text
}

// encodeUnescaped does not escape <, > and &, because the documentation page escapes them.
func encodeUnescaped(v any, indent string) (string, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return strings.TrimSpace(text.String()), err
}

type exampleFiller struct {
	request      bool
	url, message string
	omittedNames []string
}

// optionalInRequests contains the optional members that examples of requests show. Requests seldom need the other
// optional members.
var optionalInRequests = map[string]bool{
	"name": true, "delivery": true, "refreshToken": true, "keepCurrent": true, "password": true,
}

// omittedFromResponses contains members that examples omit, because only some responses contain them.
var omittedFromResponses = map[string]bool{"message": true, "feedback": true}

func (f *exampleFiller) fill(v reflect.Value) {
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		optional := options == "omitempty"
		omitted := omittedFromResponses[name]
		if f.request {
			omitted = !optionalInRequests[name]
		}
		if optional && (omitted || slices.Contains(f.omittedNames, name)) {
			continue
		}
		f.set(v.Field(i), name)
	}
}

func (f *exampleFiller) set(v reflect.Value, name string) {
	n := notes[name]
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.set(v.Elem(), name)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(exampleTime))
			return
		}
		f.fill(v)
	case reflect.Slice:
		if v.Type() == rawType {
			v.Set(reflect.ValueOf(json.RawMessage("{}")))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 1))
		if n.none {
			return
		}
		one := reflect.New(v.Type().Elem()).Elem()
		f.set(one, name)
		v.Set(reflect.Append(v, one))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, pair := range n.pairs {
			v.SetMapIndex(reflect.ValueOf(pair[0]), reflect.ValueOf(pair[1]))
		}
	case reflect.Bool:
		v.SetBool(n.yes)
	case reflect.Int, reflect.Int64:
		v.SetInt(n.number)
	case reflect.String:
		v.SetString(f.text(name, n))
	}
}

func (f *exampleFiller) text(name string, n memberNote) string {
	switch {
	case f.request && n.variable != "":
		return "$" + n.variable
	case (name == "message" || name == "status") && f.message != "":
		return f.message
	}
	return strings.ReplaceAll(n.text, "URL", f.url)
}

// A Command describes a request for Curl.
type Command struct {
	Method, URL string
	Bearer      bool   // send the access token
	Body        any    // nil: no body
	Jar         string // file that keeps cookies; empty: no file
	Stream      bool   // the response does not end
	Token       string // shell variable with the value of the member token; empty: MAIL_TOKEN
}

var (
	variable  = regexp.MustCompile(`"(\$[A-Z_]+)"`)
	parameter = regexp.MustCompile(`\{(\w+)\}`)
)

// Curl returns a command for a POSIX shell. It takes tokens and ids from the variables
// ACCESS_TOKEN, REFRESH_TOKEN, MAIL_TOKEN, USER_ID and SESSION_ID.
func Curl(r Command) string {
	url := parameter.ReplaceAllStringFunc(r.URL, func(name string) string {
		switch {
		case name == "{token}":
			return "$MAIL_TOKEN"
		case strings.Contains(r.URL, "/sessions/"):
			return "$SESSION_ID"
		}
		return "$USER_ID"
	})
	command := "curl"
	if r.Stream {
		command += " -N"
	}
	if r.Method != http.MethodGet {
		command += " -X " + r.Method
	}
	lines := []string{fmt.Sprintf("%s %q", command, url)}
	if r.Bearer {
		lines = append(lines, `-H "Authorization: Bearer $ACCESS_TOKEN"`)
	}
	if r.Jar != "" { // a request with cookies must have an Origin header of this site
		origin := regexp.MustCompile(`^https?://[^/]+`).FindString(r.URL)
		lines = append(lines, fmt.Sprintf("-b %s -c %s -H 'Origin: %s'", r.Jar, r.Jar, origin))
	}
	if r.Body != nil {
		v := reflect.New(reflect.TypeOf(r.Body)).Elem()
		(&exampleFiller{request: true}).fill(v)
		body, err := encodeUnescaped(v.Interface(), "")
		if err != nil {
			return ""
		}
		if r.Token != "" {
			body = strings.ReplaceAll(body, "$MAIL_TOKEN", "$"+r.Token)
		}
		body = variable.ReplaceAllString(body, `"'"$1"'"`)
		lines = append(lines, "-H 'Content-Type: application/json'", "-d '"+body+"'")
	}
	return strings.Join(lines, " \\\n  ")
}

package server

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// The documentation page /docs comes from the same table of routes as the OpenAPI document.

// docRoute is the data of one route for the template. It has text only, so that the template needs
// no functions.
type docRoute struct {
	Method, Path, Summary, Guard, Tag string
	Members                           []docMember // of the request body
	Status                            int
	Answer                            []docMember
	Refusals                          []string // "401 TOKEN_MISSING"
}

// docMember is one member of a JSON body. Its texts are the doc tags of the body types, which the
// OpenAPI document uses too.
type docMember struct {
	Name, Type, Doc string
	Optional        bool
}

// docsPage documents the routes of the API and those that dialects describe. The page is built for
// each request. It is read seldom, and this way it always has the public URL and the theme of the
// server.
func (p *pages) docsPage(w http.ResponseWriter, _ *http.Request) error {
	var all []docRoute
	for _, r := range p.api {
		doc := docRoute{
			Method: cmp.Or(r.method, "ANY"), Path: r.path, Summary: r.summary, Guard: string(r.guard), Tag: tagOf(r.path),
			Status: r.status, Members: membersOf(r.body), Answer: membersOf(r.answer),
		}
		for status, codes := range refusalsOf(r) {
			for _, code := range codes {
				doc.Refusals = append(doc.Refusals, fmt.Sprintf("%d %s", status, code))
			}
		}
		slices.Sort(doc.Refusals)
		all = append(all, doc)
	}
	for _, o := range p.operations {
		method, path, _ := strings.Cut(o.Pattern, " ")
		doc := docRoute{Method: method, Path: path, Summary: o.Summary, Tag: "dialect", Status: o.Status,
			Members: membersOf(o.Body), Answer: membersOf(o.Answer)}
		if o.Bearer {
			doc.Guard = string(bearer)
		}
		all = append(all, doc)
	}
	data := map[string]any{"Routes": all, "URL": p.origins.publicURL}
	return p.show(w, http.StatusOK, p.newEnglishView("docs", "The API", data))
}

// membersOf returns the members of a body. A body that is not a struct, such as a stream, has no
// members. It follows the tags that the OpenAPI document follows, so the two agree.
func membersOf(body any) []docMember {
	t := reflect.TypeOf(body)
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	members := make([]docMember, t.NumField())
	for i := range members {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		members[i] = docMember{name, typeName(field.Type), field.Tag.Get("doc"), options == "omitempty"}
	}
	return members
}

// typeName returns the JSON type of a member in words. Developers know these words from JSON, so
// the page does not show names of Go types.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Struct:
		if t.Name() == "Time" {
			return "time (RFC 3339)"
		}
		return strings.TrimSuffix(t.Name(), "Body")
	}
	return "text"
}

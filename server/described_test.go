package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword/server"
)

// An openAPIDocument is the parsed /openapi.json. Each response in these tests is compared with it, so that the
// document can't differ from the responses.
type openAPIDocument struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	Parameters  []struct{ Name, In string }
	RequestBody struct{ Content map[string]any }
	Responses   map[string]struct {
		Description string
		Headers     map[string]any
		Content     map[string]struct{ Schema schema }
	}
}

func (o operation) hasRequestHeader(name string) bool {
	return slices.ContainsFunc(o.Parameters, func(p struct{ Name, In string }) bool {
		return p.In == "header" && p.Name == name
	})
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]schema
	Required   []string
	Items      *schema
}

// The keys of documentCache are results of Described. Creating and parsing a document takes longer than most tests.
var documentCache sync.Map

func readDocument(t testing.TB, h http.Handler, publicURL string) *openAPIDocument {
	t.Helper()
	var described string
	if s, isServer := h.(*server.Server); isServer {
		described = s.Described()
	}
	if known, isKnown := documentCache.Load(described); isKnown {
		return known.(*openAPIDocument)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", publicURL+"/openapi.json", nil))
	var d openAPIDocument
	must(t, json.Unmarshal(w.Body.Bytes(), &d))
	if described != "" {
		documentCache.Store(described, &d)
	}
	return &d
}

func (d *openAPIDocument) findOperation(r *http.Request) (found operation, described bool) {
	for _, name := range []string{r.URL.Path, path.Dir(r.URL.Path) + "/{id}"} {
		if found, described = d.Paths[name][strings.ToLower(r.Method)]; described {
			break
		}
	}
	return found, described
}

// checkResponse ignores requests that the document does not describe, such as those for pages.
func (d *openAPIDocument) checkResponse(t *testing.T, a fullResponse) {
	t.Helper()
	operation, described := d.findOperation(a.Request)
	if !described {
		return
	}
	name := fmt.Sprintf("%s %s answers %d %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.text("code"))
	response, described := operation.Responses[fmt.Sprint(a.StatusCode)]
	if !described {
		t.Errorf("%s, which is not described", name)
		return
	}
	if _, described := response.Headers["ETag"]; !described && a.Header.Get("ETag") != "" {
		t.Errorf("%s with an ETag, which is not described", name)
	}
	if a.StatusCode < 400 {
		d.checkRequest(t, name, operation, a.Request)
	}
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	content, described := response.Content[kind]
	switch {
	case kind == "" && len(a.raw) == 0:
	case !described:
		t.Errorf("%s as %q, which is not described", name, kind)
	case kind == "application/problem+json" &&
		!slices.Contains(strings.Split(response.Description, ", "), a.text("code")):
		t.Errorf("%s, and only these are described: %s", name, response.Description)
	case strings.HasSuffix(kind, "json"):
		d.matchSchema(t, name, content.Schema, a.body)
	}
}

// checkRequest checks that the document describes the headers of an accepted request and the media type of its body.
func (d *openAPIDocument) checkRequest(t *testing.T, name string, described operation, r *http.Request) {
	t.Helper()
	for _, header := range []string{"Idempotency-Key", "If-Match", "If-None-Match"} {
		if r.Header.Get(header) != "" && !described.hasRequestHeader(header) {
			t.Errorf("%s to the header %s, which is not described", name, header)
		}
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	all := described.RequestBody.Content // empty if the route ignores the body
	if _, described := all[kind]; !described && len(all) > 0 && r.ContentLength > 0 {
		t.Errorf("%s to a body as %q, which is not described", name, kind)
	}
}

// matchSchema checks the type and the required members, and allows no other members.
func (d *openAPIDocument) matchSchema(t *testing.T, name string, s schema, value any) {
	t.Helper()
	if s.Ref != "" {
		s = d.Components.Schemas[path.Base(s.Ref)]
	}
	kinds := []string{""}
	switch value := value.(type) {
	case map[string]any:
		kinds = append(kinds, "object")
		d.matchObject(t, name, s, value)
	case []any:
		kinds = append(kinds, "array")
		for _, one := range value {
			if s.Items != nil {
				d.matchSchema(t, name, *s.Items, one)
			}
		}
	case string:
		kinds = append(kinds, "string")
	case float64:
		kinds = append(kinds, "integer", "number")
	case bool:
		kinds = append(kinds, "boolean")
	}
	if !slices.Contains(kinds, s.Type) {
		t.Errorf("%s is no %s: %v", name, s.Type, value)
	}
}

func (d *openAPIDocument) matchObject(t *testing.T, name string, s schema, value map[string]any) {
	t.Helper()
	for _, required := range s.Required {
		if _, there := value[required]; !there {
			t.Errorf("%s without %s", name, required)
		}
	}
	for member, one := range value {
		property, described := s.Properties[member]
		if !described && s.Properties != nil {
			t.Errorf("%s with %s, which is not described", name, member)
		}
		d.matchSchema(t, name+": "+member, property, one)
	}
}

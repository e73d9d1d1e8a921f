package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run ^TestAdminClientsKnowTheOpenAPIDocument$ . -update

var update = flag.Bool("update", false, "rewrite the generated files")

// The generated files of both clients must match the OpenAPI document of the built program. They contain the
// operations, queries, types and codes of /api/admin. After a change of the API, this test fails until `make
// generate` has run. After a new operation, the tests of both clients fail until they call it.
func TestAdminClientsKnowTheOpenAPIDocument(t *testing.T) {
	t.Parallel()
	s := newServer(t, freeAddress(t))
	dir := t.TempDir()
	if err := s.start(dir, []string{"HOME=" + dir}, nil); err != nil {
		t.Fatal(err)
	}
	d := readAPIDocument(t, s)
	if len(d.adminOperations()) < 10 || len(d.neededSchemas()) < 10 {
		t.Fatalf("the document has only the operations %v", d.adminOperations())
	}
	for name, want := range map[string]string{
		"../../admin/client/schema.go":      goSchema(t, d),
		"../../clients/admin/src/schema.ts": tsSchema(d),
	} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("%s differs from the OpenAPI document: run make generate", name)
		}
	}
}

type apiDocument struct {
	Paths      map[string]map[string]*apiOperation
	Components struct{ Schemas map[string]*apiSchema }
}

type apiOperation struct {
	method, path string
	OperationID  string
	Summary      string
	Tags         []string
	Parameters   []struct {
		Name, In, Description string
		Schema                apiSchema
	}
	RequestBody *apiContent
	Responses   map[string]*apiContent
}

type apiContent struct {
	Description string
	Content     map[string]struct{ Schema *apiSchema }
}

type apiSchema struct {
	Ref                  string `json:"$ref"`
	Type                 any    // a name, or a list with "null"
	Format, Description  string
	Enum                 []any
	Items                *apiSchema
	Properties           map[string]*apiSchema
	Required             []string
	AdditionalProperties json.RawMessage
}

func readAPIDocument(t *testing.T, s *server) (d *apiDocument) {
	t.Helper()
	response, err := s.client().Get(s.url() + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The operations are in the order of their ids.
func (d *apiDocument) adminOperations() (all []*apiOperation) {
	for path, methods := range d.Paths {
		for method, o := range methods {
			if slices.Contains(o.Tags, "administration") {
				o.method, o.path = strings.ToUpper(method), path
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(a, b *apiOperation) int { return strings.Compare(a.OperationID, b.OperationID) })
	return all
}

// neededSchemas returns the names of FieldError and of the schemas in request bodies and successful responses. The
// value is true for the body of a PATCH, where an absent member differs from an empty one.
func (d *apiDocument) neededSchemas() map[string]bool {
	found := map[string]bool{}
	var add func(s *apiSchema, patch bool)
	add = func(s *apiSchema, patch bool) {
		if s == nil {
			return
		}
		if name := s.refersTo(); name != "" {
			if before, known := found[name]; known && before == patch {
				return
			}
			found[name] = patch
			s = d.Components.Schemas[name]
		}
		add(s.Items, patch)
		for _, member := range s.Properties {
			add(member, patch)
		}
	}
	for _, o := range d.adminOperations() {
		for status, response := range o.Responses {
			if strings.HasPrefix(status, "2") {
				for _, content := range response.Content {
					add(content.Schema, false)
				}
			}
		}
		if o.RequestBody != nil {
			for _, content := range o.RequestBody.Content {
				add(content.Schema, o.method == http.MethodPatch)
			}
		}
	}
	add(&apiSchema{Ref: "/FieldError"}, false)
	return found
}

// refusalCodes reads the codes from the descriptions of the responses.
func (d *apiDocument) refusalCodes() []string {
	found := map[string]bool{}
	for _, o := range d.adminOperations() {
		for status, response := range o.Responses {
			if !strings.HasPrefix(status, "2") {
				for code := range strings.SplitSeq(response.Description, ", ") {
					found[code] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (s *apiSchema) refersTo() string { return s.Ref[strings.LastIndex(s.Ref, "/")+1:] }

func (s *apiSchema) kind() string {
	if list, ok := s.Type.([]any); ok {
		for _, one := range list {
			if one != "null" {
				return one.(string)
			}
		}
	}
	text, _ := s.Type.(string)
	return text
}

// memberNames returns the required members in the order of the server's type, then the others in alphabetical order.
func (s *apiSchema) memberNames() []string {
	var others []string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(s.Required, name) {
			others = append(others, name)
		}
	}
	return slices.Concat(s.Required, others)
}

// mapValueSchema returns nil if the object is not a map.
func (s *apiSchema) mapValueSchema() (all *apiSchema) {
	if strings.HasPrefix(string(s.AdditionalProperties), "{") {
		_ = json.Unmarshal(s.AdditionalProperties, &all)
	}
	return all
}

// queryTypeName returns "" if the operation has no query.
func (o *apiOperation) queryTypeName() string {
	for _, p := range o.Parameters {
		if p.In == "query" {
			id := strings.TrimPrefix(o.OperationID, "get-")
			return pascalCase(strings.ReplaceAll(id, "-by-id", "")) + "Query"
		}
	}
	return ""
}

var wordStart = regexp.MustCompile(`(^|[-_])[a-z0-9]`)

// pascalCase turns get-admin-users into GetAdminUsers.
func pascalCase(name string) string {
	return wordStart.ReplaceAllStringFunc(name, func(start string) string {
		return strings.ToUpper(strings.TrimLeft(start, "-_"))
	})
}

func withFullStop(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

const generatedFrom = "// Code generated from /openapi.json by cmd/watchword/admin_schema_test.go. DO NOT EDIT.\n"

// maxColumns is the limit of clients/typescript/test/budgets.test.ts.
const maxColumns = 120

// tsSchema returns the text of clients/admin/src/schema.ts.
func tsSchema(d *apiDocument) string {
	var text strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&text, format+"\n", values...) }
	comment := func(indent, about string) {
		if about != "" {
			line("%s/** %s */", indent, withFullStop(about))
		}
	}
	text.WriteString(generatedFrom)
	for _, o := range d.adminOperations() {
		name := pascalCase(o.OperationID)
		name = strings.ToLower(name[:1]) + name[1:]
		line("")
		comment("", o.Summary)
		constant := fmt.Sprintf("export const %s = { method: %q, path: %q } as const", name, o.method, o.path)
		if len(constant) > maxColumns {
			constant = fmt.Sprintf("export const %s = {\n  method: %q,\n  path: %q,\n} as const",
				name, o.method, o.path)
		}
		line("%s", constant)
		if o.queryTypeName() != "" {
			line("\nexport interface %s {", o.queryTypeName())
			for _, p := range o.Parameters {
				if p.In == "query" {
					comment("  ", p.Description)
					line("  %s?: %s | undefined", p.Name, tsType(&p.Schema))
				}
			}
			line("}")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.neededSchemas())) {
		s := d.Components.Schemas[name]
		line("\nexport interface %s {", name)
		for _, member := range s.memberNames() {
			comment("  ", s.Properties[member].Description)
			optional, orUndefined := "", ""
			if !slices.Contains(s.Required, member) {
				optional, orUndefined = "?", " | undefined"
			}
			line("  %s%s: %s%s", member, optional, tsType(s.Properties[member]), orUndefined)
		}
		line("}")
	}
	line("\n/** Every refusal of the administration API. It is stable: program against it. */\nexport type Code =")
	for _, code := range d.refusalCodes() {
		line("  | %q", code)
	}
	return text.String()
}

// A schema without a type is an object that the application defines.
func tsType(s *apiSchema) string {
	if name := s.refersTo(); name != "" {
		return name
	}
	if len(s.Enum) > 0 {
		var all []string
		for _, value := range s.Enum {
			all = append(all, fmt.Sprintf("%q", value))
		}
		return strings.Join(all, " | ")
	}
	switch s.kind() {
	case "string":
		return "string"
	case "integer", "number":
		return "number"
	case "boolean":
		return "boolean"
	case "array":
		if item := tsType(s.Items); !strings.Contains(item, " ") {
			return item + "[]"
		}
		return "(" + tsType(s.Items) + ")[]"
	}
	if values := s.mapValueSchema(); values != nil {
		return "Record<string, " + tsType(values) + ">"
	}
	return "Record<string, unknown>"
}

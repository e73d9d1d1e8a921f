package main_test

import (
	"cmp"
	"fmt"
	"go/format"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goSchema returns the text of admin/client/schema.go.
func goSchema(t *testing.T, d *apiDocument) string {
	t.Helper()
	var text strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&text, format+"\n", values...) }
	text.WriteString(generatedFrom)
	line("\npackage client\n\nimport (\n\"encoding/json\"\n\"net/url\"\n\"time\"\n)")
	line("\n// The operations of the document.\nvar (")
	for _, o := range d.adminOperations() {
		line("%s = operation{%q, %q} // %s", operationName(o), o.method, o.path, o.Summary)
	}
	line(")")
	for _, o := range d.adminOperations() {
		if o.queryTypeName() != "" {
			writeGoQuery(line, o)
		}
	}
	used := d.neededSchemas()
	for _, name := range slices.Sorted(maps.Keys(used)) {
		s := d.Components.Schemas[name]
		line("\n// %[1]s is the schema of that name in the OpenAPI document.\ntype %[1]s struct {", goName(name))
		for _, member := range s.memberNames() {
			property := s.Properties[member]
			if property.Description != "" {
				line("// %s", withFullStop(property.Description))
			}
			isOptional := !slices.Contains(s.Required, member)
			kind, tag := goType(property), member
			switch {
			case isOptional && (property.refersTo() != "" || used[name] && isScalar(property)):
				kind, tag = "*"+kind, member+",omitempty"
			case isOptional:
				tag = member + ",omitzero"
			}
			line("%s %s `json:%q`", goName(member), kind, tag)
		}
		line("}")
	}
	line("\n// Refusals of the administration API.\nconst (")
	for _, code := range d.refusalCodes() {
		line("Code%s Code = %q", goName(strings.ToLower(code)), code)
	}
	line(")")
	formatted, err := format.Source([]byte(text.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	return string(formatted)
}

// Requests omit the parameters whose field is zero.
func writeGoQuery(line func(string, ...any), o *apiOperation) {
	line("\n// %s has the parameters of: %s. Zero values are left out.\ntype %s struct {",
		o.queryTypeName(), o.Summary, o.queryTypeName())
	var names []string
	for _, p := range o.Parameters {
		if p.In != "query" {
			continue
		}
		about := p.Description
		if len(p.Schema.Enum) > 0 {
			about = strings.TrimSpace(fmt.Sprintf("%s One of: %s", withFullStop(about), oneOf(p.Schema.Enum)))
		}
		if about != "" {
			line("// %s", withFullStop(about))
		}
		line("%s %s", goName(p.Name), goType(&p.Schema))
		names = append(names, p.Name)
	}
	line("}\n\nfunc (q %s) values() url.Values {\nv := url.Values{}", o.queryTypeName())
	for _, name := range names {
		line("setQuery(v, %q, q.%s)", name, goName(name))
	}
	line("return v\n}")
}

func oneOf(values []any) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ", ")
}

func isScalar(s *apiSchema) bool {
	return slices.Contains([]string{"string", "integer", "boolean"}, s.kind())
}

func goType(s *apiSchema) string {
	if name := s.refersTo(); name != "" {
		return goName(name)
	}
	switch s.kind() {
	case "string":
		if s.Format == "date-time" {
			return "time.Time"
		}
		return "string"
	case "integer":
		return "int64"
	case "number":
		return "float64"
	case "boolean":
		return "bool"
	case "array":
		return "[]" + goType(s.Items)
	}
	if values := s.mapValueSchema(); values != nil {
		return "map[string]" + goType(values)
	}
	return "json.RawMessage"
}

func operationName(o *apiOperation) string {
	name := goName(pascalCase(o.OperationID))
	return strings.ToLower(name[:1]) + name[1:]
}

var capitalWord = regexp.MustCompile(`[A-Z][a-z0-9]*`)

// goName turns requestId into RequestID, and last_admin into LastAdmin.
func goName(member string) string {
	capitals := map[string]string{"Id": "ID", "Ids": "IDs", "Url": "URL", "Sid": "SID"}
	return capitalWord.ReplaceAllStringFunc(pascalCase(member), func(word string) string {
		return cmp.Or(capitals[word], word)
	})
}

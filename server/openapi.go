package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/internal/apiexample"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// The OpenAPI document is created from the table in routes.go and, by reflection, from the types of bodies. If it
// were written by hand, it would soon differ from the routes. Struct tags contain formats, enumerations and
// descriptions.

// newOpenAPIDocument runs at the first request for the document (pages.openAPIDocument), which keeps the start fast. A
// mistake in a route, such as a type without a schema, therefore appears only at that request. Tests request the
// document.
func newOpenAPIDocument(opts Options, routes []route) ([]byte, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	paths := map[string]*huma.PathItem{}
	for _, r := range routes {
		addOperation(paths, r.method, r.path, describeRoute(registry, r))
	}
	for _, o := range dialectList(opts.Dialects).describedOperations() {
		method, path, _ := strings.Cut(o.Pattern, " ")
		addOperation(paths, method, path, describeDialectOperation(registry, o))
	}
	for _, schema := range registry.Map() {
		for name, property := range schema.Properties {
			property.Description = cmp.Or(property.Description, apiexample.Doc(name))
		}
	}
	schemes := map[string]*huma.SecurityScheme{
		// Generated clients contain the names of the schemes, so they must not change.
		"accessToken": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
		"serviceKey": {Type: "http", Scheme: "bearer", BearerFormat: "wwk_1…",
			Description: "With the scope of the operation"},
		"refreshToken": {Type: "apiKey", In: "cookie", Name: opts.CookieName, Description: "Or refreshToken in the body"},
	}
	// If administration is on the other listener, this document must not reveal that administration exists.
	if !slices.ContainsFunc(routes, func(r route) bool { return r.guard.guardsAdministration() }) {
		delete(schemes, "serviceKey")
	}
	document, err := json.Marshal(&huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Watchword", Version: "1",
			Description: "Accounts, revocable sessions, and refresh tokens that rotate without signing honest users out. " +
				"Errors are problem+json (RFC 9457): program against `code`."},
		Servers:    []*huma.Server{{URL: opts.PublicURL}},
		Paths:      paths,
		Components: &huma.Components{Schemas: registry, SecuritySchemes: schemes},
	})
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return document, nil
}

// addOperation adds an operation to the document. A route that accepts every method is documented as GET, because
// OpenAPI has no operation for all methods.
func addOperation(paths map[string]*huma.PathItem, method, path string, operation *huma.Operation) {
	item := paths[path]
	if item == nil {
		item = &huma.PathItem{}
		paths[path] = item
	}
	switch method {
	case http.MethodGet, anyMethod:
		item.Get = operation
	case http.MethodPost:
		item.Post = operation
	case http.MethodPatch:
		item.Patch = operation
	case http.MethodDelete:
		item.Delete = operation
	}
}

// schemaName drops the suffix Body. It adds the name of the dialect as a prefix, because dialects have types of the
// same name. Names must be unique and must not change between releases, because code generators turn them into type
// names.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, dialect, _ := strings.Cut(t.PkgPath(), "/dialect/")
	name := strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "Body")
	if dialect != "" {
		dialect = strings.ToUpper(dialect[:1]) + dialect[1:]
	}
	return dialect + strings.ToUpper(name[:1]) + name[1:]
}

// describeDialectOperation describes all errors with the default response, because each dialect has one format for
// errors.
func describeDialectOperation(registry huma.Registry, o dialect.Operation) *huma.Operation {
	refusal := "application/json"
	// A dialect that describes its errors with a string responds with plain text.
	if _, isText := o.Refusal.(string); isText {
		refusal = "text/plain"
	}
	method, path, _ := strings.Cut(o.Pattern, " ")
	operation := &huma.Operation{
		Summary:     o.Summary,
		OperationID: dialectPrefix + operationID(route{method: method, path: path}),
		Tags:        []string{"dialect"},
		Responses: map[string]*huma.Response{
			strconv.Itoa(o.Status): {Description: http.StatusText(o.Status)},
			"default":              describeContent(registry, refusal, "Refused", o.Refusal),
		},
	}
	if o.Answer != nil {
		operation.Responses[strconv.Itoa(o.Status)] =
			describeContent(registry, "application/json", http.StatusText(o.Status), o.Answer)
	}
	if o.Body != nil {
		operation.RequestBody = &huma.RequestBody{Content: describeContent(registry, "application/json", "", o.Body).Content}
	}
	if o.Bearer {
		operation.Security = []map[string][]string{{"accessToken": {}}}
	}
	for _, name := range []string{"id", "token"} {
		if strings.Contains(path, "{"+name+"}") {
			operation.Parameters = []*huma.Param{{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}}
		}
	}
	return operation
}

// describeRoute takes most of the description from the route's row in the table.
func describeRoute(registry huma.Registry, r route) *huma.Operation {
	operation := &huma.Operation{
		Summary:     r.summary,
		OperationID: operationID(r),
		Tags:        []string{sectionOf(r.path)},
		Responses: map[string]*huma.Response{
			strconv.Itoa(r.status): describeContent(registry, "application/json", http.StatusText(r.status), r.answer),
		},
	}
	if r.body != nil {
		operation.RequestBody = &huma.RequestBody{
			// A body is optional if the token can be in a cookie instead, or if no member is
			// required.
			Required: r.guard != refresh && r.guard != anyToken && len(requiredMembers(r.body)) > 0,
			Content:  describeContent(registry, "application/json", "", r.body).Content,
		}
		// A PATCH accepts a merge patch (RFC 7396) under two media types.
		if r.method == http.MethodPatch {
			operation.RequestBody.Content["application/merge-patch+json"] =
				operation.RequestBody.Content["application/json"]
		}
	}
	switch {
	case r.guard.guardsAdministration():
		operation.Security = adminSecurity(r.guard)
	case r.guard == bearer:
		operation.Security = []map[string][]string{{"accessToken": {}}}
	case r.guard == refresh:
		operation.Security = []map[string][]string{{"refreshToken": {}}}
	case r.guard == firstFactor:
		operation.Security = []map[string][]string{{"accessToken": {}}, {}}
	// The empty requirement at the end allows requests without credentials.
	case r.guard == anyToken:
		operation.Security = []map[string][]string{{"refreshToken": {}}, {"accessToken": {}}, {}}
	}
	describeExceptions(operation, registry, r)
	for status, codes := range errorCodesByStatus(r) {
		slices.Sort(codes)
		operation.Responses[strconv.Itoa(status)] = describeContent(registry,
			"application/problem+json", strings.Join(codes, ", "), problem{})
	}
	return operation
}

// describeExceptions adds what a row of the route table can't express, such as parameters or a second success response.
func describeExceptions(operation *huma.Operation, registry huma.Registry, r route) {
	if strings.Contains(r.path, "{id}") {
		operation.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"},
			Description: "Id of the " + path.Base(strings.TrimSuffix(r.path, "s/{id}"))}}
	}
	if r.path == pathAPI+"/register" {
		operation.Responses["202"] = describeContent(registry, "application/json",
			"Continue by mail (signup: verified)", messageBody{})
	}
	if r.path == pathRefresh {
		operation.Parameters = []*huma.Param{{Name: "optional", In: "query", Schema: &huma.Schema{Type: "boolean"},
			Description: "true: a request without a refresh token gets 204 instead of 401"}}
		operation.Responses["204"] = &huma.Response{Description: "No refresh token (optional=true)"}
	}
	if r.path == pathForward {
		describeForward(operation)
	}
	if r.guard.guardsAdministration() {
		operation.Parameters = append(operation.Parameters, describeAdminParameters(r)...)
	}
	if r.path == pathRevocations || r.path == pathStream {
		operation.Parameters = []*huma.Param{{Name: "after", In: "query", Schema: &huma.Schema{Type: "integer"},
			Description: "The number of the last event that the caller knows; 0: all events that still matter"}}
	}
	if r.path == pathStream {
		operation.Responses["200"] = describeContent(registry, "text/event-stream",
			"id: number, event: set or heartbeat, data: a Security Event Token", r.answer)
	}
	if r.path == pathJWKS || r.path == pathRevocations {
		operation.Parameters = append(operation.Parameters, describeRequestHeader("If-None-Match",
			"An ETag. If it is still that of the response, the status is 304", ""))
		operation.Responses["200"].Headers = describeETag("For If-None-Match")
		operation.Responses["304"] = &huma.Response{Description: "Unchanged", Headers: describeETag("As in the request")}
	}
	if r.path == pathAdmin+"/users/{id}" && r.method != http.MethodDelete {
		operation.Responses["200"].Headers = describeETag("The version of the metadata, for If-Match")
	}
}

// describeRequestHeader describes an optional header. The format may be empty.
func describeRequestHeader(name, doc, format string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: "string", Format: format}}
}

// describeETag describes the response header ETag. The text says in which request a client sends the tag back.
func describeETag(doc string) map[string]*huma.Param {
	return map[string]*huma.Param{"ETag": {Description: doc, Schema: &huma.Schema{Type: "string"}}}
}

// adminSecurity offers two credentials: an access token, or a service key with the scope of the route. OpenAPI 3.1
// allows a scope in every type of scheme. A route without a scope is for administrators only.
func adminSecurity(g guard) []map[string][]string {
	all := []map[string][]string{{"accessToken": {}}}
	if need, _ := g.requiredAccess(); need.Scope != "" {
		all = append(all, map[string][]string{"serviceKey": {string(need.Scope)}})
	}
	return all
}

// errorCodesByStatus adds the codes that follow from the route's path, method, body and guard. A row of the table
// therefore lists only the codes that are specific to the route.
func errorCodesByStatus(r route) map[int][]string {
	// Every route rejects a malformed path and too many cookies with PARAMETER_INVALID.
	codes := slices.Concat(r.refusals, []watchword.Code{watchword.CodeInternal, apirequest.CodeMisdirected,
		watchword.CodeParameterInvalid})
	if isAPI(r.path) {
		codes = append(codes, watchword.CodeTryLater)
	}
	if r.method != http.MethodGet {
		codes = append(codes, apirequest.CodeCrossOrigin)
	}
	if r.body != nil {
		codes = append(codes, apirequest.CodeBodyInvalid, apirequest.CodeBodyTooLarge, apirequest.CodeContentType)
	}
	if r.guard.guardsAdministration() {
		codes = append(codes, watchword.CodeInsufficientScope, watchword.CodeStepUpRequired, watchword.CodeRateLimited)
		if r.method != http.MethodGet { // the code for an invalid Idempotency-Key
			codes = append(codes, watchword.CodeValidationFailed)
		}
	}
	if r.guard == bearer || r.guard.guardsAdministration() {
		codes = append(codes, watchword.CodeTokenMissing, watchword.CodeTokenInvalid, watchword.CodeTokenExpired,
			watchword.CodeSessionEnded, apirequest.CodeAmbiguousCredentials)
	}
	slices.Sort(codes)
	byStatus := map[int][]string{}
	for _, code := range slices.Compact(codes) {
		byStatus[statusOf(code)] = append(byStatus[statusOf(code)], string(code))
	}
	return byStatus
}

// describeContent refers to a schema, so a type that occurs in many routes is described once.
func describeContent(registry huma.Registry, kind, description string, body any) *huma.Response {
	schema := registry.Schema(reflect.TypeOf(body), true, "")
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{kind: {Schema: schema}}}
}

// requiredMembers are those without omitempty.
func requiredMembers(body any) (required []string) {
	t := reflect.TypeOf(body)
	for i := range t.NumField() {
		if name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); options != "omitempty" {
			required = append(required, name)
		}
	}
	return required
}

// dialectPrefix distinguishes the operation ids of dialects from those of the API: both may
// have POST /login.
const dialectPrefix = "dialect-"

// operationID must be unique in the document and must not change, because generated clients use it as a function
// name.
func operationID(r route) string {
	path := strings.NewReplacer("/api/auth", "", "/api/admin", "/admin",
		"/.well-known", "", ".json", "", "{", "by-", "}", "").Replace(r.path)
	return strings.ToLower(cmp.Or(r.method, http.MethodGet)) + strings.ReplaceAll(path, "/", "-")
}

// sectionOf derives the section of a route from its path. Readers of /docs find a route by its section.
func sectionOf(path string) string {
	if strings.HasPrefix(path, pathAdmin) {
		return "administration"
	}
	rest, isAPI := strings.CutPrefix(path, pathAPI+"/")
	if !isAPI {
		return "service"
	}
	switch first, _, _ := strings.Cut(rest, "/"); first {
	case "me", "users":
		return "account"
	case "password", "email":
		return first
	case "forward":
		return "service"
	}
	return "session"
}

// serveOpenAPI keeps the default of Cache-Control, no-store, because an upgrade can change the document.
func (p *pages) serveOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	document, err := p.openAPIDocument()
	if err != nil {
		return err
	}
	respond.Write(w, http.StatusOK, "application/json", document)
	return nil
}

// Package apidoc describes the routes of a dialect for the OpenAPI document that the
// server generates.
package apidoc

// An Operation describes one route.
type Operation struct {
	Pattern string // method and path, in the syntax of http.ServeMux
	Summary string
	Bearer  bool // the route requires an access token
	Body    any  // request body, a struct with json tags, or nil
	Status  int  // of a successful response
	Answer  any  // body of a successful response, or nil
	Refusal any  // body of every other response; a string means plain text
}

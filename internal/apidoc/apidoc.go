// Package apidoc says what a route of a dialect looks like, for the OpenAPI
// document that the server makes.
package apidoc

// An Operation is one route.
type Operation struct {
	Pattern string // method and path, as http.ServeMux has them
	Summary string
	Bearer  bool // it takes an access token
	Body    any  // a struct with json tags; nil: it has no body
	Status  int
	Answer  any // of that status; nil: none
	Refusal any // of every other status; a string: plain text
}

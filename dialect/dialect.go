// Package dialect describes the HTTP API of another authentication server, so that front-ends
// that were written for that server work unchanged. server.Options takes such descriptions.
package dialect

import (
	"net/http"

	"github.com/watchword-auth/watchword"
)

// A Dialect is the HTTP API of another server. Its requests pass the same middlewares as the API of
// Watchword: host check, CORS, CSRF check, security headers and logging. Takes and Refuse are required.
type Dialect struct {
	// Takes reports whether a request is for this dialect. It returns true for all methods of the dialect's paths,
	// except for requests that another dialect or the API serves.
	Takes func(*http.Request) bool

	// Routes maps patterns of http.ServeMux to handlers. If a handler returns an error, the server calls Refuse. The
	// handler must therefore not have written a response.
	Routes map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error

	// Refuse writes the response for an error. It receives the HTTP status that the API would send, and the error.
	// Headers that the API would send are already set. Refuse may change the status and the headers. The code of the
	// error can be any code of the OpenAPI document; package watchword has constants only for those of the engine.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, why *watchword.Error)

	// Cookies are the names of the cookies that can identify a user. The CSRF check
	// rejects a request that has one of them but neither Origin nor Sec-Fetch-Site.
	Cookies []string

	// CORS allows scripts of the allowed origins to send RequestHeaders and to read ResponseHeaders, in addition to
	// the headers of the API.
	RequestHeaders, ResponseHeaders []string

	// Operations describe the routes in /openapi.json and on /docs. They are optional.
	Operations []Operation
}

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

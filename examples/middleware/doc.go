// Package middleware shows package verify with common routers, one file for each. It is a
// separate module, so that Watchword does not depend on the routers.
//
// Each service has the same three routes: GET / without sign-in, GET /notes for signed-in
// users, and GET /admin for the role admin.
package middleware

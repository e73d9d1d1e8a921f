// Package middleware shows package verify under the routers that people use: one
// file each. It is a module of its own, so that their code is in nobody's way.
//
// Every service here has the same three routes: GET / for everybody, GET /notes
// for who is signed in, GET /admin for the role admin.
package middleware

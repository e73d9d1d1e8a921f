// Package federation signs users in with external providers: Google, GitHub, Microsoft, Apple, and
// any OpenID provider.
//
// It decides which account an external identity opens. It does not speak HTTP: package
// federation/providers talks to the providers, and package server has the routes.
//
// Unstable: package server and the program watchword use it.
package federation

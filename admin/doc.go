// Package admin is the administration of accounts over the API and the pages: who may use it, how
// accounts are found and changed, and the service keys of programs.
//
// The rules of accounts and sessions are the engine's. This package decides who may call them, and
// keeps what only administration needs. It knows no HTTP and no SQL.
//
// Unstable: only the server, the stores and the program watchword use it.
package admin

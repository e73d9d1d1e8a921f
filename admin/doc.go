// Package admin implements administration for the API and the HTML pages: who may use it, how administrators find and
// change accounts, and the service keys of programs.
//
// The engine has the rules for accounts and sessions. This package decides who may call which operation, and has the
// code that only administration needs. It contains no HTTP and no SQL.
//
// Unstable: only the server, the stores and the program watchword use it.
package admin

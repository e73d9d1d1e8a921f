// Package verify verifies Watchword's access tokens inside your services, without a request to the server for each
// token. It learns within a second when a session ends.
//
//	verifier, err := verify.New("https://id.example.com", verify.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer verifier.Close()
//
//	mux.Handle("GET /notes", verifier.Require(http.HandlerFunc(notes)))
//	mux.Handle("DELETE /notes", verifier.RequireRole("admin")(http.HandlerFunc(clear)))
//
// A handler gets the caller's identity from [FromContext]. Code without HTTP (gRPC, queues) calls [Verifier.Verify]
// with the token.
//
// A verifier knows one issuer and its keys. It has no access to users or to the server's database. The package
// imports no server code, only net/http and a JOSE library.
//
// # In the background
//
// The verifier finds the keys through the issuer's metadata and reads them again before they become stale. It keeps
// the keys during an outage, and drops a key when the issuer drops it (keys.go). It caches verified tokens in bounded
// memory (internal/tokencache). The issuer's revocation feed reports ended sessions (feed.go, revocation.go).
// Usually, only the first request waits for the network.
//
// # Accepted tokens
//
// The verifier strictly enforces the profile of RFC 9068 and RFC 8725: compact serialization, `typ` at+jwt, the
// algorithm of the key that `kid` names, exactly the configured issuer and audience, times in whole seconds, and a
// lifetime of at most an hour. No option relaxes it.
package verify

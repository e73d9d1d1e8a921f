// Package verify is for the services behind Watchword: it verifies access tokens
// where they are used, in microseconds, and still learns when a session ends.
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
// A handler asks [FromContext] who is there. Elsewhere (gRPC, queues) call
// [Verifier.Verify] with the token alone.
//
// It knows one issuer and its keys. It knows no users and no store, and links no
// server: only net/http and a JOSE library.
//
// # What it does by itself
//
// Keys are found through the issuer's metadata, read ahead of time, kept through
// an outage, and dropped when the issuer drops them (keys.go). Verified tokens are
// remembered within bounds (cache.go). Ended sessions come through the issuer's
// revocation feed (feed.go, revocation.go). No request waits for the network but
// the very first.
//
// # What a token must be
//
// The profile of RFC 9068 and RFC 8725, strictly: compact, `typ` at+jwt, the
// algorithm of the key that `kid` names, exactly our issuer, our audience, whole
// times, a life of an hour at most. There is no option to be less strict.
package verify

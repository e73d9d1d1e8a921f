// Package client calls the administration API of a Watchword server (/api/admin) from another program: it finds and
// changes accounts, ends sessions, and explains why somebody was signed out.
//
//	c, err := client.New(client.Options{URL: "https://id.example.com", Key: os.Getenv("WATCHWORD_KEY")})
//	…
//	for user, err := range c.Users.List(ctx, client.AdminUsersQuery{Role: "member"}) {
//		…
//	}
//
// It imports no other package of the module, so a program that uses it links neither the engine nor a store. The rules
// of the admin API are in package admin, which runs in the server.
//
// The types of bodies and queries are generated from the OpenAPI document. They have the names of its schemas.
//
// # Retries
//
// A request is retried once if its response was lost, or if the server responds with 503 or 429 and a Retry-After of
// at most 10 seconds. Every write has an Idempotency-Key, which both attempts share, so the server makes the change
// once. WithIdempotencyKey sets your own key, for a job that may be restarted.
//
// # Secrets
//
// No error contains the key, an address or a query, and a printed Client does not show the key. New refuses a URL
// without TLS, except on the loopback. Redirects are not followed.
//
// Unstable: the routes of /api/admin are new and may still change.
package client

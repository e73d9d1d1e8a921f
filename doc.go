// Package watchword is an authentication engine: accounts, sessions that can be
// revoked, and refresh tokens that rotate without signing honest users out.
//
// This package holds the types and all rules. It contains no HTTP, SQL or
// templates. Other packages (server, store, mail) provide these.
//
//	engine, err := watchword.New(ctx, store, watchword.Options{
//		PublicURL: "https://id.example.com",
//		MasterKey: key,
//		Mailer:    mailer,
//	})
//	go engine.Run(ctx) // sends mail, deletes expired rows, rotates keys
//	http.Handle("/", server.New(engine, server.Options{…}))
//
// # Where to read on
//
// The main types are [User], [Session] (one sign-in on one device), [Key] (signs
// tokens) and [Event] (an entry of the security log). The engine needs a [Store]
// and a [Mailer].
//
// Each flow is one file that begins with a summary of its steps: signup.go,
// login.go, refresh.go, logout.go, recovery.go (forgotten password), email.go,
// password.go, account.go, operator.go.
//
// Start with rotation.go: [Judge] decides whether a presented refresh token
// rotates, repeats, or ends its session. token.go creates tokens. outbox.go,
// sweep.go, feed.go and keyring_schedule.go run in the background.
//
// # How the rules are kept
//
// Every decision is a pure function (Judge, mayLogin, Session.EndedBy). One
// conditional statement of the store settles each race ("update if unchanged").
// A refusal that must be recorded, such as a reuse or a failed attempt, is
// committed before it is returned.
//
// A refusal is an [*Error] with a [Code] of errors.go. Clients may see it. Every
// other error is internal.
//
// The engine issues two kinds of token to signed-in clients. An access token is a
// JWT (RFC 9068) that is valid for minutes and is verified without a query. A
// refresh token is opaque and works once. Neither it nor its hash is stored.
package watchword

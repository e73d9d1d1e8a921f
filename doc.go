// Package watchword is an authentication engine: accounts, sessions that can be
// called back, and refresh tokens that rotate without signing honest people out.
//
// This package holds the nouns, the promises and the rules. It knows no HTTP, no
// SQL and no templates: those are the edges around it.
//
//	engine, err := watchword.New(ctx, store, watchword.Options{
//		PublicURL: "https://id.example.com",
//		MasterKey: key,
//		Mailer:    mailer,
//	})
//	go engine.Run(ctx) // mail, sweeping, keys
//	http.Handle("/", server.New(engine, server.Options{…}))
//
// # Where to read on
//
// The nouns are a [User], their [Session] on each device, the [Key] that signs
// for it, and the [Event] that tells what happened. What the engine needs from
// outside is a [Store] and a [Mailer].
//
// Each flow is one file that opens with its story: signup.go, login.go,
// refresh.go, logout.go, recovery.go (a forgotten password), email.go,
// password.go, account.go, operator.go.
//
// The heart is rotation.go: [Judge] decides what becomes of a refresh token that
// is presented. How a token is born is token.go. What runs in the background is
// outbox.go, sweep.go and keyring_schedule.go.
//
// # How the rules are kept
//
// A flow decides, then does: every decision is a pure function (Judge, mayLogin,
// Session.EndedBy); every race is settled by one conditional statement of the
// store ("claim if unclaimed"); every refusal that must be remembered, a reuse
// or a failed attempt, is committed before it is returned.
//
// A refusal is an [*Error] with a [Code] of errors.go and may be shown to the
// client. Every other error is internal.
//
// Two kinds of token leave the engine. An access token is a JWT (RFC 9068) that
// lives for minutes and is verified without a query. A refresh token is opaque,
// works once, and is never stored: not even its hash.
package watchword

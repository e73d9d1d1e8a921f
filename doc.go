// Package watchword is an authentication engine: accounts, sessions that can be
// revoked, and refresh tokens that rotate without signing honest users out.
//
// This package holds the types and all rules. It contains no HTTP, SQL or templates. Other packages (server, store,
// mail) provide these. Package embedded opens a store and does all of the following in one call:
//
//	engine, err := watchword.New(ctx, store, watchword.Options{
//		PublicURL: "https://id.example.com",
//		MasterKey: key,
//		Mailer:    mailer,
//	})
//	go engine.Run(ctx) // sends mail, deletes expired rows, rotates keys
//	handler, err := server.New(engine, server.Options{})
//	mux.Handle("/", handler)
//
// # Where to start reading
//
// The main types are [User], [Session] (one sign-in on one device), [Key] (signs tokens) and [Event] (an entry of the
// security log). The engine needs a [Store] and a [Mailer].
//
// Each flow is one file that begins with a summary of its steps: signup.go, login.go, refresh.go, logout.go,
// recovery.go (forgotten password), email.go, password.go, account.go, operator.go.
//
// Start with rotation.go: [Judge] decides whether a presented refresh token rotates, repeats, or ends its session.
// token.go creates tokens. outbox.go, sweep.go, feed.go, callback.go and keyring_schedule.go run in the background.
//
// # Callbacks
//
// Run calls Options.OnSignup for each new account and Options.OnSessionEnded for each ended session, at least once. One
// of the processes that set the callback makes the call. It usually does so within a second after the change was
// committed. The client may receive its response earlier.
//
// Calls are concurrent, in no order, and may repeat. Make them idempotent with User.ID or Session.ID as the
// key. The arguments have the state at the time of the call.
//
// A callback that returns an error or panics is called again after 1 s, then after twice as long, up to an
// hour. It must return when its context ends: after 30 s, or when the context of Run ends. A call that does
// not return delays all other calls of this callback in this process.
//
// A change waits up to 7 days for its delivery, even while no process runs. The first process that sets a callback
// therefore receives the changes of the last 7 days. OnSignup is not called for a deleted account.
//
// # How the rules are kept
//
// Every decision is a pure function (Judge, mayLogin, Session.EndedBy). If two requests are concurrent, a conditional
// statement of the store ("update if unchanged") decides which of them succeeds. Some refusals must be recorded, such
// as a reuse or a failed attempt. Their record is committed before the refusal is returned.
//
// A refusal is an [*Error] with a [Code] of errors.go. Clients may see it. Every other error is internal.
//
// The engine issues two kinds of token to signed-in clients. An access token is a
// JWT (RFC 9068) that is valid for minutes and is verified without a query. A
// refresh token is opaque and works once. The store has no refresh tokens and no hashes of them.
package watchword

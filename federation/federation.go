package federation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
)

// A Provider is the client of one external provider. Its methods are safe for concurrent use.
//
// Unstable: package federation/providers implements it.
type Provider interface {
	Info() Info

	// AuthURL returns the URL of the provider to which the browser is redirected. An error means
	// that the provider can't be reached.
	AuthURL(context.Context, Attempt) (string, error)

	// Exchange redeems the code of a response and returns the provider's claims about the user. It
	// checks everything that the provider has signed, and the nonce of the attempt. If it returns an
	// error, the response proves no identity. ErrNotAllowed means that the settings exclude the user.
	Exchange(context.Context, Attempt, Response) (Claims, error)
}

// ErrNotAllowed means that the settings of a provider exclude a user. The provider itself
// works.
var ErrNotAllowed = errors.New("the user is not allowed")

// Info describes a provider. It contains no secrets.
type Info struct {
	ID   string // used in URLs and in the configuration
	Kind Kind
	Name string // display name, such as "Google"

	Issuer string // issuer of the provider's identities; empty: the issuer depends on the user (Microsoft)

	NoSignUp   bool // a sign-in with this provider never creates an account
	TrustEmail bool // KindOIDC only: the claim email_verified counts
	TrustMFA   bool // KindOIDC only: the claims amr and acr count
	FormPost   bool // a page of the provider submits the response as a form
}

// A Response has the parameters that the browser brings back from a provider.
type Response struct {
	Code   watchword.Secret
	Issuer string // the parameter iss (RFC 9207), or ""
	Name   string // name of the user, from a form that the provider does not sign
}

// Options configure a Manager.
type Options struct {
	// Providers are offered in this order. Their ids must be unique.
	Providers []Provider

	// LinkProven connects an identity to the proven account with the same address, if the provider guarantees the
	// address. Otherwise the user has to sign in to that account first. Default: false.
	LinkProven bool

	// Spare returns the id of a passkey that can sign the user in without another proof, or "". A user with such a
	// passkey can remove the last identity. Default: no passkeys.
	Spare func(context.Context, Tx, watchword.UserID) (string, error)
}

// A Manager runs the flows of external identities. It is safe for concurrent use.
type Manager struct {
	engine    watchword.Inside
	publicURL string
	signUp    bool
	store     Store
	opts      Options
	byID      map[string]Provider
}

// idPattern bounds the ids of providers, because they are part of paths and of environment variables.
var idPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// IsID reports whether a text can be the id of a provider.
func IsID(id string) bool { return idPattern.MatchString(id) }

// New returns a Manager for an engine and the store of that engine.
func New(e *watchword.Engine, store Store, opts Options) (*Manager, error) {
	if opts.Spare == nil {
		opts.Spare = func(context.Context, Tx, watchword.UserID) (string, error) { return "", nil }
	}
	mode, _ := e.Inside().Signup()
	m := &Manager{engine: e.Inside(), publicURL: e.PublicURL(), signUp: mode != watchword.SignupClosed,
		store: store, opts: opts, byID: map[string]Provider{}}
	for _, p := range opts.Providers {
		id := p.Info().ID
		if !IsID(id) {
			return nil, fmt.Errorf("federation: the provider id %q: use lower case letters, digits and hyphens", id)
		}
		if m.byID[id] != nil {
			return nil, fmt.Errorf("federation: two providers have the id %q", id)
		}
		m.byID[id] = p
	}
	return m, nil
}

// Providers describes the providers, in the order of Options.
func (m *Manager) Providers() (all []Info) {
	for _, p := range m.opts.Providers {
		all = append(all, p.Info())
	}
	return all
}

// findProvider returns the provider with the id. It returns CodeNotFound for an unknown id.
func (m *Manager) findProvider(id string) (Provider, error) {
	if p := m.byID[id]; p != nil {
		return p, nil
	}
	return nil, refuse(watchword.CodeNotFound, "This provider is not offered here.")
}

// The codes of the refusals that this package adds to those of the engine.
//
// Unstable: for packages of this module.
const (
	CodeProviderRefused     watchword.Code = "PROVIDER_REFUSED"
	CodeProviderUnavailable watchword.Code = "PROVIDER_UNAVAILABLE"
	CodeLinkRequired        watchword.Code = "LINK_REQUIRED"
	CodeIdentityTaken       watchword.Code = "IDENTITY_TAKEN"
)

// The kinds of events that this package records. docs/logs.md lists all kinds.
const (
	eventIdentityLinked  watchword.EventKind = "identity_linked"
	eventIdentityRemoved watchword.EventKind = "identity_unlinked"
)

// newID returns a UUID of version 7, so that rows sort by age, as the ids of the engine do.
func newID() string { return uuid.Must(uuid.NewV7FromReader(rand.Reader)).String() }

func refuse(code watchword.Code, detail string) *watchword.Error {
	return &watchword.Error{Code: code, Detail: detail}
}

func attemptInvalid() *watchword.Error {
	return refuse(watchword.CodeChallengeInvalid, "This sign-in took too long, or began in another browser. Start again.")
}

func providerUnavailable(name string) *watchword.Error {
	return refuse(CodeProviderUnavailable,
		name+" did not respond as expected. Try again shortly, or sign in in another way.")
}

func providerRefused(name string) *watchword.Error {
	return refuse(CodeProviderRefused,
		name+" did not complete the sign-in. Try again, or sign in in another way.")
}

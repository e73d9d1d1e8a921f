package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// Options describe a provider.
type Options struct {
	ID           string
	Kind         federation.Kind
	Name         string // default: the name of the kind, or the id
	ClientID     string
	ClientSecret watchword.Secret
	RedirectURI  string // see federation.RedirectURI

	Issuer string   // federation.KindOIDC only
	Scopes []string // added to the scopes of the kind

	// Tenants are the tenants that can sign in with federation.KindMicrosoft: ids, or one of
	// common, organizations and consumers.
	Tenants []string

	// TeamID and KeyID are for federation.KindApple. With them, ClientSecret is the key file (.p8).
	// Without them, ClientSecret is a signed client secret, which expires.
	TeamID, KeyID string

	// Host replaces the fixed hosts of a kind in tests, for example by "http://127.0.0.1:8000".
	Host string

	NoSignUp, TrustEmail, TrustMFA bool // as in federation.Info

	// Now is the clock for the times in ID tokens. Default: time.Now.
	Now func() time.Time
}

// A kind has the settings and functions that differ between kinds of providers.
type kind struct {
	name   string
	issuer string // "" if the settings have the issuer
	scopes []string

	// fixedMetadata returns the metadata of a kind that has no discovery document. It is nil for other kinds.
	fixedMetadata func(*client) *metadata
	checkIssuer   func(*client, string) error
	checkToken    func(*client, idClaims) error // additional checks of ID tokens, or nil
	noUserInfo    bool                          // the ID token has every claim, so the userinfo endpoint is not used
	formPost      bool                          // the browser sends the response as a form

	redeemCode func(*client, context.Context, federation.Attempt, federation.Response) (federation.Claims, error)
}

var supportedKinds = map[federation.Kind]kind{
	federation.KindOIDC: {scopes: openIDScopes, checkIssuer: checkSameIssuer, redeemCode: (*client).exchangeOpenID},
	federation.KindGoogle: {name: "Google", issuer: "https://accounts.google.com", scopes: openIDScopes,
		checkIssuer: checkSameIssuer, redeemCode: (*client).exchangeOpenID},
	federation.KindMicrosoft: {name: "Microsoft", issuer: microsoft, scopes: openIDScopes, checkIssuer: tenantIssuer,
		checkToken: checkTenant, noUserInfo: true, redeemCode: (*client).exchangeOpenID},
	federation.KindApple: {name: "Apple", issuer: apple, scopes: []string{"openid", "name", "email"},
		checkIssuer: checkSameIssuer, noUserInfo: true, formPost: true, redeemCode: (*client).exchangeOpenID},
	federation.KindGitHub: {name: "GitHub", issuer: github, scopes: []string{"read:user", "user:email"},
		fixedMetadata: (*client).githubMetadata, redeemCode: (*client).exchangeGitHub},
}

var openIDScopes = []string{"openid", "email", "profile"}

type client struct {
	opts      Options
	kind      kind
	info      federation.Info
	issuer    string
	http      *http.Client
	pushSlots chan struct{} // limits the concurrent pushed requests

	mu          sync.Mutex
	meta        *metadata // nil: not yet fetched
	requestedAt time.Time // when the last request for the document ended
	lastErr     error     // error of the last request; nil if meta is set
}

// New returns the client of a provider. It sends no request, so a provider that is down does not delay the start of
// the server.
func New(o Options) (federation.Provider, error) {
	k, known := supportedKinds[o.Kind]
	c := &client{opts: o, kind: k, http: newHTTPClient(), issuer: cmp.Or(k.issuer, o.Issuer),
		pushSlots: make(chan struct{}, maxPushes)}
	if c.opts.Now == nil {
		c.opts.Now = time.Now
	}
	if o.Host != "" && k.issuer != "" {
		c.issuer = o.Host
	}
	switch {
	case !known:
		return nil, fmt.Errorf("the kind %q is unknown", o.Kind)
	case o.ClientID == "" || o.ClientSecret == "":
		return nil, errors.New("the client id and the client secret are required")
	case k.issuer != "" && o.Issuer != "":
		return nil, fmt.Errorf("the kind %s has a fixed issuer", o.Kind)
	case o.Kind != federation.KindOIDC && (o.TrustEmail || o.TrustMFA):
		return nil, errors.New("trust-email and trust-mfa are for the kind oidc only")
	case o.Kind != federation.KindMicrosoft && len(o.Tenants) > 0:
		return nil, errors.New("tenant is for the kind microsoft only")
	case o.Kind != federation.KindApple && o.TeamID+o.KeyID != "":
		return nil, errors.New("team-id and key-id are for the kind apple only")
	case k.issuer == "":
		if err := checkURL("the issuer", o.Issuer); err != nil {
			return nil, err
		}
	}
	if err := c.prepareKind(); err != nil {
		return nil, err
	}
	c.info = federation.Info{ID: o.ID, Kind: o.Kind, Name: cmp.Or(o.Name, k.name, o.ID), Issuer: c.issuer,
		NoSignUp: o.NoSignUp, TrustEmail: o.TrustEmail, TrustMFA: o.TrustMFA, FormPost: k.formPost}
	return c, nil
}

// prepareKind checks the options that only some kinds have.
func (c *client) prepareKind() error {
	switch c.opts.Kind {
	case federation.KindMicrosoft:
		return c.prepareMicrosoft()
	case federation.KindApple:
		_, err := c.appleSecret(c.opts.Now())
		return err
	}
	return nil
}

// Check fetches the discovery document of a provider that New has returned, and checks the issuer. GitHub
// has no document, so Check returns nil.
func Check(ctx context.Context, p federation.Provider) error {
	c, ours := p.(*client)
	if !ours {
		return errors.New("this provider can't be checked")
	}
	_, err := c.currentMetadata(ctx)
	return err
}

func (c *client) Info() federation.Info { return c.info }

func (c *client) oauthConfig(m *metadata) *oauth2.Config {
	style := oauth2.AuthStyleInHeader
	if m.takesSecretInBody() {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: c.opts.ClientID, ClientSecret: string(c.opts.ClientSecret), RedirectURL: c.opts.RedirectURI,
		Scopes:   append(append([]string{}, c.kind.scopes...), c.opts.Scopes...),
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthURL, TokenURL: m.TokenURL, AuthStyle: style},
	}
}

// AuthURL returns a URL with a PKCE challenge, so that a thief of the code can't redeem it.
func (c *client) AuthURL(ctx context.Context, a federation.Attempt) (string, error) {
	m, err := c.currentMetadata(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier),
		oauth2.SetAuthURLParam("nonce", a.Nonce)}
	if c.kind.formPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	full := c.oauthConfig(m).AuthCodeURL(a.State, options...)
	if !m.MustPush {
		return full, nil
	}
	full, err = c.pushParameters(ctx, m, full)
	if err != nil {
		return "", withoutSecrets(err, a.State, a.Nonce, a.Verifier, string(c.opts.ClientSecret))
	}
	return full, nil
}

// Exchange redeems a code and returns verified claims.
func (c *client) Exchange(
	ctx context.Context, a federation.Attempt, r federation.Response,
) (federation.Claims, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	claims, err := c.kind.redeemCode(c, ctx, a, r)
	if err != nil {
		return federation.Claims{}, withoutSecrets(err, string(r.Code), a.Verifier, a.Nonce, string(c.opts.ClientSecret))
	}
	return claims, nil
}

// withoutSecrets returns an error whose text is safe to log. Errors of libraries may quote what they
// sent or received.
func withoutSecrets(err error, secrets ...string) error {
	if errors.Is(err, federation.ErrNotAllowed) { // the text is from this package
		return err
	}
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) { // the library's text contains the whole response body
		return fmt.Errorf("the token endpoint responds with status %d and the error %q",
			refused.Response.StatusCode, safeErrorCode(refused.ErrorCode))
	}
	text := err.Error()
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	return errors.New(text)
}

// safeErrorCode returns the code if it has the form of an OAuth error code, or else "unknown". Any other text could
// contain secrets.
func safeErrorCode(code string) string {
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" || code == "" {
		return "unknown"
	}
	return code
}

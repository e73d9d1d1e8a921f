package providers

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/oauth2"

	"github.com/watchword-auth/watchword/federation"
)

// GitHub has no ID token. This server redeems the code for an access token. It makes two requests with the token to
// identify the user, and then drops the token.

const (
	github    = "https://github.com"
	githubAPI = "https://api.github.com"
)

// githubMetadata returns fixed URLs, because GitHub has no discovery document.
func (c *client) githubMetadata() *metadata {
	return &metadata{Issuer: github, AuthURL: c.issuer + "/login/oauth/authorize",
		TokenURL: c.issuer + "/login/oauth/access_token", TokenAuth: []string{"client_secret_post"}}
}

// exchangeGitHub redeems a code and reads the user. The subject is the number of the account, because a name can get
// a new owner.
func (c *client) exchangeGitHub(
	ctx context.Context, a federation.Attempt, r federation.Response,
) (claims federation.Claims, err error) {
	token, err := c.oauthConfig(c.githubMetadata()).Exchange(context.WithValue(ctx, oauth2.HTTPClient, c.http),
		string(r.Code), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return claims, err
	}
	api := githubAPI
	if c.opts.Host != "" {
		api = c.opts.Host + "/api"
	}
	var user struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	err = getJSON(ctx, c.http, api+"/user", token.AccessToken, &user)
	if err == nil && user.ID <= 0 {
		err = errors.New("the user has no number")
	}
	if err == nil {
		err = getJSON(ctx, c.http, api+"/user/emails", token.AccessToken, &addresses)
	}
	if err != nil {
		return claims, withoutSecrets(fmt.Errorf("GitHub: %w", err), token.AccessToken)
	}
	claims = federation.Claims{Issuer: github, Subject: strconv.FormatInt(user.ID, 10), Name: user.Name}
	for _, one := range addresses {
		if one.Primary && one.Verified {
			claims.Email, claims.EmailVerified = one.Email, true
		}
	}
	return claims, nil
}

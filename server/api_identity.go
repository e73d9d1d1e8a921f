package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
)

// External providers in the API. The way to a provider is a page of this server, because the browser
// has to leave the front-end anyway (page_provider.go).

// A providersAnswer has the providers in the order of the configuration, for the buttons of a
// front-end.
type providersAnswer struct {
	Providers []providerAnswer `json:"providers" nullable:"false"`
}

// A providerAnswer describes a provider. kind is for the picture on a button.
type providerAnswer struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Kind string `json:"kind" enum:"google,github,microsoft,apple,oidc"`
	URL  string `json:"url" format:"uri" doc:"Open it in the browser, with return_to"`
}

// listProviders responds without a sign-in, because a sign-in page needs the list.
func (a *api) listProviders(w http.ResponseWriter, _ *http.Request) error {
	answer := providersAnswer{Providers: []providerAnswer{}}
	for _, info := range a.federation.Providers() {
		answer.Providers = append(answer.Providers, providerAnswer{
			info.ID, info.Name, string(info.Kind), a.origins.publicURL + pathSignInWith + info.ID})
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// finishLink connects the identity of a sign-in that was stopped before (LINK_REQUIRED) to the account
// that this browser has just signed in to. A failure does not end the sign-in: the user can connect
// the provider again.
func (e edge) finishLink(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	if len(e.cookies.link.Values(r)) == 0 {
		return
	}
	// The cookie is for one sign-in. Of two values, one is of another host, and neither is used.
	e.cookies.link.Clear(w)
	handle := watchword.Secret(e.cookies.link.Value(r))
	if _, err := e.federation.FinishLink(r.Context(), handle, in, e.clients.of(w, r)); err != nil {
		e.errors.logUnavailable(w, r, err)
	}
}

// identityRoutes returns the table of external providers. Without Options.Federation, it is empty.
func (a *api) identityRoutes() []route {
	if a.federation == nil {
		return nil
	}
	return []route{
		{"GET", pathAPI + "/providers", a.listProviders, public, "List the providers for a sign-in with others",
			nil, 200, providersAnswer{}, nil},
	}
}

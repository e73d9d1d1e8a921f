package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/watchword-auth/watchword"
)

// The pages that mails lead to. The token is in the fragment of the link, which no
// browser sends: a script moves it into the form, and without one it is pasted
// there. A visit alone spends nothing, for mail scanners visit every link.

// A linkPage is where a mail leads to.
type linkPage struct {
	path, name string
	Password   bool // asks for a new password
	spend      func(e *watchword.Engine, ctx context.Context, token watchword.Secret, form url.Values, c watchword.Client) error
}

var linkPages = []linkPage{
	{path: "/verify", name: "verify", spend: func(e *watchword.Engine, ctx context.Context, token watchword.Secret, _ url.Values, c watchword.Client) error {
		return e.VerifyEmail(ctx, token, c)
	}},
	{path: "/reset", name: "reset", Password: true, spend: func(e *watchword.Engine, ctx context.Context, token watchword.Secret, form url.Values, c watchword.Client) error {
		return e.ResetPassword(ctx, token, watchword.Secret(form.Get("password")), c)
	}},
	{path: "/email/confirm", name: "email-confirm", spend: func(e *watchword.Engine, ctx context.Context, token watchword.Secret, _ url.Values, c watchword.Client) error {
		return e.ConfirmEmail(ctx, token, c)
	}},
	{path: "/email/undo", name: "email-undo", spend: func(e *watchword.Engine, ctx context.Context, token watchword.Secret, _ url.Values, c watchword.Client) error {
		return e.UndoEmail(ctx, token, c)
	}},
}

func (s *Server) linkView(r *http.Request, p linkPage) *view {
	v := s.newView(r, "link")
	v.Title, v.Data = v.T(p.name+".title"), map[string]any{"Name": p.name, "Path": p.path, "Password": p.Password}
	return v
}

func (s *Server) linkPage(p linkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.show(w, http.StatusOK, s.linkView(r, p))
	}
}

func (s *Server) linkForm(p linkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		if err := p.spend(s.engine, r.Context(), tokenOf(form.Get("token")), form, s.clientOf(w, r)); err != nil {
			if watchword.CodeOf(err) == watchword.CodeMailTokenInvalid {
				form.Del("token") // the field is there for another one
			}
			return s.refill(w, r, s.linkView(r, p).filled("link", form), err)
		}
		v := s.newView(r, "told")
		v.Title, v.Data = v.T(p.name+".title"), v.T(p.name+".done")
		return s.show(w, http.StatusOK, v)
	}
}

// tokenOf is the token in what was pasted: itself, or the link around it.
func tokenOf(pasted string) watchword.Secret {
	if _, after, found := strings.Cut(pasted, "token="); found {
		pasted, _, _ = strings.Cut(after, "&")
	}
	return watchword.Secret(strings.TrimSpace(pasted))
}

package server

import "net/http"

// The pages that mails lead to. They hold no secret: the token is in the
// fragment, which no browser sends, and a script posts it to the API after a
// click. A visit alone spends nothing: mail scanners visit every link.

// A linkPage is where a mail leads to.
type linkPage struct {
	path, api string
	Title     string
	Story     string
	Button    string
	Password  bool // asks for a new password
}

var linkPages = []linkPage{
	{path: "/verify", api: api + "/email/verify", Title: "Confirm your address",
		Story: "You signed up with this address. Confirm that it is yours.", Button: "Confirm address"},
	{path: "/reset", api: api + "/password/reset", Title: "Choose a new password",
		Story: "Afterwards you are signed out everywhere, and sign in with the new password.", Button: "Save password", Password: true},
	{path: "/email/confirm", api: api + "/email/change/confirm", Title: "Confirm your new address",
		Story: "From then on you sign in with this address. The old one is told.", Button: "Use this address"},
	{path: "/email/undo", api: api + "/email/change/undo", Title: "Take your address back",
		Story: "Your account gets its old address back and everybody is signed out. A mail lets you choose a new password.", Button: "Undo the change"},
}

func (s *Server) linkPage(p linkPage) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		return page(w, "link", map[string]any{"Title": p.Title, "Page": p, "API": p.api, "Min": s.opts.PasswordMin})
	}
}

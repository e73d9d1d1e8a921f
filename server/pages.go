package server

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/watchword-auth/watchword/web"
)

// page fills in a template of package web.
func page(w http.ResponseWriter, name string, data any) error {
	pages, err := template.New("").Funcs(template.FuncMap{
		"time": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
	}).ParseFS(web.Files, "templates/layout.html", "templates/"+name+".html")
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, "layout.html", data); err != nil {
		return fmt.Errorf("fill in page: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	write(w, http.StatusOK, "text/html", text.Bytes())
	return nil
}

func (s *Server) homePage(w http.ResponseWriter, _ *http.Request) error {
	return page(w, "home", map[string]any{"Title": "Watchword", "Host": s.public.Host, "Mailbox": s.opts.DevMail != nil})
}

// asset answers with a style or a script. Its name never changes its content's
// type, and its content changes only with the program.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	content, err := fs.ReadFile(web.Files, "assets/"+name)
	kinds := map[string]string{".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	if err != nil || kinds[path.Ext(name)] == "" {
		return notFound(w, r)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	write(w, http.StatusOK, kinds[path.Ext(name)], content)
	return nil
}

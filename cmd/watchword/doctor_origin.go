package main

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// origins checks, for each front-end, what a browser will do with our cookie and
// our answers (CORS, RFC 6265bis section 5.2 on same-site requests).
func (d *checkup) origins(s *Settings, asked string) {
	origins := slices.Clone(s.AllowedOrigins)
	if asked != "" && !slices.Contains(origins, asked) {
		origins = append(origins, asked)
	}
	for _, origin := range origins {
		if problem := originProblem(origin); problem != "" {
			d.fail("origin", problem, "")
			continue
		}
		d.origin(s, origin)
	}
}

func (d *checkup) origin(s *Settings, origin string) {
	if origin == s.PublicURL {
		d.ok("origin", origin+" is the public URL: cookies go along, no CORS is needed")
		return
	}
	front, _ := url.Parse(origin)
	ours, _ := url.Parse(s.PublicURL)
	allowed := slices.Contains(s.AllowedOrigins, origin)
	if !allowed {
		d.fail("origin", origin+" is not allowed: browsers keep our answers from it.", "Write allowed-origins="+origin)
	}
	if front.Scheme != ours.Scheme {
		d.warn("origin", fmt.Sprintf("%s and %s differ in http and https, which makes them different sites.", origin, s.PublicURL), "Serve both over https.")
	}
	if site(front) == site(ours) {
		if allowed {
			d.ok("origin", fmt.Sprintf("%s is same-site: the cookie goes along with SameSite=%s", origin, s.CookieSameSite))
		}
		return
	}
	d.crossSite(s, front, ours)
}

// crossSite says what a front-end on another site needs, which is much.
func (d *checkup) crossSite(s *Settings, front, ours *url.URL) {
	origin := front.Scheme + "://" + front.Host
	switch {
	case weborigin.IsLoopback(front.Hostname()) && weborigin.IsLoopback(ours.Hostname()):
		d.fail("origin", fmt.Sprintf("%s and %s are different sites to a browser: the cookie stays behind.", front.Hostname(), ours.Hostname()),
			fmt.Sprintf("Open the front-end under %s as well.", ours.Hostname()))
	case !s.https():
		d.fail("origin", origin+" is on another site, and a cookie can go there only over https.", "Serve both over https, best below one domain.")
	case s.CookieSameSite != "none":
		d.fail("origin", fmt.Sprintf("%s is on another site: with SameSite=%s the cookie stays behind.", origin, s.CookieSameSite),
			"Serve both below one domain (best), or write cookie-same-site=none.")
	default:
		d.warn("origin", origin+" is on another site: the cookie goes along, but browsers that block third-party cookies drop it.",
			"Serve both below one domain, such as app.example.com and auth.example.com.")
	}
}

package main

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// checkOrigins reports for each front-end whether browsers send the refresh cookie, and whether
// scripts of the front-end may read the responses (CORS; RFC 6265bis, section 5.2 on same-site
// requests). originFlag is the value of --origin, or "". It may be a front-end that is not
// allowed yet: the findings then list every necessary change. A malformed origin gives one
// failure and no further findings, because its site can't be determined.
func (d *checkup) checkOrigins(s *Settings, originFlag string) {
	origins := s.frontEnds()
	if originFlag != "" && !slices.Contains(origins, originFlag) {
		origins = append(origins, originFlag)
	}
	for _, origin := range origins {
		if problem := originProblem(origin); problem != "" {
			d.fail("origin", problem, "")
			continue
		}
		d.checkOrigin(s, origin)
	}
}

// checkOrigin reports whether a front-end can use the server. A front-end on the origin of the
// public URL always can. A front-end on the same site gets the cookie and needs CORS. A
// front-end on another site gets the cookie only with SameSite=None over https. A site consists
// of scheme and registrable domain; the port does not matter. An origin that is not allowed is
// also examined, so that the operator sees all changes at once.
func (d *checkup) checkOrigin(s *Settings, origin string) {
	if origin == s.PublicURL {
		d.pass("origin", origin+" is the public URL: browsers send the cookie, and CORS is not needed")
		return
	}
	front, _ := url.Parse(origin)
	ours, _ := url.Parse(s.PublicURL)
	allowed := slices.Contains(s.frontEnds(), origin)
	if !allowed {
		d.fail("origin", origin+" is not allowed: browsers hide the responses from it.", "Write allowed-origins="+origin)
	}
	if weborigin.IsApp(origin) {
		d.pass("origin", origin+" is an app: it must sign in with delivery=body, because it receives no cookies")
		return
	}
	if front.Scheme != ours.Scheme {
		d.warn("origin", fmt.Sprintf("%s and %s differ in http and https, so browsers treat them as different sites.", origin,
			s.PublicURL), "Serve both over https.")
	}
	if siteOf(front) == siteOf(ours) {
		if allowed {
			d.pass("origin", fmt.Sprintf("%s is same-site: browsers send the cookie with SameSite=%s", origin, s.CookieSameSite))
		}
		return
	}
	d.checkCrossSite(s, front, ours)
}

// oneSiteAdvice is the advice for a front-end on a different site than the server. On the same
// site, no browser treats the refresh cookie as a third-party cookie.
const oneSiteAdvice = "Serve both on one site, such as app.example.com and auth.example.com, or forward /api/auth/ " +
	"from the front-end's server"

// checkCrossSite warns or fails for a front-end on another site, which needs https and
// SameSite=None. Browsers that block third-party cookies accept the cookie only if they support
// partitioned cookies (docs/operations.md has the versions).
func (d *checkup) checkCrossSite(s *Settings, front, ours *url.URL) {
	origin := front.Scheme + "://" + front.Host
	switch {
	// Browsers treat localhost and 127.0.0.1 as different sites. Developers often do not know
	// this.
	case weborigin.IsLoopback(front.Hostname()) && weborigin.IsLoopback(ours.Hostname()):
		d.fail("origin", fmt.Sprintf("%s and %s are different sites: browsers do not send the cookie.", front.Hostname(),
			ours.Hostname()),
			fmt.Sprintf("Open the front-end under %s as well.", ours.Hostname()))
	case !s.usesHTTPS():
		d.fail("origin", origin+" is on another site, where browsers send a cookie only over https.",
			"Serve both over https, best below one domain.")
	case s.CookieSameSite != "none":
		d.fail("origin", fmt.Sprintf("%s is on another site: with SameSite=%s browsers do not send the cookie.", origin,
			s.CookieSameSite),
			oneSiteAdvice+" (best). Or write cookie-same-site=none.")
	// With SameSite=None over https, the front-end works in current browsers. The warnings say
	// in which browsers it does not work.
	default:
		d.warn("origin", origin+" is on another site, where a sign-in gets a partitioned cookie. Chrome and Edge "+
			"(since 114), Firefox (since 141) and Safari (since 26.2) keep it. Safari 18.5 to 26.1 blocks it, "+
			"and the user is signed out by a reload.", oneSiteAdvice+".")
		d.warn("origin", "A sign-in on the server's own pages reaches "+origin+" only in browsers that allow third-party "+
			"cookies: Chrome and Edge, but not in private windows. Safari and Firefox do not.",
			"Sign in with forms of the front-end. "+oneSiteAdvice+" if it needs the pages.")
	}
}

package middleware

import (
	"net/http"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"

	"github.com/watchword-auth/watchword/verify"
)

// Fiber serves the three routes with the router fiber. It is not built on net/http, so fiberGuard converts the
// request in both directions.
func Fiber(v *verify.Verifier) *fiber.App {
	app := fiber.New()
	app.Get("/", func(c fiber.Ctx) error { return c.SendString("hello") })
	app.Get("/notes", fiberGuard(v.Require), fiberNotes)
	app.Get("/admin", fiberGuard(v.RequireRole("admin")), fiberNotes)
	return app
}

// fiberGuard converts a guard from net/http to fiber. Unlike adaptor.HTTPMiddleware, it also removes from fiber's
// request the headers that the guard has removed. It does not join several Authorization headers into one.
func fiberGuard(guard func(http.Handler) http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		var passed *http.Request
		guarded := guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r }))
		respond := adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header["Authorization"] = nil
			for _, value := range c.Request().Header.PeekAll(fiber.HeaderAuthorization) {
				r.Header.Add("Authorization", string(value))
			}
			guarded.ServeHTTP(w, r)
		})
		if err := respond(c); err != nil || passed == nil {
			return err
		}
		for name := range c.GetReqHeaders() {
			if _, kept := passed.Header[http.CanonicalHeaderKey(name)]; !kept && name != fiber.HeaderHost {
				c.Request().Header.Del(name)
			}
		}
		identity, _ := verify.FromContext(passed.Context())
		c.SetContext(verify.NewContext(c.Context(), identity))
		return c.Next()
	}
}

func fiberNotes(c fiber.Ctx) error {
	identity, _ := verify.FromContext(c.Context())
	return c.SendString(identity.Subject() + " " + c.Get("X-User"))
}

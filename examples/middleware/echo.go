package middleware

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/watchword-auth/watchword/verify"
)

// Echo serves the three routes with the router echo, which accepts net/http middleware through echo.WrapMiddleware.
func Echo(v *verify.Verifier) http.Handler {
	e := echo.New()
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	e.GET("/notes", echoNotes, echo.WrapMiddleware(v.Require))
	e.GET("/admin", echoNotes, echo.WrapMiddleware(v.RequireRole("admin")))
	return e
}

func echoNotes(c echo.Context) error {
	identity, _ := verify.FromContext(c.Request().Context())
	return c.String(http.StatusOK, identity.Subject()+" "+c.Request().Header.Get("X-User"))
}

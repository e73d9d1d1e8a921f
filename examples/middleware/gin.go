package middleware

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/watchword-auth/watchword/verify"
)

// Gin serves the three routes with the router gin, which has its own handler type. ginGuard converts a guard.
func Gin(v *verify.Verifier) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	r.GET("/notes", ginGuard(v.Require), ginNotes)
	r.GET("/admin", ginGuard(v.RequireRole("admin")), ginNotes)
	return r
}

func ginGuard(guard func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		refused := true
		guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			refused = false
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if refused {
			c.Abort()
		}
	}
}

func ginNotes(c *gin.Context) {
	identity, _ := verify.FromContext(c.Request.Context())
	c.String(http.StatusOK, "%s %s", identity.Subject(), c.Request.Header.Get("X-User"))
}

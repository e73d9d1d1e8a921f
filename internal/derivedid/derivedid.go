// Package derivedid computes ids from names, with an HMAC whose key is a secret.
package derivedid

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
)

// New computes a UUID of version 8 (RFC 9562, section 5.8) from names. The same secret and names always give the same
// UUID. The UUID does not reveal the names.
func New(secret []byte, names ...string) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(mac, "%q", names)
	id := uuid.UUID(mac.Sum(nil))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id.String()
}

package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/watchword-auth/watchword"
)

// A cursor contains a position in a list, and a MAC over the position and the filter of the list. A client therefore
// can't invent a position. The secret of the MAC is in the store, so a cursor is valid in every process of one
// installation, but in no other installation.

func (m *Manager) sealCursor(list, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(m.cursorMAC(list, position), position...))
}

// openCursor verifies a cursor and returns its position, or "" for an empty cursor. Codes: CodeParameterInvalid.
func (m *Manager) openCursor(list, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil && len(raw) > sha256.Size {
		position := string(raw[sha256.Size:])
		if hmac.Equal(raw[:sha256.Size], m.cursorMAC(list, position)) {
			return position, nil
		}
	}
	return "", refuse(watchword.CodeParameterInvalid,
		"The parameter after is not a cursor of this list. Start without it, and keep the other parameters.")
}

// cursorMAC hashes the list first. The hash has a fixed length, so the position after it can't be confused with a
// filter.
func (m *Manager) cursorMAC(list, position string) []byte {
	filter := sha256.Sum256([]byte(list))
	h := hmac.New(sha256.New, m.engine.MACSecret(watchword.KeyService))
	h.Write([]byte("cursor\n"))
	h.Write(filter[:])
	h.Write([]byte(position))
	return h.Sum(nil)
}

// Package mailtoken computes the tokens in mails and their stored hashes.
//
// A token is a MAC of the mail and the attempt to send it, so a copy of the outbox does not reveal it.
// Each attempt has its own token. If a mail arrived although its attempt was reported as failed, the next
// mail has a different token.
package mailtoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// Of returns the token for one attempt to send a mail. The first attempt has number 1.
func Of(secret []byte, mailID string, attempt int) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(mailID + "/" + strconv.Itoa(attempt)))
	return "wwm_" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Hash returns the stored form of a token, in hex.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

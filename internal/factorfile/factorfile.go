// Package factorfile defines the format of second factors in an account file: `users export` writes it, and `users
// import` reads it. The file contains the secret of an authenticator app unencrypted, because the importing
// installation has a different master key.
package factorfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The kinds of factors.
const (
	TOTP    = "totp"
	Passkey = "passkey"
)

// A Factor is a second factor of an account.
type Factor struct {
	Kind string `json:"kind"`
	Name string `json:"name,omitempty"`

	Secret string `json:"secret,omitempty"` // of a TOTP: base32, or an otpauth URI

	Credential string `json:"credential,omitempty"` // id of a passkey, in base64url
	Record     string `json:"record,omitempty"`     // public key and other public data of the passkey
	UserHandle []byte `json:"userHandle,omitempty"` // handle that the passkey returns at a sign-in
	Unproven   bool   `json:"unproven,omitempty"`   // see factors.Factor

	// Counter is the time step of the last used TOTP code, or the signature counter of a passkey.
	Counter int64 `json:"counter,omitempty"`

	CreatedAt  time.Time `json:"createdAt,omitzero"`
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
}

var errForm = errors.New("not a list of second factors as users export writes it")

// Parse reads the list that Text writes. An unknown member is an error, because a list from another system could
// otherwise lose a factor silently. Errors contain no part of the text.
func Parse(text string) (all []Factor, err error) {
	in := json.NewDecoder(bytes.NewReader([]byte(text)))
	in.DisallowUnknownFields()
	if in.Decode(&all) != nil {
		return nil, errForm
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errForm
	}
	for n, f := range all {
		isTOTP, isPasskey := f.Kind == TOTP && f.Secret != "", f.Kind == Passkey && f.Credential != "" && f.Record != ""
		if !isTOTP && !isPasskey {
			return nil, fmt.Errorf("factor %d is neither a TOTP with its secret nor a passkey", n+1)
		}
	}
	return all, nil
}

// Text returns a list as JSON, or "" for no factors.
func Text(all []Factor) string {
	if len(all) == 0 {
		return ""
	}
	text, _ := json.Marshal(all) //nolint:errchkjson // can't fail: strings, bytes, numbers and times
	return string(text)
}

// Package respond writes the bodies of HTTP responses.
package respond

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// jsonType is shared by all responses, so its element must not change.
var jsonType = []string{"application/json; charset=utf-8"}

// JSON writes v as a JSON response. If encoding fails, it returns the error before it writes.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	Write(w, status, "application/json", body)
	return nil
}

// Write writes a response with a body of a textual media type in UTF-8.
func Write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	if mediaType == "application/json" {
		w.Header()["Content-Type"] = jsonType
	} else {
		w.Header().Set("Content-Type", mediaType+"; charset=utf-8")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client is gone
}

package server

import (
	"bytes"
	"io"
	"net/http"

	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// Every administrative request that makes a change accepts the header Idempotency-Key. With it, a client can safely
// repeat a request after a lost response. Package admin has the rules. This file reads the request, and delays the
// response until the store has a record of the request.

// idempotencyHeader has the name of the IETF draft httpapi-idempotency-key-header.
const idempotencyHeader = "Idempotency-Key"

// runOnce calls the handler at most once for an idempotency key. Without the header, it always calls the handler.
//
// The response is sent after the record of the request is stored. Otherwise a client could receive the response,
// repeat the request, and make the change twice.
func (a *adminAPI) runOnce(w http.ResponseWriter, r *http.Request, by admin.Caller, next adminHandler) error {
	// For a read, the header has no effect, so clients may send it with every request.
	key := r.Header.Get(idempotencyHeader)
	if key == "" || r.Method == http.MethodGet {
		return next(w, r, by)
	}
	if len(r.Header.Values(idempotencyHeader)) > 1 {
		return invalidParameter("The header Idempotency-Key occurs twice.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, apirequest.MaxBody+1))
	if err != nil {
		return invalidBody("The body could not be read completely.")
	}
	// The body is restored, because the handler reads it again. The handler also rejects a body that is longer than
	// the limit.
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	// The hash does not include the caller, because the store has separate records for each
	// caller.
	//
	// The hash includes the media type and If-Match, because they change the meaning of a body.
	hash := admin.RequestHash(r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"),
		r.Header.Get("If-Match"), string(body))
	by, err = a.admin.Begin(r.Context(), by, key, hash)
	if err != nil {
		return err
	}
	// The status of this response is stored in the record of the request, for operators who read the table.
	held := &heldResponse{ResponseWriter: w, status: http.StatusOK}
	if err := next(held, r, by); err != nil {
		// A refused request can be repeated with the same idempotency key. After any other error, this key stays
		// blocked for a minute.
		if refusal := asRefusal(err); refusal != nil {
			_ = a.admin.GiveUp(r.Context(), by, refusal)
		}
		return err
	}
	// The change was made. Even if its record can't be stored, the client gets the result.
	_ = a.admin.Finish(r.Context(), by, held.status)
	w.WriteHeader(held.status)
	_, _ = w.Write(held.body.Bytes()) // the client may be gone
	return nil
}

// A heldResponse keeps status and body until the record of the request is stored. Headers are not
// held back, because they are sent with the status. The type has no Flush and no Hijack, because
// administration has no streams.
type heldResponse struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader keeps the status. A handler calls it at most once, as respond.JSON does.
func (h *heldResponse) WriteHeader(status int) { h.status = status }

// Write keeps a part of the body. Responses of the admin API have at most a few hundred kilobytes.
func (h *heldResponse) Write(part []byte) (int, error) { return h.body.Write(part) }

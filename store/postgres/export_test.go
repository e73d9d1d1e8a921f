package postgres

import (
	"context"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/gather"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// RotateTogether rotates the requests as one batch. A refused charge has a Wait of 1.
func (s *Store) RotateTogether(requests []watchword.RotateRequest) ([]watchword.RotateResult, []error) {
	calls := make([]*rotateCall, len(requests))
	for i, r := range requests {
		calls[i] = gather.NewCall[watchword.RotateRequest, sqlstore.Rotated](context.Background(), r)
	}
	s.rotateBatch(calls)
	results, errs := make([]watchword.RotateResult, len(calls)), make([]error, len(calls))
	for i, call := range calls {
		results[i], errs[i] = call.Answer.Result, call.Err
		if errs[i] == nil && call.Answer.Counted != sqlstore.AllCounted(requests[i]) {
			results[i].Wait = 1
		}
	}
	return results, errs
}

package postgres

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/gather"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// RotateTogether rotates the requests as one batch. If a charge is refused, Wait in the result is 1, and not the real
// time.
func (s *Store) RotateTogether(requests []watchword.RotateRequest) ([]watchword.RotateResult, []error) {
	calls := make([]*rotateCall, len(requests))
	for i, r := range requests {
		calls[i] = gather.NewCall[watchword.RotateRequest, sqlstore.Rotated](context.Background(), r)
	}
	s.rotateBatch(calls)
	results, errs := make([]watchword.RotateResult, len(calls)), make([]error, len(calls))
	for i, call := range calls {
		results[i], errs[i] = call.Answer.Result, cmp.Or(call.Err, call.Answer.Err)
		if errs[i] == nil && call.Answer.Counted != sqlstore.AllCounted(requests[i]) {
			results[i].Wait = 1
		}
	}
	return results, errs
}

// OpenTraced is Open with a tracer that sees each statement.
func OpenTraced(ctx context.Context, url string, tracer pgx.QueryTracer) (*Store, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	return migrateAndOpen(ctx, config)
}

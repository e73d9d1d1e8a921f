package admin_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

func TestExpiredKeysAndRecordsAreSwept(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store)
		ctx, now := t.Context(), time.Now()
		for name, times := range map[string][2]time.Time{ // expires, revoked
			"in use":         {now.Add(time.Hour), {}},
			"expired lately": {now.Add(-time.Hour), {}},
			"expired":        {now.Add(-48 * time.Hour), {}},
			"revoked":        {now.Add(time.Hour), now.Add(-48 * time.Hour)},
		} {
			key := admin.ServiceKey{ID: uuid.NewString(), Name: name, Scopes: []string{"mail"}, CreatedAt: now,
				ExpiresAt: times[0], RevokedAt: times[1]}
			wantCode(t, store.Admin().Update(ctx, func(tx admin.Tx) error { return tx.InsertServiceKey(ctx, key) }), "")
		}
		by, err := m.Begin(ctx, both[0], uuid.NewString(), "a")
		wantCode(t, err, "")
		wantCode(t, m.Finish(ctx, by, 200), "")
		_, err = m.Begin(ctx, both[0], uuid.NewString(), "b") // the process of this request ended before Finish
		wantCode(t, err, "")
		for _, c := range []struct {
			what   watchword.Sweep
			before time.Time
			want   int
		}{
			{watchword.SweepServiceKeys, now.Add(-24 * time.Hour), 2},
			{watchword.SweepServiceKeys, now.Add(-24 * time.Hour), 0},
			{watchword.SweepIdempotency, now, 0},
			{watchword.SweepIdempotency, now.Add(time.Hour), 1},
			{watchword.SweepIdempotency, now.Add(25 * time.Hour), 1},
		} {
			var swept int
			wantCode(t, store.Update(ctx, func(tx watchword.Tx) (err error) {
				swept, err = tx.Sweep(ctx, c.what, c.before, 100)
				return err
			}), "")
			if swept != c.want {
				t.Errorf("%s before %s: %d rows, want %d", c.what, c.before, swept, c.want)
			}
		}
	})
}

package scale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

var lastRotation = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	rowsPerCommit   = 50_000
	sessionsPerUser = 4 // a user's rows are far apart in the table, as in real use
)

// idOfNumber ascends with n and has a pseudo-random part. It returns only decimal digits, so that SQL on both
// databases can compute the id (idExpression).
func idOfNumber(n int) string {
	at, random := 19_300_000_000+n*260, n*7_368_787%1_000_000_000_000
	text := fmt.Sprintf("%012d", at)
	return fmt.Sprintf("%s-%s-7%03d-8%03d-%012d", text[:8], text[8:], random%1000, random/1000%1000, random)
}

// idExpression is SQL for idOfNumber.
func idExpression(n string) string {
	at := "CAST(1019300000000 + " + n + " * 260 AS TEXT)"
	random := n + " * 7368787 % 1000000000000"
	return "substr(" + at + ", 2, 8) || '-' || substr(" + at + ", 10, 4)" +
		" || '-7' || substr(CAST(1000 + " + random + " % 1000 AS TEXT), 2)" +
		" || '-8' || substr(CAST(1000 + " + random + " / 1000 % 1000 AS TEXT), 2)" +
		" || '-' || substr(CAST(1000000000000 + " + random + " AS TEXT), 2)"
}

// integerRange selects the integers from $1 up to, but not including, $2.
const integerRange = ` FROM (WITH RECURSIVE count(n) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM count WHERE n + 1 < $2)
	SELECT n FROM count) AS counted`

func userRows() string {
	return `INSERT INTO users (id, email, verified_at, name, roles, password_hash, created_at, disabled_at, roles_changed_at)
		SELECT ` + idExpression("n") + `, 'user' || CAST(n AS TEXT) || '@example.com', ` + ms(lastRotation) + `,
		'Zoë O''Hara', '[]', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g', ` +
		ms(lastRotation) + `, 0, 0` + integerRange
}

func sessionRows(users int) string {
	user := fmt.Sprintf("(n %% %d)", users)
	created := ms(lastRotation.Add(-40*day)) + " + n * 260" // ascending with n, like the ids
	return `INSERT INTO sessions (id, user_id, generation, superseded, forgiven, rotated_at, rotated_by, refresh_key, persistent,
			device, address, authenticated_at, methods, created_at, expires_at, ended_at, ended_why)
		SELECT ` + idExpression("n") + `, ` + idExpression(user) + `, 0, '` + superseded() + `', ` +
		fmt.Sprint(watchword.NeverForgiven) + `, ` + ms(lastRotation) + `, '` + string(watchword.AgentOf("a browser")) + `', 1, 1,
		'Firefox on Linux', '2001:db8::17', ` + created + `, '["pwd"]', ` + created + `, ` +
		created + ` + ` + fmt.Sprint((90 * day).Milliseconds()) + `, 0, ''` + integerRange
}

func superseded() string { return strings.Repeat(ms(lastRotation), watchword.SupersededKept) }

func ms(t time.Time) string { return fmt.Sprint(t.UnixMilli()) }

// createAndFill creates a database and fills its tables. It creates all indexes except primary keys at the end,
// because filling is faster without indexes.
func (f *filledStore) createAndFill(ctx context.Context, store string, progress func(string)) error {
	err := f.create(ctx, store, fmt.Sprintf("watchword_scale_%d_%d", f.sessions, f.fillFactor))
	if err != nil {
		return err
	}
	definitions, err := f.dropIndexes(ctx)
	if err != nil {
		return err
	}
	if f.fillFactor > 0 {
		if err := f.execute(ctx, fmt.Sprintf("ALTER TABLE sessions SET (fillfactor = %d)", f.fillFactor)); err != nil {
			return err
		}
	}
	users := max(1, f.sessions/sessionsPerUser)
	for _, table := range []struct {
		insert string
		rows   int
	}{{userRows(), users}, {sessionRows(users), f.sessions}} {
		for first := 0; first < table.rows; first += rowsPerCommit {
			progress(fmt.Sprintf("filling %s: %d %%", f, 100*first/table.rows))
			if _, err := f.sql.ExecContext(ctx, table.insert, first, min(first+rowsPerCommit, table.rows)); err != nil {
				return err
			}
		}
	}
	progress(fmt.Sprintf("filling %s: indexes", f))
	return f.execute(ctx, append(definitions, f.afterFilling...)...)
}

// dropIndexes drops the indexes and returns the statements that create them again.
func (d *database) dropIndexes(ctx context.Context) (definitions []string, err error) {
	answer, err := d.sql.QueryContext(ctx, d.indexQuery)
	if err != nil {
		return nil, err
	}
	var drops []string
	for answer.Next() {
		var name, definition string
		if err := answer.Scan(&name, &definition); err != nil {
			return nil, errors.Join(err, answer.Close())
		}
		drops, definitions = append(drops, "DROP INDEX "+name), append(definitions, definition)
	}
	if err := errors.Join(answer.Err(), answer.Close()); err != nil {
		return nil, err
	}
	return definitions, d.execute(ctx, drops...)
}

func (d *database) execute(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := d.sql.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

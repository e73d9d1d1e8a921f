package sqlstore

import (
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
)

// One SQL statement can't change a row twice. The requests of one RotateManyStatement must therefore have different
// sessions and different limit keys. RotateRounds groups requests accordingly.

// RotateManyStatement returns the statement for any number of requests. Its arguments are arrays (RotateManyArgs). It
// returns one row for each request, in any order, which ScanRotated reads: the position of the request, its counted
// charges (Rotated.Counted), whether its session was rotated, the session and the user. The columns of session and
// user are NULL if the session was not rotated.
//
// A request is charged only if all its limits allow one more use. Its session is rotated only if all its charges were
// counted.
//
// If another transaction is changing the session, PostgreSQL waits for the row lock. It then checks the request
// against the new version of the session.
func RotateManyStatement() string {
	const requests = `unnest($6::bigint[], $7::text[], $8::int[], $9::text[], $10::text[], $11::bigint[],
			$12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::int[])
			WITH ORDINALITY AS given (p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, charges, position)`
	// The LEFT JOIN also returns a row for a request whose session was not rotated.
	return `WITH due AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $5::bigint[], $17::int[])
			AS due (key, tat, sweep_from, position, bit)),
		refused AS (SELECT due.position FROM due JOIN limits ON limits.key = due.key
			WHERE NOT ` + substituteCharge("due", hasRoom) + `),
		charged AS (` + chargeMany() + ` RETURNING key),
		counted AS (SELECT due.position, SUM(due.bit) AS charges
			FROM charged JOIN due ON due.key = charged.key GROUP BY due.position),
		requests AS (SELECT given.*, COALESCE(counted.charges, 0) AS counted
			FROM ` + requests + ` LEFT JOIN counted ON counted.position = given.position),
		rotated AS (` + rotateSessionMany() + `)
		SELECT requests.position, requests.counted, rotated.id IS NOT NULL, ` +
		strings.ReplaceAll(sessionColumns, "sessions.", "rotated.") + `, ` + userColumns + `
		FROM requests LEFT JOIN rotated ON rotated.position = requests.position
		LEFT JOIN users ON users.id = rotated.user_id`
}

// rotateSessionMany is rotateSession for many requests: the parameters $1, $2, … become the columns p1, p2, … of the
// table requests.
func rotateSessionMany() string {
	text := placeholderPattern.ReplaceAllString(rotateSession, "requests.p$1")
	text = strings.Replace(text, "WHERE", "FROM requests WHERE requests.counted = requests.charges AND", 1)
	return strings.Replace(text, "RETURNING", "RETURNING requests.position,", 1)
}

// chargeMany is the statement charge for all rows of the table due. Its ON CONFLICT clause reads the columns under
// the name excluded, because SQL does not allow the name due there.
func chargeMany() string {
	_, conflict, _ := strings.Cut(charge, "ON CONFLICT")
	return `INSERT INTO limits (key, tat, sweep_from) SELECT key, tat, sweep_from FROM due
		WHERE position NOT IN (SELECT position FROM refused) ON CONFLICT` + substituteCharge("excluded", conflict)
}

// substituteCharge replaces the parameters in a part of charge by expressions on the columns of a row. It computes
// the cost and the span by subtracting the current time from tat and sweep_from. In the result, $4 is a JSON object
// that contains the current time for each limit key.
func substituteCharge(row, text string) string {
	now := "($4::jsonb ->> " + row + ".key)::bigint"
	tat, full := row+".tat", row+".sweep_from"
	expressions := map[string]string{
		"$2": tat,
		"$3": full,
		"$4": now,
		"$5": "2 * " + full + " - " + tat,
		"$6": tat + " - " + now,
		"$7": now + " + " + full + " - " + tat,
	}
	return placeholderPattern.ReplaceAllStringFunc(text, func(p string) string { return expressions[p] })
}

// RotateRounds splits a list of calls into rounds, and each round becomes one RotateManyStatement. Calls that share a
// session or a rate limit go into different rounds, in the order of the list. Each round is sorted by session,
// because transactions that lock rows in the same order do not deadlock.
func RotateRounds[C any](calls []C, request func(C) watchword.RotateRequest) (rounds [][]C) {
	next := map[string]int{} // key: session or limit; value: the first round without it
	for _, call := range calls {
		r := request(call)
		rows := []string{string(r.Session)}
		for _, c := range r.Charges {
			rows = append(rows, c.Key)
		}
		round := 0
		for _, row := range rows {
			round = max(round, next[row])
		}
		for _, row := range rows {
			next[row] = round + 1
		}
		if round == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[round] = append(rounds[round], call)
	}
	for _, round := range rounds {
		slices.SortFunc(round, func(a, b C) int {
			return strings.Compare(string(request(a).Session), string(request(b).Session))
		})
	}
	return rounds
}

// RotateManyArgs returns the arguments of RotateManyStatement for the requests of one round.
func RotateManyArgs(requests []watchword.RotateRequest) []any {
	charges, bits := chargeArrays(requests)
	return append(append(charges, rotateArrays(requests)...), bits)
}

// chargeArrays returns arguments of RotateManyStatement. args are $1 to $5: the limit keys, the new values of tat and
// sweep_from, the time now of each key, and the positions of the requests. bits is $17: the bit of each charge in
// Rotated.Counted. Charges are sorted by limit key, so that concurrent transactions lock limits in the same order.
func chargeArrays(round []watchword.RotateRequest) (args []any, bits []int32) {
	type owned struct {
		watchword.Charge
		position int64
		bit      int32
	}
	var charges []owned
	for i, r := range round {
		for n, c := range r.Charges {
			charges = append(charges, owned{c, int64(i) + 1, 1 << n})
		}
	}
	slices.SortFunc(charges, func(a, b owned) int { return strings.Compare(a.Key, b.Key) })
	n := len(charges)
	keys, tats, fulls, positions := make([]string, n), make([]int64, n), make([]int64, n), make([]int64, n)
	times := make(map[string]int64, n)
	for i, c := range charges {
		now := c.At.UnixNano()
		keys[i], tats[i], fulls[i], positions[i] = c.Key, now+int64(c.Cost), now+int64(c.Span), c.position
		times[c.Key] = now
		bits = append(bits, c.bit)
	}
	return []any{keys, tats, fulls, times, positions}, bits
}

// rotateArrays returns the arguments $6 to $16 of RotateManyStatement: the arguments of rotateSession as arrays, and
// the value of AllCounted for each request.
func rotateArrays(round []watchword.RotateRequest) []any {
	n := len(round)
	at, generations := make([]int64, n), make([]int64, n)
	agents, addresses, sessions := make([]string, n), make([]string, n), make([]string, n)
	keys, charges := make([]int32, n), make([]int32, n)
	var cutoffs [4][]int64
	for i, r := range round {
		at[i], generations[i] = toMillis(r.At), r.Generation
		agents[i], addresses[i], sessions[i] = string(r.Agent), r.Address, string(r.Session)
		keys[i], charges[i] = int32(r.RefreshKey), int32(AllCounted(r))
		for j, cutoff := range isActiveArgs(r.Cutoffs) {
			cutoffs[j] = append(cutoffs[j], cutoff.(int64))
		}
	}
	return []any{
		at, agents, keys, addresses, sessions, generations,
		cutoffs[0], cutoffs[1], cutoffs[2], cutoffs[3], charges,
	}
}

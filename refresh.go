package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/refreshtoken"
	"github.com/watchword-auth/watchword/internal/reusedetail"
)

// Refresh, in the order of its checks:
//
//  1. A token that does not parse or has a wrong MAC costs one hash and no query.
//  2. The newest token of an active session rotates it. This common case is one statement of the store.
//  3. For any other token, the session is read and judged (rotation.go). A repeat writes no row. A late parent, a
//     reuse, and a token newer than its session (the store lost commits) are recorded and committed before the
//     response.
//  4. The successor is computed, not stored. Two requests for one generation get the same token, so a session can't
//     fork.

// Refresh exchanges a refresh token for its successor and a new access token. Codes:
// CodeRefreshMissing, CodeRefreshInvalid, CodeSessionEnded, CodeRefreshReused, CodeRateLimited.
// While the store is unavailable it returns ErrUnavailable instead of these codes.
func (e *Engine) Refresh(ctx context.Context, token Secret, c Client) (*SignIn, error) {
	if token == "" {
		return nil, refuse(CodeRefreshMissing, "Sign in first.")
	}
	presented, err := e.keys.parseRefresh(ctx, token)
	if err != nil {
		return nil, err
	}
	now := e.now()
	r := e.rotateRequest(presented, c, now)
	result, err := e.store.Rotate(ctx, r)
	if err != nil {
		return nil, err
	}
	if result.Wait > 0 {
		return nil, rateLimited(result.Wait)
	}
	if result.Rotated {
		e.count.verdicts.Add(VerdictRotate)
		return e.newSignIn(result.User, result.Session, now)
	}
	return e.refreshWithOldToken(ctx, r, c)
}

func (e *Engine) rotateRequest(t refreshtoken.Token, c Client, now time.Time) RotateRequest {
	id := SessionID(uuid.UUID(t.Session).String())
	return RotateRequest{
		Session: id,
		Presentation: Presentation{
			Generation: int64(min(t.Generation, math.MaxInt64)),
			Agent:      AgentOf(c.UserAgent),
			At:         now,
		},
		Cutoffs:    e.opts.Sessions.Cutoffs(now),
		RefreshKey: e.keys.activeRefreshNumber(now),
		Address:    c.addressText(),
		Charges: limitedCharges(e.opts.Limits.RefreshPerClient.newCharge(limitRefreshPerClient, c.networkKey(), now),
			e.opts.Limits.RefreshPerSession.newCharge(limitRefreshPerSession, string(id), now)),
	}
}

func (e *Engine) refreshWithOldToken(ctx context.Context, r RotateRequest, c Client) (*SignIn, error) {
	j, err := e.judgeToken(ctx, r)
	if err != nil {
		return nil, err
	}
	if j.verdict == VerdictLate || j.verdict == VerdictReuse {
		if j, err = e.storeVerdict(ctx, r, c); err != nil {
			return nil, err
		}
	}
	if j.session.EndedAt.IsZero() && j.session.ID != "" && r.Generation > j.session.Generation {
		if err := e.recordRestore(ctx, r, c, j.session.Generation); err != nil {
			return nil, err
		}
	}
	e.count.verdicts.Add(j.verdict)
	switch j.verdict {
	case VerdictRepeat, VerdictLate:
		return e.newSignIn(j.user, j.session, r.At)
	case VerdictReuse:
		return nil, refuse(CodeRefreshReused,
			"You were signed out because an old copy of this session was used. Sign in again.")
	}
	return nil, sessionEnded(r.Session, j.why)
}

const (
	restoreEventPeriod = time.Hour   // at most one EventRestoreDetected in this time
	restoreRetryPause  = time.Minute // how long a process waits before it tries to add another event
)

// recordRestore reports that a token is newer than its session: a restored backup or a failover lost commits. This
// affects every session, so one event without an account is enough. The caller skips sessions whose end is stored. It
// does not skip idle sessions, because every session looks idle in a backup older than the idle limit.
func (e *Engine) recordRestore(ctx context.Context, r RotateRequest, c Client, newest int64) error {
	e.log.Error("a refresh token is newer than its session: was the store restored from a backup?",
		slog.String("session", string(r.Session)),
		slog.Int64("presented", r.Generation), slog.Int64("newest", newest))
	if r.At.Unix() < e.noRestoreUntil.Load() {
		return nil
	}
	event := e.newEvent(EventRestoreDetected, Client{RequestID: c.RequestID}, r.At).
		withDetail(fmt.Sprintf("refresh token %d of a session at %d", r.Generation, newest))
	var wait time.Duration
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		wait, err = tx.Charge(ctx, Limit{1, restoreEventPeriod}.newCharge(limitRestoreDetected, "", r.At))
		if err != nil || wait > 0 {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return err
	}
	e.noRestoreUntil.Store(r.At.Add(restoreRetryPause).Unix())
	if wait == 0 {
		e.announce(event)
	}
	return nil
}

// A judgement is the result of rules 1 to 5 of docs/rotation.md for a presented token.
type judgement struct {
	verdict Verdict
	why     EndReason // reason of VerdictEnded; empty: the session does not exist, or is older than the token
	session Session   // state of the session after the verdict
	user    User
}

// judgeToken judges a token in a read-only transaction.
func (e *Engine) judgeToken(ctx context.Context, r RotateRequest) (j judgement, err error) {
	j, err = queryStore(ctx, e.store, func(tx Tx) (judgement, error) { return e.judgeTokenInTx(ctx, tx, r) })
	if err == nil && j.verdict == VerdictRotate {
		err = ErrUnavailable // impossible, because Store.Rotate has just refused this token
	}
	return j, err
}

func (e *Engine) judgeTokenInTx(ctx context.Context, tx Tx, r RotateRequest) (judgement, error) {
	session, user, err := tx.Session(ctx, r.Session)
	if errors.Is(err, ErrNotFound) {
		return judgement{verdict: VerdictEnded}, nil
	}
	if err != nil {
		return judgement{}, err
	}
	j := judgement{session: session, user: user}
	if j.why = session.EndedBy(r.Cutoffs); j.why == "" && user.Disabled() {
		j.why = EndedDisabled
	}
	if j.why != "" {
		j.verdict = VerdictEnded
		return j, nil
	}
	j.verdict, j.session.Rotation = Judge(session.Rotation, e.opts.Rotation, r.Presentation)
	return j, nil
}

var errSessionChanged = errors.New("another request changed the session")

// storeVerdict judges the token a second time and stores the verdict in the same transaction. If another request
// changes the session in between, storeVerdict tries again.
func (e *Engine) storeVerdict(ctx context.Context, r RotateRequest, c Client) (j judgement, err error) {
	for range 3 {
		if j, err = e.tryStoreVerdict(ctx, r, c); !errors.Is(err, errSessionChanged) {
			return j, err
		}
	}
	return j, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (e *Engine) tryStoreVerdict(ctx context.Context, r RotateRequest, c Client) (j judgement, err error) {
	var event Event
	err = e.store.Update(ctx, func(tx Tx) error {
		if j, err = e.judgeTokenInTx(ctx, tx, r); err != nil {
			return err
		}
		claimed := true
		switch j.verdict {
		case VerdictLate:
			event = e.newEvent(EventLateForgiven, c, r.At)
			claimed, err = tx.Forgive(ctx, r.Session, j.session.Generation)
		case VerdictReuse:
			event = e.newEvent(EventRefreshReused, c, r.At)
			event.Detail = reuseDetail(j.session, r.Presentation, event)
			claimed, err = tx.EndSession(ctx, r.Session, EndedReuse, r.At)
		default:
			event = Event{}
			return nil
		}
		if err != nil {
			return err
		}
		if !claimed {
			return errSessionChanged
		}
		event = event.ofUser(j.user.ID).ofSession(j.session.ID)
		if j.verdict == VerdictReuse {
			return e.recordReuse(ctx, tx, j.user, event)
		}
		return tx.InsertEvent(ctx, event)
	})
	if err == nil && event.Kind != "" {
		e.announce(event)
		e.mailPosted.Set()
	}
	return j, err
}

// reuseDetail describes the presented token and both devices. Support staff read it in an explanation.
func reuseDetail(s Session, p Presentation, ev Event) string {
	return reusedetail.Detail{
		Presented: p.Generation, Newest: s.Generation, Rule: string(whyReuse(s.Rotation, p)),
		Superseded: reusedetail.Since(s.supersededAt(p.Generation), p.At),
		From:       reusedetail.Party{Device: ev.Device, Address: ev.Address},
		Session:    reusedetail.Party{Device: s.Device, Address: s.Address},
	}.String()
}

func (e *Engine) recordReuse(ctx context.Context, tx Tx, u User, event Event) error {
	if e.opts.ReuseEndsAll {
		if _, err := tx.EndSessions(ctx, u.ID, "", EndedReuse, event.At); err != nil {
			return err
		}
	}
	if err := e.queueMail(ctx, tx, newMail(MailReuseDetected, u, event)); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, event)
}

func sessionEnded(id SessionID, why EndReason) *Error {
	detail := "Your session has ended. Sign in again."
	switch why {
	case EndedReuse:
		detail = "You were signed out because an old copy of this session was used. Sign in again."
	case EndedPassword:
		detail = "You were signed out because the password was changed. Sign in again."
	case EndedIdle, EndedExpired:
		detail = "Your session has expired. Sign in again."
	case EndedReplaced:
		detail = "A newer sign-in in this browser replaced this session. Sign in again if you are not signed in."
	case EndedTooMany:
		detail = "You were signed out because your account has too many newer sign-ins. Sign in again."
	case EndedByUser, EndedLogoutAll:
		detail = "You signed out from another device. Sign in again."
	}
	return &Error{Code: CodeSessionEnded, Detail: detail, Ended: why, Session: id}
}

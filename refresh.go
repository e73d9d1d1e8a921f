package watchword

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/refreshtoken"
)

// Refresh, in the order of its checks:
//
//  1. A token that does not parse, or that we did not make, costs a hash and no
//     query.
//  2. The common case is one statement of the store: the newest token of a live
//     session rotates it.
//  3. Whatever is left is read and judged. A repeat writes nothing. A late
//     parent that is forgiven, and a reuse, are claimed by a conditional
//     statement and committed before the answer.
//  4. The successor is computed, not stored: whoever asks for one generation
//     twice gets the same token twice, so a session can't fork.

// Refresh exchanges a refresh token for its successor and a new access token.
// Codes: CodeRefreshMissing, CodeRefreshInvalid, CodeSessionEnded,
// CodeRefreshReused, CodeRateLimited. When the store is away it returns
// ErrUnavailable, never one of these.
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
		return nil, limited(result.Wait)
	}
	if result.Rotated {
		e.count.verdict(VerdictRotate)
		return e.signIn(result.User, result.Session, now)
	}
	return e.refreshOld(ctx, r, c)
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
		RefreshKey: e.keys.refreshNumber(now),
		Address:    c.address(),
		Charges: charges(
			e.opts.Limits.RefreshPerSession.charge("refresh", string(id), now),
			e.opts.Limits.RefreshPerClient.charge("refresh_client", c.key(), now),
		),
	}
}

// refreshOld answers a token that is not the newest of a live session.
func (e *Engine) refreshOld(ctx context.Context, r RotateRequest, c Client) (*SignIn, error) {
	j, err := e.judge(ctx, r)
	if err != nil {
		return nil, err
	}
	if j.verdict == VerdictLate || j.verdict == VerdictReuse {
		if j, err = e.remember(ctx, r, c); err != nil {
			return nil, err
		}
	}
	e.count.verdict(j.verdict)
	if j.verdict == VerdictEnded && j.why == "" && j.session.ID != "" {
		e.log.Error("a refresh token is newer than its session: was the store restored from a backup?",
			slog.String("session", string(r.Session)),
			slog.Int64("presented", r.Generation), slog.Int64("newest", j.session.Generation))
	}
	switch j.verdict {
	case VerdictRepeat, VerdictLate:
		return e.signIn(j.user, j.session, r.At)
	case VerdictReuse:
		return nil, refuse(CodeRefreshReused, "You were signed out because an old copy of this session was used. Sign in again.")
	}
	return nil, sessionEnded(j.why)
}

// A judgement is what rules 1 to 5 say of a presented token.
type judgement struct {
	verdict Verdict
	why     EndReason // of VerdictEnded; empty: there is no session, or the token is newer than it
	session Session   // as it is after the verdict
	user    User
}

// judge reads the session and decides, without writing.
func (e *Engine) judge(ctx context.Context, r RotateRequest) (j judgement, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		j, err = e.judgeIn(ctx, tx, r)
		return err
	})
	if err == nil && j.verdict == VerdictRotate {
		err = ErrUnavailable // the statement that rotates said no: the store contradicts itself
	}
	return j, err
}

func (e *Engine) judgeIn(ctx context.Context, tx Tx, r RotateRequest) (judgement, error) {
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

// errRaced: a conditional statement found that somebody else had been there
// since the session was read.
var errRaced = errors.New("the session changed meanwhile")

// remember judges again, in the transaction that writes the verdict down.
func (e *Engine) remember(ctx context.Context, r RotateRequest, c Client) (j judgement, err error) {
	for range 3 {
		if j, err = e.rememberOnce(ctx, r, c); !errors.Is(err, errRaced) {
			return j, err
		}
	}
	return j, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (e *Engine) rememberOnce(ctx context.Context, r RotateRequest, c Client) (j judgement, err error) {
	var event Event
	err = e.store.Update(ctx, func(tx Tx) error {
		if j, err = e.judgeIn(ctx, tx, r); err != nil {
			return err
		}
		claimed := true
		switch j.verdict {
		case VerdictLate:
			event = e.event(EventLateForgiven, c, r.At)
			claimed, err = tx.Forgive(ctx, r.Session, j.session.Generation)
		case VerdictReuse:
			event = e.event(EventRefreshReused, c, r.At).because(reuseDetail(j.session, r.Presentation))
			claimed, err = tx.EndSession(ctx, r.Session, EndedReuse, r.At)
		default:
			event = Event{}
			return nil
		}
		if err != nil {
			return err
		}
		if !claimed {
			return errRaced
		}
		event = event.of(j.user.ID).on(j.session.ID)
		if j.verdict == VerdictReuse {
			return e.reuseFound(ctx, tx, j.user, event)
		}
		return tx.InsertEvent(ctx, event)
	})
	if err == nil && event.Kind != "" {
		e.announce(event)
		e.wakeOutbox()
	}
	return j, err
}

// reuseDetail is what a support person needs beside the client who presented the old
// token, which the event names: the generations, the rule, and the session's own client.
func reuseDetail(s Session, p Presentation) string {
	return fmt.Sprintf("presented=%d newest=%d rule=%s superseded=%s session_address=%s session_device=%q",
		p.Generation, s.Generation, whyReuse(s.Rotation, p), since(s.supersededAt(p.Generation), p.At), cmp.Or(s.Address, "unknown"), s.Device)
}

// since writes how long ago a moment was.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return now.Sub(t).Round(time.Millisecond).String() + "_ago"
}

// reuseFound writes down what follows from a reuse.
func (e *Engine) reuseFound(ctx context.Context, tx Tx, u User, event Event) error {
	if e.opts.ReuseEnds == ReuseEndsAll {
		if _, err := tx.EndSessions(ctx, u.ID, "", EndedReuse, event.At); err != nil {
			return err
		}
	}
	if err := e.post(ctx, tx, mailTo(MailReuseDetected, u, event)); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, event)
}

func sessionEnded(why EndReason) *Error {
	detail := "Your session has ended. Sign in again."
	switch why {
	case EndedReuse:
		detail = "You were signed out because an old copy of this session was used. Sign in again."
	case EndedPassword:
		detail = "You were signed out because the password was changed. Sign in again."
	case EndedIdle, EndedExpired:
		detail = "You were signed out because this session was not used for a while, or was old. Sign in again."
	case EndedReplaced:
		detail = "A later sign-in in the same browser replaced this session. Sign in again if you are not signed in."
	case EndedByUser, EndedLogoutAll:
		detail = "You signed out from another device. Sign in again."
	}
	return &Error{Code: CodeSessionEnded, Detail: detail, Ended: why}
}

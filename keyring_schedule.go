package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/watchword-auth/watchword/internal/keyschedule"
	"github.com/watchword-auth/watchword/internal/sleep"
)

// The schedule of the keys (internal/keyschedule) is applied at the start, periodically, and by RotateKeys.

// maxKeysByHand is how many keys a use may have before RotateKeys refuses another. Scheduled keys may exceed it.
const maxKeysByHand = 100

func (k *keyring) rotationPolicy(use KeyUse) keyschedule.Policy {
	p := keyschedule.Policy{Period: k.opts.KeyPeriod, Overlap: keysPublishedBefore, Lifetime: maxAccessTTL}
	if use == KeyRefresh {
		p.Lifetime = k.opts.Sessions.Max
	}
	return p
}

var errNoFreeNumber = errors.New("no number is free for another key")

// applyPlan stores the changes of a plan and publishes a new key if the plan has one. If several processes publish a
// key at the same time, only one succeeds, because numbers are unique. It deletes expired keys first, which frees
// their numbers. Without a free number, it applies the rest of the plan and returns errNoFreeNumber.
func (k *keyring) applyPlan(
	ctx context.Context, use KeyUse, set *keyset, plan keyschedule.Plan, because ...Event,
) error {
	if plan.Publish == nil && len(plan.Change) == 0 && len(plan.Drop) == 0 {
		return nil
	}
	rows := set.rows[use]
	var made *Key
	var full error
	if plan.Publish != nil {
		number, ok := keyschedule.NextNumber(set.times[use], plan.Drop)
		if ok {
			key, err := k.generateKey(use, number, plan.Publish.PublishedAt, plan.Publish.ActiveFrom)
			if err != nil {
				return err
			}
			made = &key
		} else {
			full = fmt.Errorf("publish a key: there are %d %s keys: %w", len(rows), use, errNoFreeNumber)
		}
	}
	err := k.store.Update(ctx, func(tx Tx) error {
		if err := k.lockMasterKey(ctx, tx); err != nil {
			return err
		}
		for _, i := range plan.Drop {
			if err := tx.DeleteKey(ctx, rows[i].ID); err != nil {
				return err
			}
		}
		for i, times := range plan.Change {
			if err := tx.SetKeyTimes(ctx, rows[i].ID, times.ActiveFrom, times.DropAt); err != nil {
				return err
			}
		}
		for _, event := range because {
			if err := tx.InsertEvent(ctx, event); err != nil {
				return err
			}
		}
		if made == nil {
			return nil
		}
		_, err := tx.InsertKey(ctx, *made)
		return err
	})
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	return errors.Join(k.reload(ctx), full)
}

// prepareKeys reads the clock and applies the schedule at the start. After an error, it returns the error only if the
// loaded keys are not usable. Otherwise it logs the error, as a running server does.
func (e *Engine) prepareKeys(ctx context.Context) error {
	err := e.readClock(ctx)
	if err == nil {
		err = e.scheduleKeys(ctx)
	}
	if err != nil && (e.keys.current.Load() == nil || e.keys.checkUsable(e.now()) != nil) {
		return err
	}
	if err != nil {
		e.logKeys(err)
	}
	return nil
}

// checkUsable returns an error if no key is active at now, or if the master key has been replaced.
func (k *keyring) checkUsable(now time.Time) error {
	if k.masterReplaced.Load() {
		return fmt.Errorf("%w: restart with the right one", ErrMasterKey)
	}
	if _, err := k.activeSigningKey(now); err != nil {
		return err
	}
	if _, ok := k.refreshSecret(k.activeRefreshNumber(now)); !ok {
		return errors.New("no key is active for signing refresh tokens")
	}
	return nil
}

// scheduleKeys reloads the keys and applies the schedule. If it fails for one use, it still processes the other.
func (e *Engine) scheduleKeys(ctx context.Context) error {
	if err := e.keys.reload(ctx); err != nil {
		return err
	}
	now := e.now()
	errs := []error{e.keys.storeMissingSecrets(ctx)}
	for _, use := range e.keys.rotatingUses() {
		for range 2 { // an empty store needs two keys: the first and its successor
			set := e.keys.current.Load()
			plan := keyschedule.At(set.times[use], now, e.keys.rotationPolicy(use))
			if use == KeySign {
				isOurs := func(i int) bool { return set.rows[use][i].Alg == e.opts.SigningAlg }
				plan = plan.TakeOver(set.times[use], now, keysPublishedBefore, isOurs)
			}
			if err := e.keys.applyPlan(ctx, use, set, plan); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	return errors.Join(errs...)
}

func (k *keyring) rotatingUses() []KeyUse {
	if k.sharedKey != nil {
		return []KeyUse{KeyRefresh}
	}
	return []KeyUse{KeySign, KeyRefresh}
}

// RotateKeys activates the next key for keyUse once it has been published for long enough, and publishes another. It
// returns the keys. Codes: CodeNotFound (KeySign with HS256), CodeRateLimited (too many keys).
//
// Unstable: for the program watchword.
func (o Operator) RotateKeys(ctx context.Context, keyUse KeyUse) ([]KeyInfo, error) {
	if !slices.Contains(o.engine.keys.rotatingUses(), keyUse) {
		return nil, refuse(CodeNotFound, "HS256 has no signing keys. Change the signing secret instead.")
	}
	if err := o.engine.scheduleKeys(ctx); err != nil && !errors.Is(err, errNoFreeNumber) {
		return nil, err
	}
	now := o.engine.now()
	set := o.engine.keys.current.Load()
	if len(set.rows[keyUse]) > maxKeysByHand {
		return nil, tooManyKeys(set.rows[keyUse], keyUse, now)
	}
	plan := keyschedule.Rotate(set.times[keyUse], now, o.engine.keys.rotationPolicy(keyUse))
	event := o.newEvent(eventKeysRotated, "").withDetail(string(keyUse))
	if err := o.engine.keys.applyPlan(ctx, keyUse, set, plan, event); err != nil {
		return nil, err
	}
	o.engine.announce(event)
	return o.Keys(ctx)
}

func tooManyKeys(rows []Key, use KeyUse, now time.Time) *Error {
	var first time.Time
	for _, row := range rows {
		if !row.DropAt.IsZero() && (first.IsZero() || row.DropAt.Before(first)) {
			first = row.DropAt
		}
	}
	return &Error{
		Code: CodeRateLimited,
		Detail: fmt.Sprintf("There are %d %s keys, because keys were rotated often. The first one is dropped at %s. "+
			"Rotate again after that.", len(rows), use, first.UTC().Format("2006-01-02 15:04 UTC")),
		RetryAfter: max(first.Sub(now), time.Second),
	}
}

func (e *Engine) runKeys(ctx context.Context) {
	for sleep.For(ctx, keysPoll) == nil {
		err := e.readClock(ctx)
		if err == nil {
			err = e.scheduleKeys(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.logKeys(err)
		}
	}
}

func (e *Engine) logKeys(err error) {
	e.log.Error("can't read or rotate the keys; next try in a few seconds", slog.Any("error", err))
}

package main_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
)

// Several servers share one database. Clients concurrently present the newest token, its parent and older tokens, and
// some responses are lost. Some sequential order of decisions by the pure function Judge must explain all results
// (linearizability). Porcupine searches for this order.

// A refreshRequest presents the refresh token of a generation. An outcome is the result of such a request.
type refreshRequest struct{ generation int64 }

type outcome struct {
	code       string // "" for a new token, "?" for a lost response
	generation int64
}

func TestRotationIsLinearizable(t *testing.T) {
	t.Parallel()
	rounds := soakRounds(6)
	for name, policy := range map[string]watchword.RotationPolicy{
		"everything within the grace": {Grace: time.Minute, Clean: 1},
		"no grace":                    {Grace: 0, Clean: 1},
	} {
		arguments := []string{"--limits=off", "--log-level=error", "--refresh-grace=" + policy.Grace.String()}
		t.Run(name+", one server on SQLite", func(t *testing.T) {
			t.Parallel()
			checkHistories(t, policy, rounds, startServers(t, 1, arguments))
		})
		t.Run(name+", three servers on PostgreSQL", func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			checkHistories(t, policy, rounds, startServers(t, 3, append(postgresArguments(url), arguments...)))
		})
	}
}

func startServers(t *testing.T, n int, arguments []string) (addresses []string) {
	for range n {
		s := newServer(t, freeAddress(t))
		startServer(t, s, arguments...)
		addresses = append(addresses, s.address)
	}
	return addresses
}

func checkHistories(t *testing.T, policy watchword.RotationPolicy, rounds int, addresses []string) {
	const clients, presentations = 4, 10
	for round := range rounds {
		h := &history{t: t, addresses: addresses, tokens: map[int64]string{}}
		h.signUp(round)
		var wg sync.WaitGroup
		for client := range clients {
			random := rand.New(rand.NewPCG(uint64(round), uint64(client)))
			wg.Go(func() {
				for range presentations {
					h.presentRandomToken(client, random)
				}
			})
		}
		wg.Wait()
		if result := porcupine.CheckOperationsTimeout(judgeModel(policy), h.operations,
			30*time.Second); result != porcupine.Ok {
			t.Errorf("round %d: %s: no order explains %+v", round, result, h.operations)
		}
	}
}

type history struct {
	t          *testing.T
	addresses  []string
	mu         sync.Mutex
	tokens     map[int64]string // by generation
	newest     int64
	operations []porcupine.Operation

	email, accessToken string
	origin             string // host of the shared public URL; empty: each server has its own public URL
}

func (h *history) signUp(round int) {
	h.email = fmt.Sprintf("round%d@example.com", round)
	d := h.deviceAt(h.addresses[0])
	in := d.post(h.t, "/register", body{"email": h.email, "password": firstSecret, "delivery": "body"}, 201)
	h.tokens[0], h.accessToken = in.RefreshToken, in.AccessToken
}

// presentRandomToken mostly sends one of the newest tokens. Sometimes it does not wait for the response.
func (h *history) presentRandomToken(client int, random *rand.Rand) {
	h.mu.Lock()
	g := max(h.newest-[]int64{0, 0, 0, 0, 1, 1, 2, 3}[random.IntN(8)], 0)
	token, known := h.tokens[g]
	h.mu.Unlock()
	if !known {
		return
	}
	ctx := h.t.Context()
	if random.IntN(6) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(4000))*time.Microsecond)
		defer cancel()
	}
	d := h.deviceAt(h.addresses[random.IntN(len(h.addresses))])
	called := time.Now().UnixNano()
	got, err := d.send(ctx, http.MethodPost, "/refresh", body{"refreshToken": token})
	op := porcupine.Operation{ClientId: client, Input: refreshRequest{g}, Call: called, Return: time.Now().UnixNano()}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil: // it may still take effect at any later time
		op.Output, op.Return, op.ClientId = outcome{code: "?"}, math.MaxInt64, 100+len(h.operations)
	case got.status == http.StatusOK:
		n := tokenGeneration(h.t, got.RefreshToken)
		h.tokens[n], h.newest = got.RefreshToken, max(h.newest, n)
		op.Output = outcome{generation: n}
	default:
		op.Output = outcome{code: got.Code}
	}
	h.operations = append(h.operations, op)
}

// tokenGeneration reads the generation from a token. docs/rotation.md defines the form of the token.
func tokenGeneration(t *testing.T, token string) int64 {
	return int64(binary.BigEndian.Uint64(tokenBytes(t, token)[18:]))
}

func tokenBytes(t *testing.T, token string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "wwr_"))
	if err != nil || len(raw) < 26 {
		t.Errorf("not a token: %v", err)
		return make([]byte, 26)
	}
	return raw
}

// modelState is the state of one session. Its times are shifted, so that the last rotation is at epoch.
type modelState struct {
	rotation watchword.Rotation
	ended    bool
}

var epoch = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// judgeModel returns a model that applies Judge. The exact time of a decision is unknown, so the model tries
// representative times. With a grace period, it tries one time within the period. With a grace period of 0, it tries
// the millisecond of the last rotation and a later time.
func judgeModel(policy watchword.RotationPolicy) porcupine.Model {
	times := []time.Duration{0, time.Hour}
	if policy.Grace > 0 {
		times = times[:1]
	}
	model := porcupine.NondeterministicModel{
		Init: func() []any {
			return []any{modelState{
				rotation: watchword.Rotation{Forgiven: watchword.NeverForgiven, RotatedAt: epoch, RotatedBy: "a"}}}
		},
		Step: func(state, input, output any) (next []any) {
			for _, later := range times {
				after, got := applyOperation(state.(modelState), policy, input, epoch.Add(later))
				if want := output.(outcome); want.code == "?" || want == got {
					next = append(next, after)
				}
			}
			return next
		},
		Equal: func(a, b any) bool { return a == b },
	}
	return model.ToModel()
}

func judgeRefresh(s modelState, policy watchword.RotationPolicy, g int64, at time.Time) (modelState, outcome) {
	if s.ended {
		return s, outcome{code: "SESSION_ENDED"}
	}
	verdict, after := watchword.Judge(s.rotation, policy, watchword.Presentation{Generation: g, Agent: "a", At: at})
	switch verdict {
	case watchword.VerdictReuse:
		return modelState{ended: true}, outcome{code: "REFRESH_REUSED"}
	case watchword.VerdictEnded:
		return s, outcome{code: "SESSION_ENDED"}
	}
	for i, superseded := range after.Superseded { // set the time of the last rotation to epoch
		if !superseded.IsZero() && !superseded.Equal(after.RotatedAt) {
			after.Superseded[i] = epoch.Add(-time.Hour)
		} else if !superseded.IsZero() {
			after.Superseded[i] = epoch
		}
	}
	after.RotatedAt = epoch
	return modelState{rotation: after}, outcome{generation: after.Generation}
}

package main_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
)

// After a session has ended, every server must refuse GET /api/auth/me, although servers cache verified tokens and
// rows. Clients refresh and read at several servers while a command ends the session or, in every second round,
// disables the account. The responses must be possible in some sequential order of the requests (linearizability).

// meRequest and endByCommand are operations of the model. endByCommand is a run of `sessions end` or `users disable`.
type (
	meRequest    struct{}
	endByCommand struct{}
)

// applyOperation is the step function of the model. It returns the next state and the response that the server must
// give.
func applyOperation(s modelState, policy watchword.RotationPolicy, input any, at time.Time) (modelState, outcome) {
	switch input := input.(type) {
	case meRequest:
		if s.ended {
			return s, outcome{code: "SESSION_ENDED"}
		}
		return s, outcome{}
	case endByCommand:
		return modelState{ended: true}, outcome{}
	default:
		return judgeRefresh(s, policy, input.(refreshRequest).generation, at)
	}
}

// RT-11, RL-11
func TestReadsOfASessionAreLinearizable(t *testing.T) {
	t.Parallel()
	policy := watchword.RotationPolicy{Grace: time.Minute, Clean: 1}
	arguments := []string{"--limits=off", "--log-level=error", "--refresh-grace=" + policy.Grace.String()}
	t.Run("two servers and a command on SQLite", func(t *testing.T) {
		t.Parallel()
		where := []string{"--data-dir=" + t.TempDir()}
		checkReads(t, policy, append(arguments, where...), where)
	})
	t.Run("two servers and a command on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		where := postgresArguments(pgtest.Database(t))
		checkReads(t, policy, append(arguments, where...), where)
	})
}

func checkReads(t *testing.T, policy watchword.RotationPolicy, arguments, where []string) {
	const clients = 4
	origin := freeAddress(t) // access tokens name the public URL, so the servers share it
	addresses := startServers(t, 2, append(arguments, "--public-url=http://"+origin))
	for round := range soakRounds(4) {
		h := &history{t: t, addresses: addresses, origin: origin, tokens: map[int64]string{}}
		h.signUp(round)
		var ended sync.WaitGroup
		commandDone := make(chan struct{})
		command := []string{"sessions", "end"}
		if round%2 == 1 {
			command = []string{"users", "disable"}
		}
		ended.Go(func() {
			defer close(commandDone)
			h.endSessionByCommand(clients, append(append(command, h.email, "--yes"), where...))
		})
		for client := range clients {
			random := rand.New(rand.NewPCG(uint64(round), uint64(client)))
			ended.Go(func() { h.readUntilClosed(commandDone, client, random) })
		}
		ended.Wait()
		if result := porcupine.CheckOperationsTimeout(judgeModel(policy), h.operations,
			30*time.Second); result != porcupine.Ok {
			t.Errorf("round %d: %s: no order explains %+v", round, result, h.operations)
		}
	}
}

// After the command, readUntilClosed sends a few more requests, which every server must refuse.
func (h *history) readUntilClosed(commandDone <-chan struct{}, client int, random *rand.Rand) {
	devices := make([]*device, len(h.addresses))
	for i, address := range h.addresses {
		devices[i] = h.deviceAt(address)
		devices[i].accessToken = h.accessToken
	}
	for after := 0; after < 4; {
		select {
		case <-commandDone:
			after++
		default:
			// The pause limits the number of concurrent operations, because the checker's time grows with it.
			time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
		}
		if random.IntN(8) == 0 {
			h.presentRandomToken(client, random)
			continue
		}
		called := time.Now().UnixNano()
		got, err := devices[random.IntN(len(devices))].send(h.t.Context(), http.MethodGet, "/me", nil)
		returned := time.Now().UnixNano()
		if err != nil {
			h.t.Errorf("GET /me: %v", err)
			return
		}
		h.record(porcupine.Operation{ClientId: client, Input: meRequest{}, Call: called,
			Output: outcome{code: got.Code}, Return: returned})
	}
}

func (h *history) deviceAt(address string) *device {
	if h.origin == "" {
		return newDevice(h.t, address)
	}
	d := newDevice(h.t, h.origin)
	d.serverAddress.Store(address)
	return d
}

// The command runs in another process.
func (h *history) endSessionByCommand(client int, args []string) {
	called := time.Now().UnixNano()
	got := run(h.t, call{args: args})
	returned := time.Now().UnixNano()
	if got.code != 0 {
		h.t.Errorf("%s %s: exit code %d: %s", args[0], args[1], got.code, got.errors)
		return
	}
	h.record(porcupine.Operation{
		ClientId: client, Input: endByCommand{}, Call: called, Output: outcome{}, Return: returned})
}

func (h *history) record(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, op)
}

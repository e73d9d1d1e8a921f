package admin

import (
	"cmp"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
)

// Options configure a Manager. The zero value works.
type Options struct {
	// ACR is the lowest level of an administrator's session: "aal2" or "aal1". Default: aal2.
	ACR string

	// ReadAge is how long a session may read after the user's last proof of identity. Default: 12 h.
	ReadAge time.Duration

	// StepUpAge is how long a session may write after the user's last proof of identity. Default: 5 min.
	StepUpAge time.Duration

	// KeyLimit bounds the requests of one service key. Default: 600 a minute.
	KeyLimit watchword.Limit
}

// A Manager runs the administration. It is safe for concurrent use.
type Manager struct {
	engine watchword.Inside
	auth   *watchword.Engine
	store  Store
	opts   Options
}

// New returns a Manager for an engine and the store of that engine.
func New(e *watchword.Engine, store Store, opts Options) *Manager {
	return &Manager{engine: e.Inside(), auth: e, store: store, opts: opts.withDefaults()}
}

func (o Options) withDefaults() Options {
	o.ACR = cmp.Or(o.ACR, amr.LevelTwo)
	o.ReadAge = cmp.Or(o.ReadAge, 12*time.Hour)
	o.StepUpAge = cmp.Or(o.StepUpAge, 5*time.Minute)
	o.KeyLimit = cmp.Or(o.KeyLimit, watchword.Limit{Count: 600, Per: time.Minute})
	return o
}

func refuse(code watchword.Code, detail string) *watchword.Error {
	return &watchword.Error{Code: code, Detail: detail}
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// keysCmd shows and rotates keys. It writes to the store; running servers pick
// the change up by themselves.
type keysCmd struct {
	List   keyList   `cmd:"" help:"List keys and what each does now."`
	Rotate keyRotate `cmd:"" help:"Let the next key take over, without a restart and without a failed verification."`
}

type keyList struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *keyList) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	keys, err := s.engine.Keys(ctx)
	if err != nil {
		return err
	}
	return p.printKeys(keys, c.JSON)
}

type keyRotate struct {
	Use  string `arg:"" optional:"" enum:"sign,refresh" default:"sign" help:"sign (access tokens) or refresh (refresh tokens)."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *keyRotate) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	keys, err := s.engine.RotateKeys(ctx, watchword.KeyUse(c.Use))
	if err != nil {
		return err
	}
	return p.printKeys(keys, c.JSON)
}

// keyView is a key in JSON, without its secret.
type keyView struct {
	ID          string           `json:"id"`
	Use         watchword.KeyUse `json:"use"`
	Alg         string           `json:"alg"`
	Number      int              `json:"number"`
	State       string           `json:"state"`
	PublishedAt *time.Time       `json:"publishedAt"`
	ActiveFrom  *time.Time       `json:"activeFrom"`
	DropAt      *time.Time       `json:"dropAt"`
}

func (p *program) printKeys(keys []watchword.KeyInfo, asJSON bool) error {
	if asJSON {
		views := make([]keyView, len(keys))
		for i, k := range keys {
			views[i] = keyView{k.ID, k.Use, k.Alg, k.Number, k.State, stamp(k.PublishedAt), stamp(k.ActiveFrom), stamp(k.DropAt)}
		}
		return p.printJSON(map[string]any{"keys": views})
	}
	t := newTable("USE", "NUMBER", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "DROPPED AT", "ID")
	for _, k := range keys {
		t.row(string(k.Use), fmt.Sprint(k.Number), k.Alg, k.State, clock(k.PublishedAt), clock(k.ActiveFrom), clock(k.DropAt), k.ID)
	}
	return p.printTable(t)
}

package main

import (
	"context"

	"github.com/watchword-auth/watchword/store/sqlite"
)

type migrateCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *migrateCmd) Run(ctx context.Context, p *program) error {
	if err := p.sources.faults(p.settings); err != nil {
		return err
	}
	if _, err := p.settings.prepare(); err != nil {
		return err
	}
	applied, err := sqlite.Migrate(ctx, p.settings.databasePath())
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"applied": append([]string{}, applied...)})
	}
	for _, name := range applied {
		p.say("Applied %s.", name)
	}
	p.say("%s is up to date.", p.settings.databasePath())
	return nil
}

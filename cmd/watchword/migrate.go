package main

import "context"

// migrateCmd upgrades the database. Servers do it at their start; the command is for
// operators who want to do it first, with the rights of another database user.
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
	applied, err := p.settings.migrateDatabase(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"applied": append([]string{}, applied...)})
	}
	for _, name := range applied {
		p.say("Applied %s.", name)
	}
	p.say("%s is up to date.", p.settings.databaseName())
	return nil
}

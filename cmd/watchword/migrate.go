package main

import "context"

// migrateCmd upgrades the database. Servers upgrade it at their start. The command is for
// operators who want to upgrade it earlier, or with the rights of another database user. It is
// safe while servers run, because migrations are additive, and servers of the previous release
// work on the new schema. Several processes may migrate at the same time; only one of them does
// the work.
type migrateCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run succeeds if no migration is pending, so a deployment can always run the command. After a
// failure, such as a full disk, the exit code is 1, and the command can be repeated.
func (c *migrateCmd) Run(ctx context.Context, p *program) error {
	if err := p.sources.allFaults(p.settings); err != nil {
		return err
	}
	// The master key must exist before the tables. Otherwise the next start would find tables
	// without a master key.
	if _, err := p.settings.prepareMasterKey(); err != nil {
		return err
	}
	applied, err := p.settings.migrateDatabase(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		// An empty list is [] and not null.
		return p.printJSON(map[string]any{"applied": append([]string{}, applied...)})
	}
	for _, name := range applied {
		p.say("Applied %s.", name)
	}
	p.say("%s is up to date.", p.settings.databaseName())
	return nil
}

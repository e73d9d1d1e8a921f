package main

import (
	"context"
	"encoding/json"

	objects "github.com/watchword-auth/watchword/internal/metadata"
	"github.com/watchword-auth/watchword/metadata"
)

// userSet writes the metadata of an account: data of the application, such as a plan. Metadata
// consists of a public and a private JSON object. The user can read the public one and write
// neither.
type userSet struct {
	accountFlags
	Values  []string `arg:"" optional:"" name:"key=json" help:"Members to set, as in: plan='\"pro\"' or org.seats=5. null removes one. Without any, the command prints the metadata."`
	Private bool     `name:"private" help:"Write the private object, which the user can't read."`
	Now     bool     `name:"now" help:"Outdate the access tokens of the user, so that claims change at once. Otherwise they change at the next refresh."`
}

// Run does not ask for a confirmation, because the operator can set a member again. It writes
// all values in one change, or none of them.
//
// The command also checks that access tokens with these values are not too large. The check
// depends on the setting claims, so the command needs the same settings as the server. With
// different settings, the command could accept a value that is too large. The server would then
// omit all computed claims from the tokens.
func (c *userSet) Run(ctx context.Context, p *program) error {
	patch, err := objects.Assign(c.Values)
	if err != nil {
		return err
	}
	// Without values, the command only reads. It then works on a backup and while the server
	// runs.
	open := p.openExisting
	if len(c.Values) == 0 {
		open = p.openToRead
	}
	s, user, err := c.openAndFind(ctx, open)
	if err != nil {
		return err
	}
	defer s.close()
	manager := metadata.New(s.engine, s.store.Metadata())
	if len(c.Values) == 0 {
		found, err := manager.Get(ctx, user.ID)
		if err != nil {
			return err
		}
		return p.printMetadata(found)
	}
	// The change accepts any version of the metadata (no IfMatch), because members that the
	// command does not name keep their values.
	change := metadata.Patch{Public: patch, Now: c.Now, Operator: p.operatorName()}
	if c.Private {
		change.Public, change.Private = "", patch
	}
	changed, err := manager.Patch(ctx, user.ID, change)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printMetadata(changed)
	}
	p.say("Set the metadata of %s.", user.Email)
	return nil
}

// printMetadata prints the public and the private object. A support team may need the private
// object, and only operators run this command.
func (p *program) printMetadata(m metadata.Metadata) error {
	// An object that was never written is {}, so that scripts need no special case.
	object := func(text string) json.RawMessage {
		if text == "" {
			return json.RawMessage("{}")
		}
		return json.RawMessage(text)
	}
	return p.printJSON(map[string]any{"metadata": map[string]any{
		"version": m.Version, "public": object(m.Public), "private": object(m.Private)}})
}

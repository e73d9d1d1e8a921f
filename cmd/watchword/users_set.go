package main

import (
	"context"
	"encoding/json"

	objects "github.com/watchword-auth/watchword/internal/metadata"
	"github.com/watchword-auth/watchword/metadata"
)

// userSet writes the metadata of an account: data of the application, such as a plan. Its user can read the public
// object and never write it.
type userSet struct {
	accountFlags
	Values  []string `arg:"" optional:"" name:"key=json" help:"Members to set, as in: plan='\"pro\"' or org.seats=5. null removes one. Without any, the command prints the metadata."`
	Private bool     `name:"private" help:"Write the private object, which the user can't read."`
	Now     bool     `name:"now" help:"Outdate the access tokens of the user, so that claims change at once. Otherwise they change at the next refresh."`
}

// Run does not ask, because a member can be set again. All values are one change, which is written or refused as a
// whole.
//
// The dry run of an access token uses the claims of this command's settings. The command needs the same settings as
// the server. Otherwise it accepts a value that is too large for a token, and the server then leaves out all
// computed claims.
func (c *userSet) Run(ctx context.Context, p *program) error {
	patch, err := objects.Assign(c.Values)
	if err != nil {
		return err
	}
	// Reading needs no lock, so it also works on a backup and while the server runs.
	open := p.openExisting
	if len(c.Values) == 0 {
		open = p.openToRead
	}
	s, user, err := c.find(ctx, open)
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
	// The change does not depend on the version. Members that this command does not name keep the values of other
	// writers.
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

// printMetadata prints both objects. A support team may need the private one, and only operators run this command.
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

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
)

// providerTimeout bounds the check of one provider. It is longer than the timeout of the server
// for a provider.
const providerTimeout = 15 * time.Second

// secretWarningPeriod is the time before the expiry of a client secret for Apple in which the
// doctor warns. An operator has to create the next secret by hand.
const secretWarningPeriod = 30 * 24 * time.Hour

// checkProviders checks each entry of sign-in-with. It reads the discovery document and checks
// the issuer in it, as the first sign-in would. It also shows the redirect URI, because a
// common mistake is a different redirect URI at the provider. It sends no secret.
func (d *checkup) checkProviders(ctx context.Context, s *Settings) {
	for _, entry := range s.Providers {
		o := entry.options
		// The settings were checked before, so the cause of a failure here is the network or
		// the provider.
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, providerTimeout)
			defer cancel()
			provider, err := providers.New(o)
			if err != nil {
				return err
			}
			return providers.Check(ctx, provider)
		}()
		if err != nil {
			d.fail("provider", fmt.Sprintf("%s: %s", o.ID, oneLine(err.Error())),
				"Check issuer and the network. Users can't sign in with this provider.")
		} else {
			d.pass("provider", o.ID+": register the redirect URI "+o.RedirectURI)
		}
		// The secret is checked even if the provider is down, because its expiry is in the
		// settings.
		d.checkSecretExpiry(o)
	}
}

// checkStrandedUsers counts the users who can't sign in because their provider was removed.
// Such an account has neither a password nor a suitable passkey. Each identity contains the id
// that its provider had at the last sign-in. checkStrandedUsers compares this id with the ids
// in sign-in-with. If the operator changes the id of a provider, its users count as stranded
// until their next sign-in.
func (d *checkup) checkStrandedUsers(ctx context.Context, s *stack, settings *Settings) {
	// The count needs only the ids of the configured providers. It asks no provider, so a
	// provider that is down makes no difference.
	manager, err := federation.New(s.engine, s.store.Federation(),
		federation.Options{Spare: settings.sparePasskeyFinder(s)})
	var n federation.StrandedCount
	if err == nil {
		n, err = manager.Stranded(ctx, settings.providerIDs())
	}
	const restore = "Write the provider into sign-in-with again, with the id that `watchword users identities` shows."
	switch {
	case err != nil:
		d.fail("provider", errorLine(err), "See what the log of the server says.")
	case n.Unproven > 0:
		d.fail("provider", fmt.Sprintf(
			"Users of a removed provider who can't sign in, because their address is not proven: %d.", n.Unproven), restore)
	}
	// This is only a warning, because these users have a proven address: they can reset the
	// password and sign in with it.
	if n.Proven > 0 {
		d.warn("provider", fmt.Sprintf("Users of a removed provider who can sign in after a password reset: %d.",
			n.Proven), restore)
	}
}

// checkSecretExpiry applies only to client secrets for Apple that the operator created
// beforehand. No other client secret expires.
func (d *checkup) checkSecretExpiry(o providers.Options) {
	until, expires := providers.SecretExpiry(o)
	left := time.Until(until)
	switch {
	case !expires || left > secretWarningPeriod:
	case left <= 0:
		d.fail("provider", fmt.Sprintf("%s: the client secret expired on %s", o.ID, until.Format(time.DateOnly)),
			"Write team-id and key-id, and the key file (.p8) as client-secret-file. The server then creates secrets by itself.")
	default:
		d.warn("provider", fmt.Sprintf("%s: the client secret expires on %s", o.ID, until.Format(time.DateOnly)),
			"Write team-id and key-id, and the key file (.p8) as client-secret-file. The server then creates secrets by itself.")
	}
}

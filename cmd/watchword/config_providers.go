package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
)

// This file reads the setting sign-in-with of the YAML file, a list of external providers. It
// is the only setting that is not a flag, because a list of entries has no readable form on a
// command line. The secrets of the providers can come from the environment or from files, like
// all secrets.

// signInWith is the key of the list in the YAML file. The environment variables with secrets of
// providers begin with providerPrefix.
const (
	signInWith     = "sign-in-with"
	providerPrefix = envPrefix + "SIGN_IN_WITH_"
)

// A providerSetting is one entry of sign-in-with.
type providerSetting struct {
	options    providers.Options
	secretFile string // client-secret-file; a variable takes precedence
	place      string // path:line, for messages
}

// providerKeys are the keys of an entry. Each function reads a value into the entry, and
// returns false if it can't.
var providerKeys = map[string]func(*providerSetting, *yaml.Node) bool{
	"id":                 func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.options.ID) },
	"kind":               func(p *providerSetting, n *yaml.Node) bool { return readText(n, (*string)(&p.options.Kind)) },
	"name":               func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.options.Name) },
	"client-id":          func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.options.ClientID) },
	"client-secret-file": func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.secretFile) },
	"tenant":             func(p *providerSetting, n *yaml.Node) bool { return readTexts(n, &p.options.Tenants) },
	"team-id":            func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.options.TeamID) },
	"key-id":             func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.options.KeyID) },
	"issuer":             func(p *providerSetting, n *yaml.Node) bool { return readText(n, &p.options.Issuer) },
	"scopes":             func(p *providerSetting, n *yaml.Node) bool { return readTexts(n, &p.options.Scopes) },
	"trust-email":        func(p *providerSetting, n *yaml.Node) bool { return readSwitch(n, &p.options.TrustEmail) },
	"trust-mfa":          func(p *providerSetting, n *yaml.Node) bool { return readSwitch(n, &p.options.TrustMFA) },
	// The key sign-up is positive, like the setting signup. The field NoSignUp has the opposite
	// value, so that its zero value is the default.
	"sign-up": func(p *providerSetting, n *yaml.Node) bool {
		signUp := true
		ok := readSwitch(n, &signUp)
		p.options.NoSignUp = !signUp
		return ok
	},
}

// readText reads a text. It refuses an empty value, because an operator who writes a key wants
// to set something.
func readText(n *yaml.Node, into *string) bool {
	text, ok := scalarText(n)
	*into = text
	return ok && text != ""
}

// readTexts reads one text or a list of texts. Most installations have only one tenant and one
// additional scope, and can write them without a list.
func readTexts(n *yaml.Node, into *[]string) bool {
	if text, ok := scalarText(n); ok && text != "" {
		*into = []string{text}
		return true
	}
	return n.Decode(into) == nil && len(*into) > 0
}

// readSwitch accepts true and false only. YAML itself would also read yes and on, which other
// settings refuse. A misspelled word is a fault.
func readSwitch(n *yaml.Node, into *bool) bool {
	text, ok := scalarText(n)
	*into = text == "true"
	return ok && (text == "true" || text == "false")
}

// readProviders records a fault in an entry with its line, and still reads the other entries.
func (s *sources) readProviders(path string, list *yaml.Node) {
	if list.Kind != yaml.SequenceNode {
		s.addFault(fmt.Sprintf("%s:%d", path, list.Line),
			"sign-in-with is not a list. Write entries as docs/sign-in-with.md shows.")
		return
	}
	// An entry with a fault is kept, so that its other faults are found in the same run.
	for _, node := range list.Content {
		// Messages name the line of the entry's first key as its place.
		entry := providerSetting{place: fmt.Sprintf("%s:%d", path, node.Line)}
		if node.Kind != yaml.MappingNode {
			s.addFault(entry.place, "is not an entry of sign-in-with. Write lines of key: value below a hyphen.")
			continue
		}
		// The parser accepts a key that occurs twice in an entry. The later value takes effect,
		// as in other programs.
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			where := fmt.Sprintf("%s:%d", path, key.Line)
			read, known := providerKeys[key.Value]
			switch {
			// The list of keys is short enough to print, so the message does not guess the
			// nearest name.
			case !known:
				s.addFault(where, fmt.Sprintf("%q is not a key of sign-in-with. Write one of %s.", key.Value,
					strings.Join(sortedKeys(providerKeys), ", ")))
			case !read(&entry, value):
				s.addFault(where, key.Value+" has no readable value. Write a text, a list for scopes, or true or false.")
			}
		}
		s.providers = append(s.providers, entry)
	}
}

// secretVariable returns the variable of a provider's secret. Ids have no underscores, so two
// ids never share a variable.
func secretVariable(id string) string {
	// The prefix keeps these variables apart from those of settings.
	return providerPrefix + strings.ToUpper(strings.ReplaceAll(id, "-", "_")) + "_CLIENT_SECRET"
}

// addProviders completes the entries with their secrets and checks them. A variable with a
// secret takes precedence over the file that the entry names.
func (s *sources) addProviders(settings *Settings) {
	used := map[string]bool{}
	// After a fault, the other entries are still checked.
	for i := range s.providers {
		entry := &s.providers[i]
		entry.options.RedirectURI = federation.RedirectURI(settings.PublicURL, entry.options.ID)
		name := secretVariable(entry.options.ID)
		used[name], used[name+"_FILE"] = true, true
		// The environment takes precedence over the YAML file, as for other secrets.
		path := entry.secretFile
		if s.providerSecrets[name] == "" && s.providerSecrets[name+"_FILE"] != "" {
			path = s.providerSecrets[name+"_FILE"]
		}
		switch secret := s.providerSecrets[name]; {
		case secret != "":
			entry.options.ClientSecret = watchword.Secret(secret)
		case path != "":
			// The mode of the file is not checked, because orchestrators choose it.
			text, err := os.ReadFile(path)
			if err != nil {
				s.addFault(entry.place, plainFileError(err)+". Write the path of a file that holds the secret.")
				continue
			}
			entry.options.ClientSecret = watchword.Secret(strings.TrimRight(string(text), "\r\n"))
		default:
			s.addFault(entry.place, fmt.Sprintf("%q has no secret. Write client-secret-file, or set %s.", entry.options.ID,
				name))
			continue
		}
		s.checkProvider(entry)
	}
	// A variable of a provider that does not exist is most often a misspelled id.
	for _, name := range sortedKeys(s.providerSecrets) {
		if !used[name] {
			s.addFault(name, "belongs to no entry of sign-in-with. Write an entry with this id into the file, or remove it.")
		}
	}
	settings.Providers = s.providers
}

// checkProvider records a fault for an entry that package providers or package federation would
// refuse. It sends no request to the provider; only `watchword doctor` does.
func (s *sources) checkProvider(entry *providerSetting) {
	if !federation.IsID(entry.options.ID) {
		s.addFault(entry.place, fmt.Sprintf("the id %q is not valid. Write lower case letters, digits and hyphens.",
			entry.options.ID))
		return
	}
	same := func(p providerSetting) bool { return p.options.ID == entry.options.ID }
	if first := slices.IndexFunc(s.providers, same); &s.providers[first] != entry {
		s.addFault(entry.place, fmt.Sprintf("the id %q occurs twice. Write another one.", entry.options.ID))
	}
	// The texts of these errors are for operators, and have no secrets.
	if _, err := providers.New(entry.options); err != nil {
		s.addFault(entry.place, fmt.Sprintf("%q: %s See docs/sign-in-with.md.", entry.options.ID, twoSentences(err)))
	}
}

// sparePasskeyFinder returns the function for federation.Options.Spare. That function returns
// the id of a passkey with which a user can sign in without another proof. With passkeys=off,
// the function finds no passkey. sparePasskeyFinder is in this package, because packages
// federation and factors don't import each other.
func (s *Settings) sparePasskeyFinder(on *stack) func(context.Context, federation.Tx, watchword.UserID) (string,
	error) {
	manager := s.newFactorManager(on)
	return func(ctx context.Context, tx federation.Tx, id watchword.UserID) (string, error) {
		return manager.Spare(ctx, tx.(factors.Tx), id)
	}
}

// providerIDs returns the ids of the providers in sign-in-with. Users can sign in with these
// providers only.
func (s *Settings) providerIDs() (ids []string) {
	for _, entry := range s.Providers {
		ids = append(ids, entry.options.ID)
	}
	return ids
}

// newFederationManager sends no request, so the start does not wait for a provider.
func (s *Settings) newFederationManager(on *stack) (*federation.Manager, error) {
	// The loop keeps the order of the file, because the sign-in page shows the buttons in this
	// order.
	options := federation.Options{LinkProven: s.LinkProven == "auto", Spare: s.sparePasskeyFinder(on)}
	for _, entry := range s.Providers {
		provider, err := providers.New(entry.options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.place, err)
		}
		options.Providers = append(options.Providers, provider)
	}
	return federation.New(on.engine, on.store.Federation(), options)
}

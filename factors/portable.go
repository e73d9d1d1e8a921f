package factors

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/factorfile"
	"github.com/watchword-auth/watchword/internal/passkey"
	"github.com/watchword-auth/watchword/internal/storable"
	"github.com/watchword-auth/watchword/internal/totp"
)

// Factors in files of exported accounts. A file has no recovery codes, because the store has only their MACs
// under a key of this installation. After an import, the user creates new codes.

// Portable returns the factors of accounts in the format of a file: a JSON list, oldest first.
// Accounts that never had a factor cost no query.
//
// Unstable: for the export of accounts.
func (m *Manager) Portable(
	ctx context.Context, users []watchword.User,
) (byUser map[watchword.UserID]watchword.Secret, err error) {
	err = m.store.View(ctx, func(tx Tx) error {
		byUser = map[watchword.UserID]watchword.Secret{}
		for _, u := range users {
			if u.FactorsChangedAt.IsZero() {
				continue
			}
			all, err := tx.Factors(ctx, u.ID)
			if err != nil {
				return err
			}
			list := make([]factorfile.Factor, len(all))
			for n, f := range all {
				if list[n], err = m.exportFactor(f); err != nil {
					return err
				}
			}
			if len(list) > 0 {
				byUser[u.ID] = watchword.Secret(factorfile.Text(list))
			}
		}
		return nil
	})
	return byUser, err
}

func (m *Manager) exportFactor(f Factor) (factorfile.Factor, error) {
	out := factorfile.Factor{
		Kind: string(f.Kind), Name: f.Name, Credential: f.CredentialID, Record: f.Record, Unproven: f.Unproven,
		Counter: f.Counter, CreatedAt: f.CreatedAt.UTC(),
	}
	if !f.LastUsedAt.IsZero() {
		out.LastUsedAt = f.LastUsedAt.UTC()
	}
	if f.Kind == KindPasskey {
		record, err := passkey.Parse(f.Record)
		record.Handle, out.UserHandle = nil, m.passkeyUserHandle(f)
		out.Record = record.Text()
		return out, err
	}
	secret, err := m.engine.Open(watchword.FactorContext(f.ID), f.Sealed)
	out.Secret = totp.Text(secret)
	return out, err
}

// Imports adds the factors in a file to the accounts that an import creates.
//
// Unstable: for the import of accounts.
type Imports struct{ manager *Manager }

// Imports returns an Imports, which adds factors from a file to new accounts.
//
// Unstable: for the import of accounts.
func (m *Manager) Imports() Imports { return Imports{m} }

// Problem returns why an account can't have these factors, or "". It stores no data.
func (i Imports) Problem(ctx context.Context, tx watchword.Tx, list watchword.Secret) (string, error) {
	all, err := factorfile.Parse(string(list))
	if err != nil {
		return "The second factors can't be read: " + err.Error() + ".", nil
	}
	_, problem := i.manager.convertFileFactors("", all, time.Time{})
	if problem != "" {
		return problem, nil
	}
	for _, f := range all {
		if f.Credential == "" {
			continue
		}
		_, err := tx.(Tx).FactorByCredential(ctx, f.Credential) //nolint:forcetypeassert // each store's Tx is a factors.Tx
		if err == nil {
			return "A passkey of this account belongs to another account here.", nil
		}
		if !errors.Is(err, watchword.ErrNotFound) {
			return "", err
		}
	}
	return "", nil
}

// Add inserts the factors of a new account, in the transaction that inserts the account.
func (i Imports) Add(
	ctx context.Context, tx watchword.Tx, id watchword.UserID, text watchword.Secret, now time.Time,
) error {
	all, err := factorfile.Parse(string(text))
	if err != nil {
		return err
	}
	list, problem := i.manager.convertFileFactors(id, all, now)
	if problem != "" {
		return errors.New(problem)
	}
	into := tx.(Tx) //nolint:forcetypeassert // each store's Tx is a factors.Tx
	for _, f := range list {
		inserted, err := into.InsertFactor(ctx, f)
		if err == nil && !inserted {
			err = errors.New("another import has just added the same passkey")
		}
		if err != nil {
			return err
		}
	}
	return into.CountFactors(ctx, id, now)
}

// convertFileFactors returns the reason as problem if one of the factors can't be imported.
func (m *Manager) convertFileFactors(
	id watchword.UserID, all []factorfile.Factor, now time.Time,
) (list []Factor, problem string) {
	for _, from := range all {
		if refusal := checkFactorLimit(list, Kind(from.Kind)); refusal != nil {
			return nil, "The account has more than 2 authenticator apps or more than 10 passkeys."
		}
		f := Factor{ID: newID(), UserID: id, Kind: Kind(from.Kind), Name: importedName(from.Name), Counter: from.Counter,
			Unproven: from.Unproven, CreatedAt: from.CreatedAt, LastUsedAt: from.LastUsedAt}
		if f.CreatedAt.IsZero() || f.CreatedAt.After(now) {
			f.CreatedAt = now
		}
		if f.Kind == KindTOTP {
			problem = m.convertTOTP(&f, from)
		} else {
			problem = m.convertPasskey(&f, from)
		}
		if problem != "" {
			return nil, problem
		}
		list = append(list, f)
	}
	return list, ""
}

// importedName returns "" for a label that is not a valid name. Other systems allow any label, and an invalid label
// must not stop the import of the account.
func importedName(label string) string {
	characters := []rune(strings.TrimSpace(storable.ToLabel(label)))
	return strings.TrimSpace(string(characters[:min(len(characters), maxNameLength)]))
}

func (m *Manager) convertTOTP(f *Factor, from factorfile.Factor) (problem string) {
	secret, _, err := totp.Parse(from.Secret)
	if err != nil {
		return "The secret of an authenticator app can't be used: " + err.Error() + "."
	}
	f.Name, f.Unproven = cmp.Or(f.Name, "Authenticator app"), false
	f.Sealed = m.engine.Seal(watchword.FactorContext(f.ID), secret)
	return ""
}

// convertPasskey keeps the user handle in the file, because the passkey returns this handle at a sign-in. The
// installation that exported the passkey may compute handles with a different key.
func (m *Manager) convertPasskey(f *Factor, from factorfile.Factor) (problem string) {
	const unusable = "A passkey of this account can't be used: its record, id or user handle is damaged."
	record, err := passkey.Parse(from.Record)
	id, idErr := passkey.DecodeID(from.Credential)
	if err != nil || idErr != nil || len(record.Key) == 0 || len(id) == 0 || len(from.UserHandle) > 64 ||
		passkey.EncodeID(id) != from.Credential || from.Counter < 0 {
		return unusable
	}
	if !bytes.Equal(from.UserHandle, m.userHandle(f.UserID)) {
		record.Handle = from.UserHandle
	}
	f.Name, f.Sealed = cmp.Or(f.Name, "Passkey"), []byte{}
	f.CredentialID, f.Record = from.Credential, record.Text()
	return ""
}

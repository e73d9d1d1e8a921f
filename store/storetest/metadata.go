package storetest

import (
	"context"
	"fmt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/metadata"
)

var metadataTests = map[string]func(suite){
	"MetadataIsWrittenByTheReaderOfItsVersion": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		one := metadata.Metadata{Version: 1, Public: `{"plan":"pro"}`, Private: `{"note":"é"}`}
		two := metadata.Metadata{Version: 2, Public: "", Private: `{}`}
		wantCompleteFixture(s, one)
		s.wantUpdate(true, "first", setMetadata(u.ID, one, 0))
		s.wantUpdate(false, "first again", setMetadata(u.ID, two, 0))
		s.wantMetadata(u.ID, one)
		s.wantUpdate(true, "second", setMetadata(u.ID, two, 1))
		s.wantUpdate(false, "of an old version", setMetadata(u.ID, one, 1))
		s.wantMetadata(u.ID, two)
		s.wantMetadata(other.ID, metadata.Metadata{})
		s.wantUpdate(true, "another account", setMetadata(other.ID, one, 0))
	},

	"MetadataIsReadWithUserAndSession": func(s suite) {
		u := s.addUser(1)
		session := s.addSession(Session(u.ID, 1))
		read := func(want string) {
			s.Helper()
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				_, bySession, err := tx.Session(ctx, session.ID)
				byEmail, err2 := tx.UserByEmail(ctx, u.Email)
				got := []string{bySession.Metadata, byEmail.Metadata, s.readUser(u.ID).Metadata}
				wantEqual(s, "metadata", got, []string{want, want, want})
				return firstError(err, err2)
			})
		}
		read("")
		s.wantUpdate(true, "first", setMetadata(u.ID, metadata.Metadata{Version: 1, Public: `{"a":1}`}, 0))
		read(`{"a":1}`)
		s.wantUpdate(true, "second", setMetadata(u.ID, metadata.Metadata{Version: 2, Public: `{"a":2}`}, 1))
		read(`{"a":2}`)
	},

	"PrivateMetadataIsReadByARangeOfAddresses": func(s suite) {
		want := map[watchword.UserID]string{}
		for n := range 5 {
			u := s.addUser(n)
			m := metadata.Metadata{Version: 1, Private: fmt.Sprintf(`{"n":%d}`, n)}
			switch n {
			case 0: // no row
				continue
			case 2:
				m.Private = ""
			case 1, 3:
				want[u.ID] = m.Private
			}
			s.wantUpdate(true, "write", setMetadata(u.ID, m, 0))
		}
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			got, err := tx.(metadata.Tx).PrivateMetadata(ctx, User(0).Email, User(3).Email)
			wantEqual(s, "private objects", got, want)
			return err
		})
	},

	"MetadataIsDeletedWithTheUser": func(s suite) {
		u := s.addUser(1)
		s.wantUpdate(true, "first", setMetadata(u.ID, metadata.Metadata{Version: 1, Public: `{"a":1}`}, 0))
		s.wantUpdate(true, "delete", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, u.ID)
		})
		s.wantMetadata(u.ID, metadata.Metadata{})
	},
}

func setMetadata(
	id watchword.UserID, m metadata.Metadata, was int64,
) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.(metadata.Tx).SetMetadata(ctx, id, m, was)
	}
}

func (s suite) wantMetadata(id watchword.UserID, want metadata.Metadata) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
		got, err := tx.(metadata.Tx).Metadata(ctx, id)
		wantEqual(s, "metadata", got, want)
		return err
	})
}

package watchword_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/seal"
)

var newMaster = []byte("another master key, of 32 bytes!")

func (r *rig) storedKeys(t *testing.T) (keys []watchword.Key) {
	t.Helper()
	must(t, r.store.View(t.Context(), func(tx watchword.Tx) (err error) {
		keys, err = tx.Keys(t.Context())
		return err
	}))
	return keys
}

func (r *rig) startUnderMaster(t *testing.T, master []byte) *rig {
	t.Helper()
	again := *r
	again.opts.MasterKey = master
	engine, err := watchword.NewForTest(t.Context(), r.store, again.opts)
	must(t, err)
	t.Cleanup(engine.Close)
	again.Engine = engine
	return &again
}

func (r *rig) resealAndStart(t *testing.T) *rig {
	t.Helper()
	must(t, r.Operator().Reseal(t.Context(), newMaster))
	return r.startUnderMaster(t, newMaster)
}

// KEY-4
func TestTokensStayValidAfterAReseal(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		in := r.signUp(t, "ada@example.com")
		r.deliverMail(t)
		link := r.post.lastMail(t, watchword.MailVerify)
		must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", laptop)) // this mail is sent after the reseal
		imported, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
			{ID: "7", Email: "bob@example.com"},
			{ID: "8", Email: "eve@example.com", PasswordHash: peppered(t, somePepper), Pepper: somePepper},
		})
		must(t, err)

		r = r.resealAndStart(t)
		r.authenticate(t, in)
		again, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
		must(t, err)
		r.authenticate(t, again)
		known := laptop
		known.DeviceToken = in.DeviceToken
		if back := r.login(t, "ada@example.com", known); back.DeviceToken != in.DeviceToken {
			t.Error("the known device is not recognised")
		}
		_, err = r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
			Token: link.Token, Password: goodPassword, Client: laptop})
		must(t, err)
		r.deliverMail(t)
		must(t, r.ResetPassword(t.Context(), r.post.lastMail(t, watchword.MailReset).Token, otherPassword, laptop))
		r.login(t, "eve@example.com", laptop) // this hash needs the pepper
		twice, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
			{ID: "7", Email: "bob@example.com"}})
		must(t, err)
		if !twice[0].There || twice[0].User.ID != imported[0].User.ID {
			t.Errorf("the repeated import returns another id: %+v", twice[0])
		}
		results, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
			{ID: "9", Email: "zoe@example.com", PasswordHash: peppered(t, somePepper), Pepper: somePepper},
		})
		must(t, err)
		peppers := 0
		for _, key := range r.storedKeys(t) {
			if key.Use == watchword.KeyPepper {
				peppers++
			}
		}
		if results[0].Problems != nil || peppers != 1 {
			t.Errorf("the pepper is stored %d times; %+v", peppers, results[0].Problems)
		}
	})
}

// KEY-4
func TestWaitingSignUpSurvivesAReseal(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
		for _, email := range []string{"ada@example.com", "bob@example.com"} {
			_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: email, Password: goodPassword, Name: "Ada", Client: laptop})
			must(t, err)
		}
		r.deliverMail(t)
		link := r.post.lastMail(t, watchword.MailVerify)
		r = r.resealAndStart(t)
		in, err := r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
			Token: link.Token, Password: goodPassword, Client: laptop})
		must(t, err)
		if in == nil || in.User.Name != "Ada" {
			t.Errorf("signed in as %+v", in)
		}
	})
}

// KEY-4
func TestOldMasterKeyOpensNoKeyAfterAReseal(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	before := r.storedKeys(t)
	must(t, r.Operator().Reseal(t.Context(), newMaster))
	old, err := seal.New(r.opts.MasterKey)
	must(t, err)
	now, err := seal.New(newMaster)
	must(t, err)
	after := r.storedKeys(t)
	if len(after) != len(before) || len(after) < 7 {
		t.Fatalf("%d keys before, %d after", len(before), len(after))
	}
	for i, key := range after {
		bound := string(key.Use) + " " + key.Alg + " " + key.ID
		if _, err := old.Open(bound, key.Sealed); err == nil {
			t.Errorf("the old master key opens %s", bound)
		}
		was, err := old.Open(bound, before[i].Sealed)
		must(t, err)
		is, err := now.Open(bound, key.Sealed)
		if err != nil || !bytes.Equal(was, is) {
			t.Errorf("the reseal changed the secret of %s: %v", bound, err)
		}
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Errorf("not ready before it has read the new keys: %v", err)
	}
	if _, err := r.Operator().Keys(t.Context()); !errors.Is(err, watchword.ErrMasterKey) {
		t.Errorf("keys are read with the old master key: %v", err)
	}
	if err := r.Ready(t.Context()); !errors.Is(err, watchword.ErrMasterKey) {
		t.Errorf("a server with the old master key is ready: %v", err)
	}
	if err := r.Operator().Reseal(t.Context(), newMaster); !errors.Is(err, watchword.ErrMasterKey) {
		t.Errorf("the old master key reseals again: %v", err)
	}
	if err := r.startUnderMaster(t, newMaster).Operator().Reseal(t.Context(), []byte("short")); err == nil {
		t.Error("a short master key is accepted")
	}
}

// Earlier releases derived these secrets from the master key. The first start of this release must store the derived
// secrets, so that the MACs of earlier releases stay valid.
//
// KEY-4
func TestFirstStartStoresTheSecretsThatEarlierReleasesDerived(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	box, err := seal.New(r.opts.MasterKey)
	must(t, err)
	derived := map[watchword.KeyUse]string{
		watchword.KeyMail: "mail token", watchword.KeyImport: "import id", watchword.KeyDevice: "known device",
		watchword.KeyRecovery: "recovery code", watchword.KeyService: "service key",
	}
	stored := func() (n int) {
		for _, key := range r.storedKeys(t) {
			purpose, ok := derived[key.Use]
			if !ok {
				continue
			}
			secret, err := box.Open(string(key.Use)+" "+key.Alg+" "+key.ID, key.Sealed)
			if err != nil || !bytes.Equal(secret, box.Derive(purpose)) {
				t.Errorf("%s is not the derived secret: %v", key.Use, err)
			}
			n++
		}
		return n
	}
	if n := stored(); n != len(derived) {
		t.Fatalf("%d secrets are stored", n)
	}
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error { // an earlier release has no such rows
		for _, key := range r.storedKeys(t) {
			if derived[key.Use] != "" {
				if err := tx.DeleteKey(t.Context(), key.ID); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() { r.startUnderMaster(t, r.opts.MasterKey) })
	}
	starts.Wait()
	if n := stored(); n != len(derived) {
		t.Errorf("%d secrets are stored after four starts at once", n)
	}
}

// A key rotation under the old master key and a reseal must be serialized: the second transaction must see the result
// of the first.
//
// KEY-4
func TestNoKeyIsAddedUnderTheOldMasterKeyDuringAReseal(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		masters := [][]byte{r.opts.MasterKey, newMaster}
		for round := range 20 {
			one, other := r.startUnderMaster(t, masters[round%2]), r.startUnderMaster(t, masters[round%2])
			r.clock.advance(91 * 24 * time.Hour) // makes a rotation of keys due on SQLite; PostgreSQL has its own clock
			var writers sync.WaitGroup
			writers.Go(func() { _, _ = other.Operator().Keys(context.WithoutCancel(t.Context())) })
			for n := range 4 {
				pepper := fmt.Sprintf("pepper %d of round %d", n, round)
				writers.Go(func() {
					writer := accountimport.New(other.Engine)
					_, _ = writer.Import(context.WithoutCancel(t.Context()), []accountimport.Account{
						{Email: fmt.Sprintf("user%d-%d@example.com", round, n), PasswordHash: peppered(t, pepper),
							Pepper: watchword.Secret(pepper)},
					})
				})
			}
			must(t, one.Operator().Reseal(t.Context(), masters[(round+1)%2]))
			writers.Wait()
			if err := watchword.CheckKeys(t.Context(), r.store, masters[(round+1)%2]); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	})
}

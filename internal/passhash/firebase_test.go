package passhash_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// The sample in https://github.com/firebase/scrypt (README.md), whose password is "user1password".
const (
	firebaseHash = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
	firebaseSalt = "42xEC+ixf3L2lw=="
)

func firebaseProject() passhash.Firebase {
	return passhash.Firebase{
		SignerKey:     "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
		SaltSeparator: "Bw==",
		Rounds:        8,
		MemCost:       14,
	}
}

func TestFirebasePasswordVerifiesWithoutTheSignerKey(t *testing.T) {
	t.Parallel()
	p := firebaseProject()
	encoded, err := p.Adopt(firebaseHash, firebaseSalt)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$firebase-scrypt$ln=14,r=8$42xEC+ixf3L2lwc$") ||
		strings.Contains(encoded, p.SignerKey[:16]) || strings.Contains(encoded, firebaseHash[:16]) {
		t.Errorf("stored as %s", encoded)
	}
	if !verify(t, encoded, "user1password") || verify(t, encoded, "user2password") {
		t.Error("the password is rejected, or another one is accepted")
	}
	if again := adopt(t, encoded); again != encoded {
		t.Errorf("%s: the adopted hash becomes %s", encoded, again)
	}
	url := strings.NewReplacer("+", "-", "/", "_", "=", "")
	p.SignerKey, p.SaltSeparator = url.Replace(p.SignerKey), url.Replace(p.SaltSeparator)
	if same, err := p.Adopt(url.Replace(firebaseHash), url.Replace(firebaseSalt)); err != nil || same != encoded {
		t.Errorf("in the alphabet of URLs: got %q, %v", same, err)
	}
}

func TestFirebaseRefusalsExplainWithoutTheHash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change     func(*passhash.Firebase)
		hash, salt string
		problem    string
	}{
		{func(p *passhash.Firebase) { p.SignerKey = "" }, firebaseHash, firebaseSalt,
			"base64_signer_key of the project is not base64, or empty"},
		{func(p *passhash.Firebase) { p.SignerKey = "*" + p.SignerKey }, firebaseHash, firebaseSalt,
			"base64_signer_key"},
		{func(p *passhash.Firebase) { p.SignerKey = p.SignerKey[:40] }, firebaseHash, firebaseSalt,
			"the passwordHash has 64 bytes and the signer key 30"},
		{func(p *passhash.Firebase) { p.SaltSeparator = "B*" }, firebaseHash, firebaseSalt, "base64_salt_separator"},
		{func(p *passhash.Firebase) { p.Rounds = 0 }, firebaseHash, firebaseSalt, "invalid"},
		{func(p *passhash.Firebase) { p.MemCost = 30 }, firebaseHash, firebaseSalt,
			"too high for a server ($firebase-scrypt$ln=30,r=8)"},
		{nil, "", firebaseSalt, "passwordHash is not base64, or empty"},
		{nil, "*" + firebaseHash, firebaseSalt, "passwordHash is not base64"},
		{nil, firebaseHash, "", "salt is not base64, or empty"},
		{nil, firebaseHash, "*" + firebaseSalt, "salt is not base64"},
		{nil, firebaseHash, strings.Repeat("A", 88), "the salt of the hash has 67 bytes, not 1 to 64"},
	} {
		p := firebaseProject()
		if c.change != nil {
			c.change(&p)
		}
		encoded, err := p.Adopt(c.hash, c.salt)
		if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%+v, %s, %s: got %q, %v, want %q", p, c.hash, c.salt, encoded, err, c.problem)
			continue
		}
		for _, secret := range []string{firebaseHash[:8], firebaseSalt[:8], firebaseProject().SignerKey[:8]} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error contains a secret: %v", err)
			}
		}
	}
}

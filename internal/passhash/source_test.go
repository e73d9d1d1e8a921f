package passhash_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

const (
	hexSalt      = "30313233343536373839616263646566"
	rawSalt      = "MDEyMzQ1Njc4OWFiY2RlZg==" // base64 of 0123456789abcdef
	discourseTag = "6206f1652302efc945bfd5b77ef0be572ca5a4e62f05dc0388d1a1d3ce873eb5"
	nodeTag      = "d0bba9c87933008803afd503b2b88001ff3bbcc6c26dc6947c3bc53801e4d03d23e450e6eb8dc0d37d5e4e0a170200ad0" +
		"7df75ece3c08b3454371f62b4e92610"
	passportTag = "fd3c395f0e4e534b6088ee5fc2e370b32023fedad44764f252da7ac8508a216be3de240cfb944f67220ea73100687260f" +
		"5c2ff9cfaafc01b1224afbd11f58efb7601181a4ebb42e3b4968c032bd3ab44ab4bc9fbbca69c8e7e5722e6bc4a122abed9eb306b383" +
		"766fbee4a1c3f300b61cb1344eb57d28240b8d1e53fa33fe5bcbf027ed518a10f6017908d77e30459c765a8ae5f734ff59efa8e81461" +
		"3e1018545dbbec456df66abe7f1a5a559717aa7e3fb35a549d604e413f0372241c851dfc9e802a6722320efd8fc06eef3b292ae26cb2" +
		"afdefe1169a7664196ac2d57556d933458b5a609093cd61c34bf04ba5ae55cbb3f5313779c0f224a7551174734016ae7a35bd14090a0" +
		"23ed04c91ae28c1db1eb1fe7605a67f31258091df40f7beadd0967254133b2688c8babb41eb2dd04adaddcf1c38eaaf9bdca7611bdd8" +
		"054ddc2403cab21e4256d54251d80f6295fce241c0aa899636a3c05e8f817e263fbf5de54d9c3774e9002f1781dfa13e11663fddc6dd" +
		"0224b481f2306a0b0836de90e57235110a96e31d23796cfafb64564f1b5a3dace295eaac1f401d2a24375d8cbc3eb37bf9e915aaf8b4" +
		"e2b11d478f340c8f6ef3278d28fd8ae477d5197d0606e6cfe6ed40740ad2268a2f2512b3ca6876b8a4d78699e4fce52cc7a371644b16" +
		"05f77717afe30275da735e5c7590337dc9b46645821609123e4b4d97502ba10"
)

// Source.Adopt must accept the hashes of systems that store salt, algorithm and hash in separate columns. Node.js and
// crypt(3) of glibc created the hashes.
func TestPasswordsInSeveralColumnsVerify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source string
		kept   passhash.Source
	}{
		{"Discourse", passhash.Source{Text: discourseTag, Salt: hexSalt, Algorithm: "$pbkdf2-sha256$i=1000,l=32$"}},
		{"FusionAuth", passhash.Source{Text: "GQ3O7ccm5W98FuR7S4iuGtiO7fwNVls79OjaLdMA5kA=",
			Salt: rawSalt, Algorithm: "salted-pbkdf2-hmac-sha256", Factor: "24000"}},
		{"FusionAuth", passhash.Source{
			Text: "jydOTSfIH/d5oUHpsygqV5X9xJLQc6e", Salt: "abcdefghijklmnopqrstuu", Algorithm: "bcrypt", Factor: "4"}},
		{"Okta", passhash.Source{
			Text: "jydOTSfIH/d5oUHpsygqV5X9xJLQc6e", Salt: "abcdefghijklmnopqrstuu", Algorithm: "BCRYPT", Factor: "4"}},
		{"Casdoor", passhash.Source{Text: "H5R9LZ0QvKxHLm1Lg0IeQXdtUAa+9gf2NeOZns+WHBTpnlaWE/+JwnJ/" +
			"2OXEjNPW5EusP1xxGLqEqjWDbIcGlg==", Salt: rawSalt, Algorithm: "pbkdf2-salt"}},
		{"passport-local-mongoose", passhash.Source{Text: passportTag, Salt: hexSalt}},
		{"a salt beside a whole hash", passhash.Source{
			Text: hashesOfOtherPrograms[3], Salt: "abcdefghijklmnopqrstuu", Algorithm: "bcrypt"}},
		{"scrypt with decoded salt", passhash.Source{Text: hexSalt + ":" + nodeTag, SaltEncoding: passhash.SaltHex}},
	} {
		encoded, err := c.kept.Adopt()
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if !verify(t, encoded, normal) || verify(t, encoded, normal+"s") {
			t.Errorf("%s: the password is rejected, or another one is accepted", c.source)
		}
		if again := adopt(t, encoded); again != encoded {
			t.Errorf("%s: %s becomes %s", c.source, encoded, again)
		}
	}
}

// IMP-2
func TestAmbiguousSaltIsRefused(t *testing.T) {
	t.Parallel()
	const tag = "$YgbxZSMC78lFv9W3fvC+VyylpOYvBdwDiNGh086HPrU" // base64 of discourseTag
	text := "$pbkdf2-sha256$i=1000,l=32$" + hexSalt + tag
	const advice = "--salt-encoding text, hex or base64"
	if _, err := (passhash.Source{Text: text}).Adopt(); err == nil ||
		!strings.Contains(err.Error(), advice) || strings.Contains(err.Error(), hexSalt) {
		t.Error(err)
	}
	for encoding, right := range map[string]bool{
		passhash.SaltText: true, passhash.SaltHex: false, passhash.SaltBase64: false,
	} {
		encoded, err := (passhash.Source{Text: text, SaltEncoding: encoding}).Adopt()
		if err != nil || verify(t, encoded, normal) != right {
			t.Errorf("%s: %v, want right: %v", encoding, err, right)
		}
	}
}

func TestRefusalNamesTheAlgorithmColumn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kept    passhash.Source
		problem string
	}{
		{passhash.Source{Text: discourseTag, Salt: hexSalt}, "does not name the function of the hash"},
		{passhash.Source{Text: discourseTag, Algorithm: "SHA256"}, "the algorithm sha256 can't be checked"},
		{passhash.Source{Text: discourseTag, Salt: hexSalt, Algorithm: "salted-sha256"},
			"the algorithm salted-sha256 can't be checked"},
		{passhash.Source{Text: normal, Algorithm: "plain"}, "the password itself and not a hash"},
		{passhash.Source{Text: discourseTag, Algorithm: discourseTag}, "a bare digest"},
		{passhash.Source{Text: "jydOTSfIH/d5oUHpsygqV5X9xJLQc6e", Salt: "abcdefghijklmnopqrstuu", Algorithm: "bcrypt"},
			"the cost of bcrypt is missing"},
	} {
		if encoded, err := c.kept.Adopt(); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%+v: %q, %v, want %q", c.kept, encoded, err, c.problem)
		}
	}
}

const keyID = "8c1f54a0-90d3-8da0-aa35-15a253f16202"

// Passwords must match the hashes of systems that do not hash the password alone. Meteor hashes the SHA-256 of the
// password, and Devise appends a pepper. crypt(3) of glibc created the hashes, and it reads only 72 bytes.
func TestPrehashedPasswordVerifies(t *testing.T) {
	t.Parallel()
	pepper := []byte(strings.Repeat("pepper", 20))
	for _, c := range []struct {
		text, method, key string
	}{
		{"$2b$04$abcdefghijklmnopqrstuuIvyWZlBcE3WoQXKqRnwrLYJ6nenE0Bq", "sha256-hex", ""},
		{"$2b$04$abcdefghijklmnopqrstuuBET6Z.p6rwLnKTNFSu8pWXIbCTyamTq", passhash.Pepper, keyID},
	} {
		encoded, err := passhash.Prehashed(c.text, c.method, c.key)
		if err != nil || passhash.KeyID(encoded) != c.key || adopt(t, encoded) != encoded {
			t.Fatal(encoded, err)
		}
		for password, want := range map[string]bool{normal: true, normal + "s": false,
			normal + strings.Repeat("pepper", 11): false} {
			if ok, err := passhash.VerifyKeyed(encoded, password, pepper); ok != want || err != nil {
				t.Errorf("%s: %q gives %v, %v", c.method, password, ok, err)
			}
		}
		if c.key == "" {
			continue
		}
		if ok, err := passhash.VerifyKeyed(encoded, normal, []byte("another")); ok || err != nil {
			t.Errorf("another key gives %v, %v", ok, err)
		}
		if ok, err := passhash.Verify(encoded, normal); ok || err == nil {
			t.Errorf("no key gives %v, %v", ok, err)
		}
	}
}

func TestUnsuitableMethodIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, method, key, problem string }{
		{hashesOfOtherPrograms[3], "sha3", "", "there is no method"},
		{hashesOfOtherPrograms[3], "$wp", "", "there is no method"},
		{hashesOfOtherPrograms[3], "sha256-hex", keyID, "needs a key, or has none"},
		{hashesOfOtherPrograms[3], passhash.Pepper, "", "needs a key, or has none"},
		{"$wp$2y$04$abcdefghijklmnopqrstuujv/86KBUqWwIdPp0uRATkCcvgptl1Pm", "sha256-hex", "", "itself names"},
	} {
		if encoded, err := passhash.Prehashed(c.text, c.method, c.key); err == nil ||
			!strings.Contains(err.Error(), c.problem) {
			t.Errorf("%+v: %q, %v", c, encoded, err)
		}
	}
}

package passhash_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

const normal = "correct horse"

// hashesOfOtherPrograms are hashes of the constant normal. hash-wasm (WebAssembly) created those of Argon2id, and
// crypt(3) in C those of bcrypt.
var hashesOfOtherPrograms = []string{
	"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8",
	"$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ",
	"$argon2id$v=19$m=64,t=2,p=1$" +
		"c29tZXNhbHRzb21lc2FsdHNvbWVzYWx0c29tZXNhbHRzb21lc2FsdHNvbWVzYWx0c29tZXNhbHRzb21lc2FsdA$" +
		"C2sSHbJCsLWlh7jauVIs+ceDZKuFSViMpAi+u4z4Lgwym8oY6DWhLY87Sgb3mDbWOMCA5UEk0aGuWkzzR7OQIA",
	"$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
	"$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
	"$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
}

func params(t testing.TB, alg, cost string) passhash.Params {
	t.Helper()
	p, err := passhash.ParseParams(alg, cost)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hash(t testing.TB, p passhash.Params, normal string) string {
	t.Helper()
	encoded, err := passhash.Hash(p, normal)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func verify(t testing.TB, encoded, normal string) bool {
	t.Helper()
	ok, err := passhash.Verify(encoded, normal)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return ok
}

// PW-7
func TestParametersStayBetweenOWASPAndTheServersLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alg, cost string
		problem   string // part of the error, or "" for a valid hash
	}{
		{"argon2id", "", ""},
		{"argon2id", "m=19456,t=2,p=1", ""},
		{"argon2id", "m=47104,t=1,p=1", ""},
		{"argon2id", "m=262144,t=4,p=16", ""},
		{"argon2id", "m=65536,t=16,p=4", ""},
		{"argon2id", "m=19455,t=2,p=1", "write at least m=19456,t=2,p=1"},
		{"argon2id", "m=19456,t=1,p=1", "write at least m=19456,t=2,p=1"},
		{"argon2id", "m=47103,t=1,p=1", "or m=47104,t=1,p=1"},
		{"argon2id", "m=0,t=0,p=0", "is too low"},
		{"argon2id", "m=19456,t=2,p=0", "is too low"},
		{"argon2id", "m=262145,t=2,p=1", "write at most m=262144"},
		{"argon2id", "m=19456,t=17,p=1", "t=16"},
		{"argon2id", "m=19456,t=2,p=17", "p=16"},
		{"argon2id", "m=19456,t=2,p=257", "p=16"},
		{"argon2id", "m=262144,t=5,p=1", "m times t at most 1048576"},
		{"argon2id", "m=4294967296,t=2,p=1", "write it as m=19456,t=2,p=1"},
		{"argon2id", "19456,2,1", "write it as m=19456,t=2,p=1"},
		{"argon2id", "t=2,m=19456,p=1", "write it as m=19456,t=2,p=1"},
		{"argon2id", "m=19456,t=2", "write it as m=19456,t=2,p=1"},
		{"argon2id", "m=19456,t=2,p=1,", "write it as m=19456,t=2,p=1"},
		{"argon2id", "m=19456, t=2, p=1", "write it as m=19456,t=2,p=1"},
		{"argon2id", "m=-1,t=2,p=1", "write it as m=19456,t=2,p=1"},
		{"argon2id", "10", "write it as m=19456,t=2,p=1"},
		{"bcrypt", "", ""},
		{"bcrypt", "10", ""},
		{"bcrypt", "15", ""},
		{"bcrypt", "9", "write a number from 10 to 15"},
		{"bcrypt", "16", "write a number from 10 to 15"},
		{"bcrypt", "m=19456,t=2,p=1", "write a number from 10 to 15"},
		{"scrypt", "", "write argon2id or bcrypt"},
		{"", "", "write argon2id or bcrypt"},
	} {
		_, err := passhash.ParseParams(c.alg, c.cost)
		switch {
		case c.problem == "" && err != nil:
			t.Errorf("%s %q: %v", c.alg, c.cost, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s %q: got %v, want %q", c.alg, c.cost, err, c.problem)
		}
	}
	if params(t, "argon2id", "") != params(t, "argon2id", "m=19456,t=2,p=1") ||
		params(t, "bcrypt", "") != params(t, "bcrypt", "10") {
		t.Error("an empty cost is not the default")
	}
}

// PW-4, PW-7
func TestOnlyTheRightPasswordVerifies(t *testing.T) {
	t.Parallel()
	for alg, prefix := range map[string]string{"argon2id": "$argon2id$v=19$m=19456,t=2,p=1$", "bcrypt": "$2a$10$"} {
		p := params(t, alg, "")
		encoded := hash(t, p, normal)
		if !strings.HasPrefix(encoded, prefix) || strings.Contains(encoded, normal) {
			t.Errorf("%s: %s does not begin with %s", alg, encoded, prefix)
		}
		if encoded == hash(t, p, normal) {
			t.Errorf("%s: two hashes share a salt", alg)
		}
		if !verify(t, encoded, normal) {
			t.Errorf("%s: the password is rejected", alg)
		}
		for _, other := range []string{"", " " + normal, normal + " ", "Correct horse", normal[1:], normal + "\x00"} {
			if verify(t, encoded, other) {
				t.Errorf("%s: %q is accepted, too", alg, other)
			}
		}
	}
}

func TestZeroParamsReturnAnError(t *testing.T) {
	t.Parallel()
	if encoded, err := passhash.Hash(passhash.Params{}, normal); err == nil {
		t.Errorf("got %q", encoded)
	}
}

func TestHashesOfOtherProgramsVerify(t *testing.T) {
	t.Parallel()
	for _, encoded := range hashesOfOtherPrograms {
		if !verify(t, encoded, normal) {
			t.Errorf("%s: the password is rejected", encoded)
		}
		if verify(t, encoded, normal+"s") {
			t.Errorf("%s: another password is accepted", encoded)
		}
	}
}

// PW-4, PW-10
func TestBcryptRefusesPasswordsOver72Bytes(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("0123456789", 7) + "ab"
	const encoded = "$2a$04$a07rXVLfZFPxZ0zja0Dqb.v4bGeom9w3OcZt5RnRoc91CFtgJiIx2"
	if !verify(t, encoded, longest) {
		t.Error("72 bytes are rejected")
	}
	if verify(t, encoded, longest+"c") || verify(t, encoded, longest[:71]) {
		t.Error("73 or 71 bytes are accepted")
	}
	p := params(t, "bcrypt", "")
	if _, err := passhash.Hash(p, longest+"c"); !errors.Is(err, passhash.ErrTooLong) {
		t.Errorf("hash of 73 bytes: got %v, want ErrTooLong", err)
	}
	if !verify(t, hash(t, p, longest), longest) {
		t.Error("72 bytes can't be hashed")
	}
	argon := hash(t, params(t, "argon2id", ""), longest+"c")
	if !verify(t, argon, longest+"c") || verify(t, argon, longest) {
		t.Error("Argon2id ignores the 73rd byte")
	}
}

// These hashes must be refused before any work. Some of them would be expensive to verify.
func TestUnreadableHashIsRefusedWithoutWork(t *testing.T) {
	t.Parallel()
	const salt, tag = "c29tZXNhbHRzb21lc2FsdA", "bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8"
	argon := func(cost, salt, tag string) string { return "$argon2id$v=19$" + cost + "$" + salt + "$" + tag }
	const bcrypt53 = "abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	for name, encoded := range map[string]string{
		"nothing":               "",
		"plain text":            normal,
		"ten gibibytes":         argon("m=10485760,t=1,p=1", salt, tag),
		"a terabyte":            argon("m=4294967295,t=4294967295,p=1", salt, tag),
		"many passes":           argon("m=64,t=17,p=1", salt, tag),
		"much work":             argon("m=262144,t=5,p=1", salt, tag),
		"many lanes":            argon("m=4096,t=1,p=17", salt, tag),
		"lanes that overflow":   argon("m=64,t=1,p=257", salt, tag),
		"no lanes":              argon("m=64,t=1,p=0", salt, tag),
		"no passes":             argon("m=64,t=0,p=1", salt, tag),
		"too little memory":     argon("m=31,t=1,p=4", salt, tag),
		"leading zero":          argon("m=064,t=1,p=1", salt, tag),
		"leading plus":          argon("m=+64,t=1,p=1", salt, tag),
		"another order":         argon("t=1,m=64,p=1", salt, tag),
		"a parameter more":      argon("m=64,t=1,p=1,keyid=x", salt, tag),
		"long salt":             argon("m=64,t=1,p=1", strings.Repeat("A", 88), tag),
		"no salt":               argon("m=64,t=1,p=1", "", tag),
		"short tag":             argon("m=64,t=1,p=1", salt, "YWJjZGVmZ2hpamtsbW5v"),
		"long tag":              argon("m=64,t=1,p=1", salt, strings.Repeat("A", 88)),
		"a megabyte of tag":     argon("m=64,t=1,p=1", salt, strings.Repeat("A", 1<<20)),
		"no tag":                argon("m=64,t=1,p=1", salt, ""),
		"padding":               argon("m=64,t=1,p=1", salt+"==", tag+"="),
		"bits to spare":         argon("m=64,t=1,p=1", salt, tag[:42]+"9"),
		"line break in base64":  argon("m=64,t=1,p=1", salt, tag[:20]+"\n"+tag[20:]),
		"space after":           argon("m=64,t=1,p=1", salt, tag) + " ",
		"a part more":           argon("m=64,t=1,p=1", salt, tag) + "$",
		"another version":       "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + tag,
		"no version":            "$argon2id$m=64,t=1,p=1$" + salt + "$" + tag,
		"argon2d":               "$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + tag,
		"argon2i of 1 GiB":      "$argon2i$v=19$m=1048576,t=1,p=1$" + salt + "$" + tag,
		"Django's argon2":       "argon2" + argon("m=64,t=1,p=1", salt, tag),
		"scrypt of 512 MiB":     "$scrypt$ln=19,r=8,p=1$" + salt + "$" + tag,
		"scrypt in a terabyte":  "$scrypt$ln=30,r=8,p=1$" + salt + "$" + tag,
		"scrypt, much work":     "$scrypt$ln=18,r=8,p=2$" + salt + "$" + tag,
		"scrypt, many lanes":    "$scrypt$ln=4,r=8,p=17$" + salt + "$" + tag,
		"scrypt, large blocks":  "$scrypt$ln=4,r=33,p=1$" + salt + "$" + tag,
		"scrypt, ln overflows":  "$scrypt$ln=67,r=8,p=1$" + salt + "$" + tag,
		"scrypt of nothing":     "$scrypt$ln=0,r=8,p=1$" + salt + "$" + tag,
		"scrypt, no lanes":      "$scrypt$ln=4,r=8,p=0$" + salt + "$" + tag,
		"scrypt, other order":   "$scrypt$r=8,ln=4,p=1$" + salt + "$" + tag,
		"Firebase of 512 MiB":   "$firebase-scrypt$ln=19,r=8$" + salt + "$" + tag,
		"Firebase with lanes":   "$firebase-scrypt$ln=4,r=8,p=1$" + salt + "$" + tag,
		"PBKDF2, long work":     "$pbkdf2-sha256$i=2097153$" + salt + "$" + tag,
		"PBKDF2, long SHA-512":  "$pbkdf2-sha512$i=1048577$" + salt + "$" + tag,
		"PBKDF2 of nothing":     "$pbkdf2-sha256$i=0$" + salt + "$" + tag,
		"PBKDF2, no name":       "$pbkdf2-sha256$1000$" + salt + "$" + tag,
		"PBKDF2, two blocks":    "$pbkdf2-sha256$i=1000$" + salt + "$" + tag + tag,
		"PBKDF2 with MD5":       "$pbkdf2-md5$i=1000$" + salt + "$" + tag,
		"PBKDF2, passlib's +":   "$pbkdf2-sha256$i=1000$" + salt + "$." + tag[1:],
		"Django's PBKDF2":       "pbkdf2_sha256$1000$" + salt + "$" + tag + "=",
		"bcrypt of SHA-256, 31": "bcrypt_sha256$$2b$31$" + bcrypt53,
		"Django's bcrypt":       "bcrypt$$2b$04$" + bcrypt53,
		"bcrypt 2":              "$2$04$" + bcrypt53,
		"bcrypt 2x":             "$2x$04$" + bcrypt53,
		"bcrypt at cost 3":      "$2a$03$" + bcrypt53,
		"bcrypt at cost 16":     "$2a$16$" + bcrypt53,
		"bcrypt at cost 31":     "$2a$31$" + bcrypt53,
		"bcrypt at cost +4":     "$2a$+4$" + bcrypt53,
		"bcrypt too short":      "$2a$04$" + bcrypt53[1:],
		"bcrypt too long":       "$2a$04$" + bcrypt53 + "e",
		"bcrypt alphabet":       "$2a$04$" + bcrypt53[:52] + "+",
		"bcrypt line break":     "$2a$04$" + bcrypt53[:52] + "\n",
		"bcrypt without an a":   "$2$a04$" + bcrypt53,
	} {
		ok, err := passhash.Verify(encoded, normal)
		if ok || err == nil {
			t.Errorf("%s: got %v, %v, want an error", name, ok, err)
			continue
		}
		for _, secret := range []string{salt, tag, bcrypt53, normal} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error contains the hash: %v", name, err)
			}
		}
		if !passhash.NeedsRehash(encoded, params(t, "argon2id", "")) {
			t.Errorf("%s: needs no rehash", name)
		}
	}
}

// PW-7, PW-10
func TestNeedsRehashOnlyForWeakerHashes(t *testing.T) {
	t.Parallel()
	const salt, tag = "$c29tZXNhbHRzb21lc2FsdA", "$bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8"
	argon := func(cost string) string { return "$argon2id$v=19$" + cost + salt + tag }
	bcrypt := func(cost string) string {
		return "$2b$" + cost + "$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	}
	const low, high = "m=19456,t=2,p=1", "m=65536,t=3,p=1"
	for _, c := range []struct {
		name      string
		encoded   string
		alg, cost string
		want      bool
	}{
		{"the same", argon(low), "argon2id", low, false},
		{"less memory", argon(low), "argon2id", high, true},
		{"fewer passes", argon("m=65536,t=2,p=1"), "argon2id", high, true},
		{"more of both", argon(high), "argon2id", low, false},
		{"more memory, fewer passes, more work", argon("m=47104,t=1,p=1"), "argon2id", low, false},
		{"more memory, less work", argon("m=30000,t=1,p=1"), "argon2id", low, true},
		{"more work, less memory", argon("m=19456,t=4,p=1"), "argon2id", "m=47104,t=1,p=1", true},
		{"more lanes", argon("m=19456,t=2,p=4"), "argon2id", low, false},
		{"short salt", "$argon2id$v=19$" + low + "$c29tZXNhbHQ" + tag, "argon2id", low, true},
		{"short tag", "$argon2id$v=19$" + low + salt + "$a46CEvbGztkGtdLLPwiqTQ", "argon2id", low, true},
		{"bcrypt to Argon2id", bcrypt("15"), "argon2id", "", true},
		{"the same bcrypt", bcrypt("10"), "bcrypt", "10", false},
		{"weaker bcrypt", bcrypt("04"), "bcrypt", "10", true},
		{"stronger bcrypt", bcrypt("12"), "bcrypt", "10", false},
		{"Argon2id to bcrypt", argon(low), "bcrypt", "15", false},
		{"short salt to bcrypt", "$argon2id$v=19$" + low + "$c29tZXNhbHQ" + tag, "bcrypt", "10", false},
		{"weak Argon2id to bcrypt", argon("m=64,t=1,p=1"), "bcrypt", "10", false},
		{"Argon2i to Argon2id", strings.Replace(argon(high), "2id", "2i", 1), "argon2id", low, true},
		{"Argon2i to bcrypt", strings.Replace(argon(high), "2id", "2i", 1), "bcrypt", "10", false},
		{"bcrypt of SHA-256 to Argon2id", "bcrypt_sha256$" + bcrypt("15"), "argon2id", low, true},
		{"bcrypt of SHA-256 to weaker bcrypt", "bcrypt_sha256$" + bcrypt("12"), "bcrypt", "10", false},
		{"bcrypt of SHA-256 to stronger bcrypt", "bcrypt_sha256$" + bcrypt("09"), "bcrypt", "10", true},
		{"scrypt to Argon2id", "$scrypt$ln=18,r=8,p=1" + salt + tag, "argon2id", low, true},
		{"scrypt to bcrypt", "$scrypt$ln=14,r=8,p=1" + salt + tag, "bcrypt", "10", true},
		{"Firebase to Argon2id", "$firebase-scrypt$ln=14,r=8" + salt + tag, "argon2id", low, true},
		{"Firebase to bcrypt", "$firebase-scrypt$ln=14,r=8" + salt + tag, "bcrypt", "10", true},
		{"PBKDF2 to Argon2id", "$pbkdf2-sha256$i=1000000" + salt + tag, "argon2id", low, true},
		{"PBKDF2 to bcrypt", "$pbkdf2-sha256$i=1000000" + salt + tag, "bcrypt", "10", true},
	} {
		if got := passhash.NeedsRehash(c.encoded, params(t, c.alg, c.cost)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestDummyIsReadableAndMatchesNoPassword(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"argon2id", "bcrypt"} {
		p := params(t, alg, "")
		dummy := passhash.Dummy(p)
		if passhash.NeedsRehash(dummy, p) {
			t.Errorf("%s: %s has another cost", alg, dummy)
		}
		if dummy == passhash.Dummy(p) {
			t.Errorf("%s: two are the same", alg)
		}
		for _, guess := range []string{"", normal} {
			if verify(t, dummy, guess) {
				t.Errorf("%s: %q is its password", alg, guess)
			}
		}
		if made := hash(t, p, normal); len(made) != len(dummy) {
			t.Errorf("%s: %d bytes long, a hash has %d", alg, len(dummy), len(made))
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, encoded := range hashesOfOtherPrograms {
		f.Add(encoded)
	}
	f.Add("$argon2id$v=19$m=64,t=1,p=1$$")
	f.Add("$argon2id$v=19$m=999999999,t=1,p=1$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ")
	f.Add("$2a$31$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e")
	f.Add("$2a$")
	f.Add("bcrypt_sha256$$2b$04$tWJwfcTPRppCXame9fczeuwp9tFfp8wx9x/rLlDd/Fx8uKQEow8f2")
	f.Add("$scrypt$ln=4,r=8,p=1$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ")
	f.Add("$firebase-scrypt$ln=4,r=8$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ")
	f.Add("$pbkdf2-sha1$i=10$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ")
	f.Fuzz(func(t *testing.T, encoded string) {
		passhash.NeedsRehash(encoded, params(t, "argon2id", ""))
		if !cheapHashPattern.MatchString(encoded) { // a slow hash would differ only in its cost, so it is skipped
			return
		}
		if ok, err := passhash.Verify(encoded, "another"); ok || err != nil && strings.Contains(err.Error(), encoded) {
			t.Errorf("%q: got %v, %v", encoded, ok, err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	for _, alg := range []string{"argon2id", "bcrypt"} {
		p := params(b, alg, "")
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hash(b, p, normal)
			}
		})
	}
}

func BenchmarkDummy(b *testing.B) {
	p := params(b, "argon2id", "")
	for b.Loop() {
		passhash.Dummy(p)
	}
}

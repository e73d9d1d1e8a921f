package passhash_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// importedHashes has hashes of other systems. If source contains a version number, this version of the program
// created the hash. Otherwise the hash comes from the published file that source names.
var importedHashes = []struct {
	source       string
	text         string
	password     string
	storedPrefix string
}{
	{"Django 3.2.25", "pbkdf2_sha256$1000$OeykzpqRGlFs1CBjWjndym$lbC9/08yvjuWh7SgElMeNvnLJdXVxDuoTOlHfMoY+pI=", normal,
		"$pbkdf2-sha256$i=1000$T2V5a3pwcVJHbEZzMUNCaldqbmR5bQ$lbC9/08yvjuWh7SgElMeNvnLJdXVxDuoTOlHfMoY+pI"},
	{"Django 3.2.25", "pbkdf2_sha1$1000$STgBFFCwQrtMGuvoCBfjba$Zqj89xc0YGG2FPWcDkxaUGezIoA=", normal,
		"$pbkdf2-sha1$i=1000$U1RnQkZGQ3dRcnRNR3V2b0NCZmpiYQ$Zqj89xc0YGG2FPWcDkxaUGezIoA"},
	{"Django 3.2.25", "argon2$argon2id$v=19$m=64,t=1,p=1$TDlWUGFkbFZxRDFLckJmcUtJOUhudw$HSy6FrUEXCLewP0x+iKfOg", normal,
		"$argon2id$v=19$m=64,t=1,p=1$TDlWUGFkbFZxRDFLckJmcUtJOUhudw$HSy6FrUEXCLewP0x+iKfOg"},
	{"Django 3.2.25",
		"argon2$argon2id$v=19$m=102400,t=2,p=8$ZGQycUM0dklGS1FpQnVPMkUyTXUzbA$6BUVXflPtTH1nUW1SXNXvg", normal,
		"$argon2id$v=19$m=102400,t=2,p=8$"},
	{"Django 3.2.25", "bcrypt$$2b$04$dYDhroZ2fc0oFUt0L93wauBTmDWlppf7RaAuLiHZuZqelt7pvCXhq", normal,
		"$2b$04$dYDhroZ2fc0oFUt0L93wauBTmDWlppf7RaAuLiHZuZqelt7pvCXhq"},
	{"Django 3.2.25", "bcrypt_sha256$$2b$04$tWJwfcTPRppCXame9fczeuwp9tFfp8wx9x/rLlDd/Fx8uKQEow8f2", normal,
		"bcrypt_sha256$$2b$04$tWJwfcTPRppCXame9fczeuwp9tFfp8wx9x/rLlDd/Fx8uKQEow8f2"},
	{"Django 3.2.25",
		"bcrypt_sha256$$2b$04$9N/q3iuHxJ8/K.WszFZGFuLmP590HWBXttG/PnaMO0PXLpTw/LiPe", strings.Repeat("0123456789", 8),
		"bcrypt_sha256$$2b$04$"},
	{"Django's tests/auth_tests/test_hashers.py", "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/" +
		"NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==", "lètmein",
		"$scrypt$ln=14,r=8,p=1$c2Vhc2FsdA$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/" +
			"NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw"},
	{"Django's tests/auth_tests/test_hashers.py",
		"argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q", "secret",
		"$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q"},

	{"Werkzeug 3.1.8", "scrypt:32768:8:1$MuNH5Q0Z0KzA508K$" +
		"a1ba15695aa13078bb402d5130c7f13a1752016dfc27fce06c9b69605cd8cc2dac4bb30a6f3a71905fd26b97a2ecea049c1b94a918f5" +
		"020bb6ba6ecdffa5312b", normal,
		"$scrypt$ln=15,r=8,p=1$TXVOSDVRMFowS3pBNTA4Sw$"},
	{"Werkzeug 3.1.8", "scrypt:1024:8:2$oSVeG7bpXFOckJB8$" +
		"2d1fc416a6f1821923787375cc21aac75f4789f82c96d2b83a8d69539c28123f7826ecfc1dc74ab7ae794c2c8b365eb068c1650907f9" +
		"76c8fdc16166ecf0d375", normal,
		"$scrypt$ln=10,r=8,p=2$"},
	{"Werkzeug 3.1.8",
		"pbkdf2:sha256:1000$9j6mqup7dzegesLa$384def8fd61234f3bfe5c10496f4a54d199cb873fac588506817eea6538dcaee", normal,
		"$pbkdf2-sha256$i=1000$OWo2bXF1cDdkemVnZXNMYQ$OE3vj9YSNPO/5cEElvSlTRmcuHP6xYhQaBfuplONyu4"},
	{"Werkzeug 3.1.8", "pbkdf2:sha1:1000$T115M38n1Pf05qnq$2b8d715a31cdf284617cc4ca311a12c84c3b7da0", normal,
		"$pbkdf2-sha1$i=1000$"},
	{"Werkzeug 3.1.8", "pbkdf2:sha512:1000$rV9ZO8lrpOTYoESt$" +
		"b02a7671d997816480459ccde1ca953119e5d81cd1bb8c4dfbfa83db3f150da9474f2551eb5453588202fb1c185444fe7698dcfd5097" +
		"1aae7013c034a55f8221", normal,
		"$pbkdf2-sha512$i=1000$"},
	{"Werkzeug 2.2.2",
		"pbkdf2:sha256:1000$Wr0wbIY2$86bcd9fc6bb3c0a850c2c5729cf608f59b1b64d0d5e169d02523200e7ce7ca60", normal,
		"$pbkdf2-sha256$i=1000$"},

	{"passlib 1.7.4", "$pbkdf2$1000$GuN8zxkD4Lx3bg0BYKx1Tg$yLXbWJjM1nn7u.XS/.ogHZSA/HY", normal,
		"$pbkdf2-sha1$i=1000$GuN8zxkD4Lx3bg0BYKx1Tg$yLXbWJjM1nn7u+XS/+ogHZSA/HY"},
	{"passlib 1.7.4", "$pbkdf2-sha256$1000$mpMSIoRQag1hzDnH.H9P6Q$APaUhY9sPqLm5gzivre5qvL/pBvUgTablUMFZ3wtDLc", normal,
		"$pbkdf2-sha256$i=1000$mpMSIoRQag1hzDnH+H9P6Q$APaUhY9sPqLm5gzivre5qvL/pBvUgTablUMFZ3wtDLc"},
	{"passlib 1.7.4", "$pbkdf2-sha512$1000$x/jfe29trZWyFoLQeu99Lw$" +
		"t8nKBDXcN7Cw3Cya8x.hhQOSdisI98ERGCJ5T.Wy1znCyGUityDesaR6hYAjnjkAK0gJ8EQGCESu/9F/pA9N/A", normal,
		"$pbkdf2-sha512$i=1000$"},
	{"passlib 1.7.4", "$scrypt$ln=5,r=4,p=2$ey8FwNhba6313ptT6v3/vw$blcEcq0l7fqU3m1W7FDHVPm9upulQ2gWo2Vim2j8PPY", normal,
		"$scrypt$ln=5,r=4,p=2$ey8FwNhba6313ptT6v3/vw$blcEcq0l7fqU3m1W7FDHVPm9upulQ2gWo2Vim2j8PPY"},
	{"passlib 1.7.4", "$argon2i$v=19$m=64,t=1,p=1$xlhLibE2xnhvbe09h9Ca0w$SzaxzB6/iOt9GmOv7iwU2A", normal,
		"$argon2i$v=19$m=64,t=1,p=1$xlhLibE2xnhvbe09h9Ca0w$SzaxzB6/iOt9GmOv7iwU2A"},
	{"passlib's documentation",
		"$scrypt$ln=8,r=8,p=1$WKs1xljLudd6z9kbY0wpJQ$yCR4iDZYDKv+iEJj6yHY0lv/epnfB6f/w1EbXrsJOuQ", "password",
		"$scrypt$ln=8,r=8,p=1$"},
	{"passlib's documentation",
		"$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M", "password",
		"$pbkdf2-sha256$i=6400$"},

	{"Node.js 20.20.2, padded",
		"$scrypt$ln=10,r=8,p=2$c29tZXNhbHRzb21lc2FsdA==$ytETQei6Pjo6kngSMxouNKSWgZqup9i8n5isXNSvKKM=", normal,
		"$scrypt$ln=10,r=8,p=2$c29tZXNhbHRzb21lc2FsdA$ytETQei6Pjo6kngSMxouNKSWgZqup9i8n5isXNSvKKM"},
	{"Node.js 20.20.2, another order",
		"$scrypt$p=2,ln=10,r=8$c29tZXNhbHRzb21lc2FsdA$ytETQei6Pjo6kngSMxouNKSWgZqup9i8n5isXNSvKKM", normal,
		"$scrypt$ln=10,r=8,p=2$"},
	{"Node.js 20.20.2, with a length", "$pbkdf2-sha512$i=1000,l=64$" +
		"c29tZXNhbHRzb21lc2FsdA$RbkohYpABhrVf6dAjV1mgswjeaDcEw/" +
		"Z9Lqqoc7ZO6eeqGc4EIBheeCgNOsc3H1ATsxkis9nQ04P4KAKB0FMcA", normal,
		"$pbkdf2-sha512$i=1000$"},
	{"hash-wasm, another order",
		"$argon2id$v=19$t=1,p=1,m=64$c29tZXNhbHRzb21lc2FsdA==$bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8=", normal,
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8"},
	{"Spring's label, crypt(3)", "{bcrypt}$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", normal,
		"$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"Spring's label, hash-wasm", "{argon2}$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ", normal,
		"$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ"},
	{"Spring's label, hash-wasm",
		"{argon2@SpringSecurity_v5_8}$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ", normal,
		"$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQ$a46CEvbGztkGtdLLPwiqTQ"},
	{"crypt(3)", "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", normal,
		"$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"},
	{"crypt(3) of glibc", "$6$abcdefgh$yIZAF3gQPvtKZO/9qOJKffAKKbtS3ef3qmwyugk4uWVjX8YZf/" +
		"GV3A8SkFxEPY0T56CcilGrHKLffBsp6dLMG.", normal, "$6$abcdefgh$yIZ"},
	{"crypt(3) of glibc", "$6$rounds=1000$saltsalt$" +
		"4GMtaIz3E1AdDi2SmCokEW0ehi.HdxNDcL3fGE1XXuzvo6kbx7UOloZKONqEk5H3JrQA4NOfU8BmqFPrpGqwA1", normal,
		"$6$rounds=1000$saltsalt$4GM"},
	{"crypt(3) of glibc", "$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB", normal, "$5$abcdefgh$ruM"},
	{"LDAP, crypt(3) of glibc",
		"{CRYPT}$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB", normal, "$5$abcdefgh$ruM"},
	{"LDAP, crypt(3)", "{CRYPT}$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", normal, "$2y$04$"},
	{"Dovecot, crypt(3)", "{BLF-CRYPT}$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", normal, "$2y$04$"},
	{"OpenLDAP's pw-pbkdf2, Node.js", "{PBKDF2-SHA512}1000$MDEyMzQ1Njc4OWFiY2RlZg$" +
		"OM0FAoIqCVK1sWtxDiffVlBejtLa.ks4TP71JiecwuSZCG8iLbnlIEPOMoVX.i2B2wkSxjQ8CRGR9OkNGuIPMQ", normal,
		"$pbkdf2-sha512$i=1000$"},
	{"WordPress 6.8, crypt(3)",
		"$wp$2y$04$abcdefghijklmnopqrstuujv/86KBUqWwIdPp0uRATkCcvgptl1Pm", normal, "$wp$2y$04$"},
	{"passlib's form, crypt(3)", "$bcrypt-sha256$v=2,t=2b,r=4$abcdefghijklmnopqrstuu$DDZkjU09Vim05Ait7x7R.JfuHDNAppu",
		normal, "$bcrypt-sha256$v=2,t=2b,r=4$"},
	{"passlib's form, crypt(3)",
		"$bcrypt-sha256$2b,4$abcdefghijklmnopqrstuu$fm19hcnOB5jVIa57e1DmQZ/XByRYI72", normal, "$bcrypt-sha256$2b,4$"},
	{"ASP.NET's form, version 3, Node.js", "AQAAAAEAAAPoAAAAEDAxMjM0NTY3ODlhYmNkZWZwGDwPYO6eBEH2TvqzNOF/l6F/" +
		"IHP33VrLo9PxKvCTgw==", normal, "$pbkdf2-sha256$i=1000$"},
	{"ASP.NET's form, version 3, Node.js", "AQAAAAIAAAPoAAAAEDAxMjM0NTY3ODlhYmNkZWY4zQUCgioJUrWxa3EOJ99WUF6O0tr6SzhM/" +
		"vUmJ5zC5A==", normal, "$pbkdf2-sha512$i=1000$"},
	{"ASP.NET's form, version 2, Node.js",
		"ADAxMjM0NTY3ODlhYmNkZWZpR8Ta/HlDvOBtvSPHj0Bo2ldRBBVbql48o3lpvfsbjQ==", normal, "$pbkdf2-sha1$i=1000$"},
	{"Better Auth's form, Node.js", "30313233343536373839616263646566:" +
		"e61961757ad2079e90f9e500e49ed406f2663b57de713e9d250a9eb91dafda2516da588d2ef63816bb6e8070bb019762324c1618be57" +
		"1626819a527418b75576", normal, "$scrypt-node$"},
	{"Node.js, salt first", "30313233343536373839616263646566:" +
		"8473e69a37628cb8e6e9158b30100107fe3d607b309a0e3bdb333468ae1a4c8f299e9fddec200a6a591671d910c284d8d43181459c8d" +
		"99ef45376256e6a2a32e", normal, "$scrypt-node$"},
	{"Node.js, hash first", "8473e69a37628cb8e6e9158b30100107fe3d607b309a0e3bdb333468ae1a4c8f299e9fddec200a6a591671d9" +
		"10c284d8d43181459c8d99ef45376256e6a2a32e.30313233343536373839616263646566", normal, "$scrypt$ln=14,r=8,p=1$"},
	{"Lucia's form, Node.js", "s2:abcdefghijklmnop:" +
		"dfc57baf1b507b48a8b4c4e265d4dcc424d0deed740a163ed279f90fe46f426782379bd1716b6a480af1d3d088be6171fb9fe8f88263" +
		"d33ccf13cb78e5cee541", normal, "$scrypt$ln=14,r=16,p=1$"},
	{"Ory Kratos's form, Node.js", "$scrypt$ln=1024,r=8,p=1$" +
		"MDEyMzQ1Njc4OWFiY2RlZg==$6g3umF+uVrJsObaTZhIbbTlgrvOEFcCItdwSjtPF67M=", normal, "$scrypt$ln=10,r=8,p=1$"},
	{"Spring's form, Node.js", "{scrypt}$a0802$MDEyMzQ1Njc4OWFiY2RlZg==$I4YuHpx/6xJJ4+sk74hQU+KhW++gPE8aHzXbHijxgzg=",
		normal, "$scrypt$ln=10,r=8,p=2$"},
	{"Spring's form without a label, Node.js", "$a0802$MDEyMzQ1Njc4OWFiY2RlZg==$I4YuHpx/" +
		"6xJJ4+sk74hQU+KhW++gPE8aHzXbHijxgzg=", normal, "$scrypt$ln=10,r=8,p=2$"},
	{"Spring's form, Node.js", "{pbkdf2}30313233343536374b4a103f68e9a65c297ba35cb77fcc4fcf9aa0ae426c09c69c2b544eb6227" +
		"cd8", normal, "$pbkdf2-sha1$i=185000$"},
	{"Spring's form, Node.js", "{pbkdf2@SpringSecurity_v5_8}3031323334353637383961626364656675bc58606e8b5a161d050b806" +
		"49f8588cdb0996bfb5eedde4d7cacf67a441212", normal, "$pbkdf2-sha256$i=310000$"},
}

func adopt(t testing.TB, text string) string {
	t.Helper()
	encoded, err := passhash.Adopt(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return encoded
}

func TestPasswordsOfOtherSystemsVerify(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the slow hashes of many systems are not computed")
	}
	for _, b := range importedHashes {
		encoded := adopt(t, b.text)
		if !strings.HasPrefix(encoded, b.storedPrefix) {
			t.Errorf("%s: %s is stored as %s, want %s", b.source, b.text, encoded, b.storedPrefix)
		}
		if !verify(t, encoded, b.password) {
			t.Errorf("%s: %s: the password is rejected", b.source, b.text)
		}
		if verify(t, encoded, b.password+"s") {
			t.Errorf("%s: %s: another password is accepted", b.source, b.text)
		}
		if again := adopt(t, encoded); again != encoded {
			t.Errorf("%s: the adopted hash becomes %s", encoded, again)
		}
	}
}

func TestRefusalsExplainWithoutTheHash(t *testing.T) {
	t.Parallel()
	const salt, tag = "c29tZXNhbHRzb21lc2FsdA", "bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8"
	const both = "$" + salt + "$" + tag
	const hex = "384def8fd61234f3bfe5c10496f4a54d199cb873fac588506817eea6538dcaee"
	const bcrypt53 = "abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	for _, c := range []struct{ text, problem string }{
		{"", "the hash is empty"},
		{"!" + salt, "says that there is no password"},
		{tag, "not bcrypt, Argon2, scrypt or PBKDF2"},
		{"correct horse", "not bcrypt, Argon2, scrypt or PBKDF2"},
		{"$argon2d$v=19$m=64,t=1,p=1" + both, "Argon2 other than Argon2id and Argon2i"},
		{"argon2$argon2d$v=19$m=64,t=1,p=1" + both, "Argon2 other than Argon2id and Argon2i"},
		{"$argon2id$v=16$m=64,t=1,p=1" + both, "before version 19"},
		{"argon2$argon2i$m=8,t=1,p=1" + both, "before version 19"},
		{"$argon2id$v=19$m=64,t=1" + both, "the form $argon2id$v=19$m=65536,t=3,p=4$salt$hash"},
		{"$argon2id$v=19$m=64,t=1,t=1" + both, "the form $argon2id$"},
		{"$argon2id$v=19$m=64,t=1,p=1,keyid=Hj5+" + both, "the form $argon2id$"},
		{"$argon2id$v=19$m=64,t=1,p=1$" + salt, "the form $argon2id$"},
		{"$argon2id$v=19$m=64,t=1,p=1" + both[:30] + "\n" + both[30:], "the form $argon2id$"},
		{"$argon2id$v=19$m=1048576,t=4,p=1" + both, "too high for a server ($argon2id$v=19$m=1048576,t=4,p=1)"},
		{"$argon2id$v=19$m=64,t=1,p=1$$" + tag, "the salt of the hash has 0 bytes, not 1 to 64"},
		{"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$YWJjZGVmZ2hpamtsbW5v", "the hash has 15 bytes, not 16 to 64"},
		{"$2x$04$" + bcrypt53, "bcrypt of the kind $2x$"},
		{"$2b$16$" + bcrypt53, "too high for a server (bcrypt with cost 16)"},
		{"bcrypt$$2b$03$" + bcrypt53, "bcrypt with cost 03"},
		{"$2b$04$" + bcrypt53[1:], "the form $2b$12$"},
		{"bcrypt_sha256$" + tag, "the form $2b$12$"},
		{"$bcrypt-sha256$v=2,t=2b,r=4$atYAiD2gG294tQ4746s9Te", "the form $bcrypt-sha256$v=2"},
		{"$bcrypt-sha256$v=2,t=2b,r=16$atYAiD2gG294tQ4746s9Te$hteuqkE7gy8z/YrVSFC/EnAgwJkR7rm",
			"too high for a server (bcrypt with cost 16)"},
		{"$wp$2y$16$" + bcrypt53, "too high for a server (bcrypt with cost 16)"},
		{"{sha256-hex}{sha256-hex}$2b$04$" + bcrypt53, "the form {sha256-hex}"},
		{"{pepper}$2b$04$" + bcrypt53, "the form {pepper}"},
		{"AQAAAAEAmJaAAAAAEDAxMjM0NTY3ODlhYmNkZWZwGDwPYO6eBEH2TvqzNOF/l6F/IHP33VrLo9PxKvCTgw==",
			"too high for a server ($pbkdf2-sha256$i=10000000)"},
		{"$S$DabcdefghJouNekh0nyuGo984CRmQbuF1KVzDB5WWS1C1Tjcr/F3", "Drupal's $S$"},
		{"$H$9Xe1bSoXnUZA99fYuGbjPmO8/iRsxE.", "phpass ($H$, of phpBB)"},
		{"{SSHA}R6d1KrWneJAiUtd3vstlJbjXB+V3zlmL", "{SSHA} of LDAP"},
		{hex, "a bare digest of 64 hexadecimal digits, such as SHA-256,"},
		{hex[:32] + ":" + normal, "a digest and a salt, separated by a colon"},
		{"*" + strings.ToUpper(hex[:40]), "MySQL's PASSWORD()"},
		{"$scrypt$16,8,1" + both, "the form $scrypt$ln=16,r=8,p=1$salt$hash"},
		{"$scrypt$ln=20,r=8,p=1" + both, "too high for a server ($scrypt$ln=20,r=8,p=1)"},
		{"scrypt$16384$" + salt + "$8$" + tag, "the form scrypt$16384$salt$8$5$hash"},
		{"scrypt$16383$" + salt + "$8$1$" + tag, "the form scrypt$16384$"},
		{"scrypt$1$" + salt + "$8$1$" + tag, "invalid"},
		{"scrypt$1048576$" + salt + "$8$1$" + tag, "too high for a server ($scrypt$ln=20,r=8,p=1)"},
		{"scrypt:32768:8$" + salt + "$" + hex, "the form scrypt:32768:8:1$salt$hash"},
		{"scrypt:32768:8:1$" + salt + "$" + tag, "the form scrypt:32768:8:1$salt$hash"},
		{"$7$C6..../....SodiumChloride$" + tag, "crypt(3) with $7$ (scrypt)"},
		{"$pbkdf2-sha256$i=1000,l=31" + both, "the form $pbkdf2-sha256$600000$salt$hash"},
		{"$pbkdf2-sha256$i=-1" + both, "the form $pbkdf2-sha256$"},
		{"$pbkdf2-sha256$99999999" + both, "too high for a server ($pbkdf2-sha256$i=99999999)"},
		{"$pbkdf2-sha256$0" + both, "invalid"},
		{"pbkdf2_sha256$1000" + both[:40] + "*", "the form pbkdf2_sha256$600000$salt$hash"},
		{"pbkdf2:sha256$" + salt + "$" + hex, "the form pbkdf2:sha256:600000$salt$hash"},
		{"pbkdf2:sha224:1000$" + salt + "$" + hex, "with SHA-1, SHA-256 and SHA-512 only"},
		{"$6$rounds=1000$" + salt + "$" + tag, "the form $6$rounds=5000$"},
		{"$5$rounds=99999999$saltsalt$" + tag, "too high for a server (crypt(3) with rounds=99999999)"},
		{"$P$BSomesaltWxNJQ1u7oUWcXS5MrqRJe1", "phpass"},
		{"md5$" + salt + "$" + hex[:32], "a salted md5"},
		{"sha256$" + salt + "$" + hex, "a salted sha256"},
		{"{bcrypt}$2a$16$" + bcrypt53, "too high for a server (bcrypt with cost 16)"},
		{"{bcrypt}$2x$04$" + bcrypt53, "bcrypt of the kind $2x$"},
		{"{bcrypt}", "the hash is empty"},
		{"{bcrypt}" + normal, "not bcrypt, Argon2, scrypt or PBKDF2"},
		{"{bcrypt}{bcrypt}$2a$04$" + bcrypt53, "not bcrypt, Argon2, scrypt or PBKDF2"},
		{"{argon2}$argon2d$v=19$m=64,t=1,p=1" + both, "Argon2 other than Argon2id and Argon2i"},
		{"{scrypt}$140801" + both, "too high for a server ($scrypt$ln=20,r=8,p=1)"},
		{"{scrypt}$e0801$" + salt, "the form $e0801$salt$hash"},
		{"{pbkdf2}" + hex, "{pbkdf2} has 32 bytes, not the 40"},
		{"{pbkdf2@SpringSecurity_v5_8}" + hex, "{pbkdf2} has 32 bytes, not the 48"},
		{"{noop}" + normal, "the password itself and not a hash"},
		{"{noop}$2a$04$" + bcrypt53, "the password itself and not a hash"},
		{"{MD5}{" + salt + "}" + hex[:32], "{MD5} of LDAP or Spring Security can't be checked"},
	} {
		encoded, err := passhash.Adopt(c.text)
		if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%q: got %q, %v, want %q", c.text, encoded, err, c.problem)
			continue
		}
		for _, secret := range []string{salt, tag, hex, bcrypt53[1:], normal, "SodiumChloride", "Somesalt", "atYAiD2"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the error contains the hash: %v", c.text, err)
			}
		}
		if !strings.Contains(err.Error(), "import the user without a password") &&
			!strings.Contains(err.Error(), "check whether the export") {
			t.Errorf("%q: the error does not say what to do: %v", c.text, err)
		}
	}
}

// cheapHashPattern matches hashes that are fast enough to verify in a fuzz test.
var cheapHashPattern = regexp.MustCompile(`^(bcrypt_sha256\$|\$wp|\{[a-z0-9-]+\})?\$2[aby]\$04|^\$argon2id?\$v=19\$m=\d\d,t=1,p=1\$|^\$(firebase-)?scrypt\$ln=[1-6],r=\d[,$](p=\d\$)?|^\$pbkdf2-sha\d+\$i=\d{1,3}\$`)

func FuzzAdopt(f *testing.F) {
	for _, b := range importedHashes {
		f.Add(b.text)
		f.Add(adopt(f, b.text))
	}
	for _, text := range hashesOfOtherPrograms {
		f.Add(text)
	}
	f.Add("$firebase-scrypt$ln=4,r=8$42xEC+ixf3L2lwc$q3Mx8LQZ5q8mS9b6ZT1y0g")
	f.Add("pbkdf2:sha256$Wr0wbIY2$86bc")
	f.Add("$$$")
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := passhash.Adopt(text)
		if err != nil {
			if last := text[strings.LastIndex(text, "$")+1:]; len(last) >= 20 && strings.Contains(err.Error(), last) {
				t.Errorf("%q: the error contains the hash: %v", text, err)
			}
			return
		}
		if again, err := passhash.Adopt(encoded); err != nil || again != encoded {
			t.Errorf("%q becomes %q, and that %q, %v", text, encoded, again, err)
		}
		if cheapHashPattern.MatchString(encoded) {
			if ok, err := passhash.Verify(encoded, "another"); ok || err != nil {
				t.Errorf("%q becomes %q, which gives %v, %v", text, encoded, ok, err)
			}
		}
	})
}

// BenchmarkVerify measures a sign-in with the hash of another system, with the usual parameters
// of that system.
func BenchmarkVerify(b *testing.B) {
	const salt, tag = "c29tZXNhbHRzb21lc2FsdA", "bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8"
	for _, function := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1",
		"$argon2id$v=19$m=102400,t=2,p=8", // Django
		"$argon2id$v=19$m=7168,t=5,p=1",   // Keycloak
		"$scrypt$ln=14,r=8,p=5",           // Django
		"$scrypt$ln=15,r=8,p=1",           // Werkzeug
		"$scrypt$ln=18,r=8,p=1",           // the highest accepted cost
		"$firebase-scrypt$ln=14,r=8",
		"$pbkdf2-sha1$i=1300000",   // Keycloak
		"$pbkdf2-sha256$i=1000000", // Django, Werkzeug
		"$pbkdf2-sha512$i=210000",  // Keycloak
	} {
		encoded := function + "$" + salt + "$" + tag
		if strings.Contains(function, "sha1$") {
			encoded = encoded[:len(encoded)-len(tag)] + "Zqj89xc0YGG2FPWcDkxaUGezIoA"
		}
		b.Run(function[1:], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				verify(b, encoded, normal)
			}
		})
	}
}

package totp_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/totp"
)

func TestParseReadsSecretsOfOtherSystems(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	const text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for given, label := range map[string]string{
		text: "", strings.ToLower(text): "", " GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ ": "",
		"GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ": "", text + "===": "",
		"otpauth://totp/Shop:ada%40example.com?secret=" + text + "&issuer=Shop": "Shop:ada@example.com",
		"OTPAUTH://totp/ada?secret=" + strings.ToLower(text) +
			"&algorithm=sha1&digits=6&period=30": "ada",
		totp.URI(secret, "id.example.com", "ada@example.com"): "id.example.com:ada@example.com",
	} {
		got, name, err := totp.Parse(given)
		if err != nil || !bytes.Equal(got, secret) || name != label {
			t.Errorf("%s: %q, %q, %v", given, got, name, err)
		}
	}
	for given, why := range map[string]string{
		"": "base32", "not base32 at all!": "base32", "0189": "base32", "eyJpdiI6IkFCQ0QifQ": "base32",
		"GEZDGNBV": "bytes", strings.Repeat("A", 400): "bytes",
		"otpauth://hotp/a?secret=" + text + "&counter=1":        "SHA1",
		"otpauth://totp/a?secret=" + text + "&digits=8":         "SHA1",
		"otpauth://totp/a?secret=" + text + "&period=60":        "SHA1",
		"otpauth://totp/a?secret=" + text + "&algorithm=SHA256": "SHA1", "otpauth://totp/a": "base32",
		"otpauth://totp/%zz": "base32",
	} {
		_, _, err := totp.Parse(given)
		if err == nil || !strings.Contains(err.Error(), why) || given != "" && strings.Contains(err.Error(), given) {
			t.Errorf("%s: %v", given, err)
		}
	}
}

// Codes of an imported secret of any length must match.
func TestImportedSecretsMatch(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_111_111_110, 0)
	for _, length := range []int{10, 16, 20, 32, 35, 64} {
		secret, _, err := totp.Parse(totp.Text(bytes.Repeat([]byte{7}, length)))
		if err != nil {
			t.Fatal(err)
		}
		code, err := totp.Code(secret, totp.Step(now))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := totp.Match(secret, code, now, 0); err != nil || !ok {
			t.Errorf("%d bytes: %v, %v", length, ok, err)
		}
	}
}

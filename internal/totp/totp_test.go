package totp_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/totp"
)

// The expected codes are the last six of the eight digits in RFC 6238, appendix B.
func TestCodesMatchTheVectorsOfRFC6238(t *testing.T) {
	t.Parallel()
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		got, err := totp.Code([]byte("12345678901234567890"), totp.Step(time.Unix(at, 0)))
		if err != nil || got != want {
			t.Errorf("at %d: got %s, %v, want %s", at, got, err, want)
		}
	}
}

// MFA-1
func TestMatchAcceptsOneStepOfDifferenceAndEachStepOnce(t *testing.T) {
	t.Parallel()
	secret, now := []byte("12345678901234567890"), time.Unix(1111111110, 0)
	current := totp.Step(now)
	code := func(step int64) string {
		text, err := totp.Code(secret, step)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		code string
		last int64
		want int64 // 0: refused
	}{
		"the current step":                  {code(current), 0, current},
		"a step back":                       {code(current - 1), 0, current - 1},
		"a step ahead":                      {code(current + 1), 0, current + 1},
		"two steps back":                    {code(current - 2), 0, 0},
		"two steps ahead":                   {code(current + 2), 0, 0},
		"the last step again":               {code(current), current, 0},
		"a step before the last":            {code(current), current + 1, 0},
		"a step after the last":             {code(current), current - 1, current},
		"a clock that was set back by days": {code(current), current + 9999, 0},
		"another code":                      {"000000", 0, 0},
		"no code":                           {"", 0, 0},
		"five digits":                       {code(current)[:5], 0, 0},
		"seven digits":                      {code(current) + "0", 0, 0},
		"a sign":                            {"+" + code(current)[1:], 0, 0},
		"digits of another script":          {"٠٥٠٤٧١", 0, 0},
	} {
		got, ok, err := totp.Match(secret, c.code, now, c.last)
		if err != nil || got != c.want || ok != (c.want != 0) {
			t.Errorf("%s: got %d, %v, %v, want %d", name, got, ok, err, c.want)
		}
	}
}

// MFA-1
func TestCollidingStepsGiveOneUse(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of 20 bytes")
	// With this secret, the steps low and low+delta have equal codes. A search found these two pairs.
	for delta, low := range map[int64]int64{1: 2_628_938, 2: 1_113_799} {
		high := low + delta
		code, err := totp.Code(secret, low)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := totp.Code(secret, high); err != nil || same != code {
			t.Fatalf("delta %d: the codes are %s and %s, %v, want equal ones", delta, code, same, err)
		}
		now := time.Unix((low+1)*30, 0) // Match accepts both steps at this time
		step, ok, err := totp.Match(secret, code, now, 0)
		if err != nil || !ok || step != high {
			t.Errorf("delta %d: got %d, %v, %v, want the higher step %d", delta, step, ok, err, high)
		}
		if step, ok, err := totp.Match(secret, code, now, high); ok || err != nil {
			t.Errorf("delta %d: the code works again at %d, %v", delta, step, err)
		}
		// At the sign-in with the lower step, the clock was so early that Match did not check the higher step. At the
		// time of the higher step, the same code must not work again.
		if step, ok, err := totp.Match(secret, code, time.Unix(high*30, 0), low); ok || err != nil {
			t.Errorf("delta %d: the digits work again at %d, %v", delta, step, err)
		}
	}
}

func TestURIHasTheParametersOfEveryAuthenticator(t *testing.T) {
	t.Parallel()
	got := totp.URI([]byte("12345678901234567890"), "Ada & Co", "ada+x@example.com")
	want := "otpauth://totp/Ada%20&%20Co:ada+x@example.com?algorithm=SHA1&digits=6&issuer=Ada%20%26%20Co&period=30" +
		"&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := totp.Normalize(" 123 456\n"); got != "123456" {
		t.Errorf("got %q", got)
	}
	if a, b := totp.NewSecret(), totp.NewSecret(); len(a) != totp.SecretSize || string(a) == string(b) {
		t.Error("secrets are not random")
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("287082", int64(59), int64(0))
	f.Add("287082", int64(59), int64(1))
	f.Fuzz(func(t *testing.T, code string, at, last int64) {
		now := time.Unix(at%(1<<40), 0)
		if at < 0 {
			now = time.Unix(0, 0)
		}
		step, ok, err := totp.Match([]byte("12345678901234567890"), code, now, last)
		if _, bad := strconv.Atoi(code); ok && bad != nil || ok && step <= last || err != nil {
			t.Errorf("Match(%q) = %d, %v, %v", code, step, ok, err)
		}
	})
}

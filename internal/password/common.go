package password

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/FastFilter/xorfilter"
)

// The common passwords are stored as a binary fuse filter of 16 bits instead of a list:
// half a megabyte for 200,000 passwords. The false positive rate is one in 65,536.
// NOTICE.md names the sources.
//
//go:embed common.filter
var commonFilter []byte

// loadCommon decodes the filter at the first call, which takes under a millisecond.
var loadCommon = sync.OnceValue(func() *xorfilter.BinaryFuse[uint16] {
	filter, err := xorfilter.LoadBinaryFuse[uint16](bytes.NewReader(commonFilter))
	if err != nil {
		panic("decode the embedded filter of common passwords: " + err.Error())
	}
	return filter
})

// FilterKey returns the key of a common password in the filter. It is exported for the
// program gen, which generates the filter.
func FilterKey(common string) uint64 {
	sum := sha256.Sum256([]byte(foldCaseAndWidth(common)))
	return binary.LittleEndian.Uint64(sum[:])
}

// maxSuffix is the maximum number of trailing digits and symbols that isCommon ignores. It is enough for a year and
// an exclamation mark.
const maxSuffix = 5

// isCommon reports whether the filter contains the password, the password without
// trailing symbols (password!), or without trailing digits and symbols (password2026!).
func isCommon(folded string) bool {
	filter := loadCommon()
	for _, base := range []string{
		folded,
		trimShortSuffix(folded, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }),
		trimShortSuffix(folded, func(r rune) bool { return !unicode.IsLetter(r) }),
	} {
		if filter.Contains(FilterKey(base)) {
			return true
		}
	}
	return false
}

// trimShortSuffix removes the trailing characters for which isSuffix returns true. If there are more than maxSuffix
// such characters, it returns s unchanged.
func trimShortSuffix(s string, isSuffix func(rune) bool) string {
	base := strings.TrimRightFunc(s, isSuffix)
	if utf8.RuneCountInString(s[len(base):]) > maxSuffix {
		return s
	}
	return base
}

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

// What attackers try first is a filter (binary fuse, 16 bits), not a list: half a
// megabyte for 200,000 passwords, many of which name people. One in 65,536
// passwords that it does not hold is said to be there. NOTICE.md says where they
// come from.
//
//go:embed common.filter
var commonFilter []byte

// loadCommon reads the filter when it is first asked, in under a millisecond.
var loadCommon = sync.OnceValue(func() *xorfilter.BinaryFuse[uint16] {
	filter, err := xorfilter.LoadBinaryFuse[uint16](bytes.NewReader(commonFilter))
	if err != nil {
		panic("the embedded filter of common passwords can't be read: " + err.Error())
	}
	return filter
})

// FilterKey is what the filter holds of a common password. It is exported for
// the program that makes the filter.
func FilterKey(common string) uint64 {
	sum := sha256.Sum256([]byte(fold(common)))
	return binary.LittleEndian.Uint64(sum[:])
}

// maxTail is how many digits and signs at the end don't make another password: a
// year and an exclamation mark.
const maxTail = 5

// isCommon reports whether the password is known, as it is, or without the signs
// (password!), or the digits and signs (password2026!), that people add.
func isCommon(folded string) bool {
	known := loadCommon()
	for _, base := range []string{
		folded,
		withoutTail(folded, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }),
		withoutTail(folded, func(r rune) bool { return !unicode.IsLetter(r) }),
	} {
		if known.Contains(FilterKey(base)) {
			return true
		}
	}
	return false
}

// withoutTail cuts off the end, unless it is longer than maxTail.
func withoutTail(s string, isTail func(rune) bool) string {
	base := strings.TrimRightFunc(s, isTail)
	if utf8.RuneCountInString(s[len(base):]) > maxTail {
		return s
	}
	return base
}

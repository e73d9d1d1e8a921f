package passhash

import (
	"fmt"
	"strconv"

	"golang.org/x/crypto/bcrypt"
)

const (
	algArgon2id = "argon2id"
	algArgon2i  = "argon2i" // only verified, never created
	algBcrypt   = "bcrypt"
)

// Params are the algorithm and the cost of new hashes. They come from ParseParams and can
// be compared with ==. With the zero value, Hash returns an error.
type Params struct {
	alg  string
	cost argonCost // for argon2id
	log2 int       // for bcrypt: 2^log2 rounds
}

// argonCost is the cost of an Argon2 hash.
type argonCost struct {
	memory uint32 // KiB
	time   uint32 // passes over the memory
	lanes  uint32
}

// Bounds of the cost. New hashes have at least the cost that the OWASP Password Storage Cheat Sheet requires. All
// hashes have at most the cost that a server can afford for an anonymous request. This also applies to imported
// hashes, because they may come from an untrusted database.
const (
	defaultLog2 = 10
	maxLog2     = 15

	maxMemory = 256 << 10 // KiB
	maxPasses = 16
	maxLanes  = 16
	maxWork   = 1 << 20 // limit for KiB times passes: a second or two on one core

	maxBlock      = 32      // r of scrypt
	maxRows       = 1 << 21 // r N p of scrypt: about a second, and at most maxMemory
	maxIterations = 1 << 21 // of PBKDF2: about a second
)

// ParseParams parses an algorithm and its cost. For argon2id the cost has the form
// "m=19456,t=2,p=1" (KiB, passes, lanes), which is also the default for "". For bcrypt
// it is a number from 10, the default, to 15.
func ParseParams(alg, cost string) (Params, error) {
	switch alg {
	case algArgon2id:
		return parseArgonParams(cost)
	case algBcrypt:
		return parseBcryptParams(cost)
	}
	return Params{}, fmt.Errorf("hash algorithm %q is not known: write argon2id or bcrypt", alg)
}

var defaultParams = Params{alg: algArgon2id, cost: argonCost{memory: 19456, time: 2, lanes: 1}}

func parseArgonParams(cost string) (Params, error) {
	if cost == "" {
		return defaultParams, nil
	}
	c, ok := parseArgonCost(cost)
	if !ok {
		return Params{}, fmt.Errorf("argon2id cost %q can't be read: write it as m=19456,t=2,p=1 (KiB, passes, lanes)", cost)
	}
	strong := c.memory >= 19456 && c.time >= 2 || c.memory >= 47104 && c.time >= 1
	if !strong || c.lanes < 1 {
		return Params{}, fmt.Errorf("argon2id cost %q is too low: write at least m=19456,t=2,p=1 or m=47104,t=1,p=1", cost)
	}
	if !c.affordable() {
		return Params{}, fmt.Errorf("argon2id cost %q is too high for a server: write at most m=%d, t=%d, p=%d, and m "+
			"times t at most %d",
			cost, maxMemory, maxPasses, maxLanes, maxWork)
	}
	return Params{alg: algArgon2id, cost: c}, nil
}

func parseBcryptParams(cost string) (Params, error) {
	if cost == "" {
		return Params{alg: algBcrypt, log2: defaultLog2}, nil
	}
	n, err := strconv.Atoi(cost)
	if err != nil || n < defaultLog2 || n > maxLog2 {
		return Params{}, fmt.Errorf("bcrypt cost %q can't be used: write a number from %d to %d", cost, defaultLog2, maxLog2)
	}
	return Params{alg: algBcrypt, log2: n}, nil
}

// LowestParams returns the lowest cost of bcrypt if alg is bcrypt, or else of Argon2id (RFC 9106, section 3.1). Such
// hashes do not protect passwords. Only tests call it, because they create thousands of hashes. A rule in
// house_test.go checks that no other code calls it.
func LowestParams(alg string) Params {
	if alg == algBcrypt {
		return Params{alg: algBcrypt, log2: bcrypt.MinCost}
	}
	return Params{alg: algArgon2id, cost: argonCost{memory: 8, time: 1, lanes: 1}}
}

// LowestParamsByDefault makes ParseParams return LowestParams for an empty cost, for the rest of
// the process. It is for TestMain of packages that start many servers.
func LowestParamsByDefault() { defaultParams = LowestParams(algArgon2id) }

// parseArgonCost parses exactly "m=19456,t=2,p=1", in this order.
func parseArgonCost(text string) (argonCost, bool) {
	c, ok := readArgonCost(text)
	return c, ok && c.String() == text
}

// readArgonCost parses m, t and p in any order.
func readArgonCost(text string) (argonCost, bool) {
	n, ok := readParameters(text, "m", "t", "p")
	if !ok {
		return argonCost{}, false
	}
	return argonCost{memory: n[0], time: n[1], lanes: n[2]}, true
}

func (c argonCost) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.time, c.lanes)
}

// affordable reports whether the cost is valid (RFC 9106, section 3.1) and within the
// bounds of this package.
func (c argonCost) affordable() bool {
	return c.lanes >= 1 && c.lanes <= maxLanes &&
		c.time >= 1 && c.time <= maxPasses &&
		c.memory >= 8*c.lanes && c.memory <= maxMemory &&
		uint64(c.memory)*uint64(c.time) <= maxWork
}

// weakerThan reports whether an attacker needs less memory or less work for each guess with the cost c than with the
// cost want. It ignores lanes, because they change neither memory nor work.
func (c argonCost) weakerThan(want argonCost) bool {
	return c.memory < want.memory || c.memory*c.time < want.memory*want.time
}

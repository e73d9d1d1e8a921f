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
	alg              string
	cost             argonCost
	bcryptLog2Rounds int
}

type argonCost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint32
}

// Bounds of the cost. New hashes have at least the cost that the OWASP Password Storage Cheat Sheet requires. All
// hashes have at most the cost that a server can afford for an anonymous request. This also applies to imported
// hashes, because they may come from an untrusted database.
const (
	defaultLog2 = 10
	maxLog2     = 15

	maxMemory    = 256 << 10 // KiB
	maxPasses    = 16
	maxLanes     = 16
	maxArgonWork = 1 << 20 // KiB times passes: a second or two on one core

	maxScryptR          = 32
	maxScryptWork       = 1 << 21 // r N p: about a second, and at most maxMemory
	maxPBKDF2Iterations = 1 << 21 // about a second
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

var defaultParams = Params{alg: algArgon2id, cost: argonCost{memory: 19456, passes: 2, lanes: 1}}

func parseArgonParams(cost string) (Params, error) {
	if cost == "" {
		return defaultParams, nil
	}
	c, ok := parseArgonCost(cost)
	if !ok {
		return Params{}, fmt.Errorf("argon2id cost %q can't be read: write it as m=19456,t=2,p=1 (KiB, passes, lanes)", cost)
	}
	strong := c.memory >= 19456 && c.passes >= 2 || c.memory >= 47104 && c.passes >= 1
	if !strong || c.lanes < 1 {
		return Params{}, fmt.Errorf("argon2id cost %q is too low: write at least m=19456,t=2,p=1 or m=47104,t=1,p=1", cost)
	}
	if !c.isAffordable() {
		return Params{}, fmt.Errorf("argon2id cost %q is too high for a server: write at most m=%d, t=%d, p=%d, and m "+
			"times t at most %d",
			cost, maxMemory, maxPasses, maxLanes, maxArgonWork)
	}
	return Params{alg: algArgon2id, cost: c}, nil
}

func parseBcryptParams(cost string) (Params, error) {
	if cost == "" {
		return Params{alg: algBcrypt, bcryptLog2Rounds: defaultLog2}, nil
	}
	n, err := strconv.Atoi(cost)
	if err != nil || n < defaultLog2 || n > maxLog2 {
		return Params{}, fmt.Errorf("bcrypt cost %q can't be used: write a number from %d to %d", cost, defaultLog2, maxLog2)
	}
	return Params{alg: algBcrypt, bcryptLog2Rounds: n}, nil
}

// LowestParams returns the lowest cost of bcrypt if alg is bcrypt, or else of Argon2id (RFC 9106, section 3.1). Such
// hashes do not protect passwords. Only tests call it, because they create thousands of hashes. A rule in
// house_test.go checks that no other code calls it.
func LowestParams(alg string) Params {
	if alg == algBcrypt {
		return Params{alg: algBcrypt, bcryptLog2Rounds: bcrypt.MinCost}
	}
	return Params{alg: algArgon2id, cost: argonCost{memory: 8, passes: 1, lanes: 1}}
}

// LowestParamsByDefault makes ParseParams return LowestParams for an empty cost, for the rest of
// the process. It is for TestMain of packages that start many servers.
func LowestParamsByDefault() { defaultParams = LowestParams(algArgon2id) }

// parseArgonCost parses exactly "m=19456,t=2,p=1", in this order.
func parseArgonCost(text string) (argonCost, bool) {
	c, ok := parseArgonCostAnyOrder(text)
	return c, ok && c.String() == text
}

func parseArgonCostAnyOrder(text string) (argonCost, bool) {
	n, ok := readParameters(text, "m", "t", "p")
	if !ok {
		return argonCost{}, false
	}
	return argonCost{memory: n[0], passes: n[1], lanes: n[2]}, true
}

func (c argonCost) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.passes, c.lanes)
}

// isAffordable reports whether the cost is valid (RFC 9106, section 3.1) and within the bounds of this package.
func (c argonCost) isAffordable() bool {
	return c.lanes >= 1 && c.lanes <= maxLanes &&
		c.passes >= 1 && c.passes <= maxPasses &&
		c.memory >= 8*c.lanes && c.memory <= maxMemory &&
		uint64(c.memory)*uint64(c.passes) <= maxArgonWork
}

// isWeakerThan reports whether an attacker needs less memory or less work for each guess than with the cost want. It
// ignores lanes, because they change neither memory nor work.
func (c argonCost) isWeakerThan(want argonCost) bool {
	return c.memory < want.memory || c.memory*c.passes < want.memory*want.passes
}

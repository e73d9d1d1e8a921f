package accesstoken

// Signed reports whether a compact JWS has the canonical encoding and a valid signature by k. Unlike Verify, it does
// not check the claims.
func Signed(token string, k Key) bool {
	jws, ok := split(token)
	if !ok {
		return false
	}
	ok = members(jws.header, func(name, value string) bool {
		alg, isText := text(value)
		return name != "crit" && (name != "alg" || isText && alg == k.alg)
	})
	return ok && k.verifies(jws.signed, jws.signature)
}

// FixedLength converts an ECDSA signature from ASN.1 to the form of a JWS.
func FixedLength(der []byte) ([]byte, error) { return fixedLength(der) }

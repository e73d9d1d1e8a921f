package accesstoken

// Signed reports whether a compact JWS has the canonical encoding and a valid signature by k. Unlike Verify, it does
// not check the claims.
func Signed(token string, k Key) bool {
	jws, ok := splitJWS(token)
	if !ok {
		return false
	}
	ok = visitMembers(jws.header, func(name, value string) bool {
		alg, isText := parseString(value)
		return name != "crit" && (name != "alg" || isText && alg == k.alg)
	})
	return ok && k.verifiesSignature(jws.signingInput, jws.signature)
}

// FixedLength converts an ECDSA signature from ASN.1 to the form of a JWS.
func FixedLength(der []byte) ([]byte, error) { return convertToFixedLength(der) }

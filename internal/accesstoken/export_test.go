package accesstoken

// Signed reports whether a compact JWS of any content is spelled canonically and
// signed by the key, with its algorithm: the part of Verify that is about
// signatures.
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

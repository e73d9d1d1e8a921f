package strictjson

// IsFlat reports whether the fast check accepts an object with these members.
func IsFlat(data []byte, known []string) bool { return objectRules{allowedNames: known}.isFlat(data) }

// CheckTokens runs the complete check, which must accept every object that IsFlat accepts.
func CheckTokens(data []byte, known []string) error {
	return objectRules{allowedNames: known}.checkTokens(data)
}

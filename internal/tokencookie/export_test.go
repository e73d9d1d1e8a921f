package tokencookie

var UsesPartitioned = usesPartitioned

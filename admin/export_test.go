package admin

// DecideAccess is the rule of access.
var DecideAccess = decideAccess

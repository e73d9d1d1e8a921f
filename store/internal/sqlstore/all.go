package sqlstore

// A Statement is one text, and what its rows are found by: what a shard would
// have to be found by.
type Statement struct {
	Name, Text string
	By         Key
}

// A Key is what a statement gives to find its rows.
type Key string

const (
	ByUser           Key = "user id"
	ByUserAndAddress Key = "user id; the address has to be free everywhere"
	ByAddress        Key = "address"
	BySession        Key = "session id"
	BySessionAndUser Key = "session id, then the id of its user"
	ByHash           Key = "hash of a mailed token"
	ByMail           Key = "id of the mail"
	ByLimit          Key = "key of the limit"
	ByAge            Key = "in the background, by age"
	ByOperator       Key = "by an operator, in order of address"
	ByNumber         Key = "in the background, by number of the feed"
	OfFeed           Key = "nothing: the one row of the feed"
	OfKeys           Key = "nothing: the keys, a handful"
	AllSignups       Key = "by an operator, in order of address and id"
	AllSessions      Key = "by an operator, in order of ids"
	OfOutbox         Key = "nothing: the mail that waits, all of it"
)

// Statements lists them all.
func Statements() []Statement { return append(accountStatements(), serviceStatements()...) }

// accountStatements are those of accounts, sessions and mail.
func accountStatements() []Statement {
	return []Statement{
		{"insertUser", insertUser, ByUserAndAddress},
		{"selectReserved", selectReserved, ByAddress},
		{"selectUser", selectUser, ByUser},
		{"selectUserByEmail", selectUserByEmail, ByAddress},
		{"selectUsers", selectUsers, ByOperator},
		{"lockUser", lockUser, ByUser},
		{"updateName", updateName, ByUser},
		{"updateRoles", updateRoles, ByUser},
		{"updateDisabled", updateDisabled, ByUser},
		{"updatePassword", updatePassword, ByUser},
		{"replacePassword", replacePassword, ByUser},
		{"updateEmail", updateEmail, ByUserAndAddress},
		{"selectReservedElse", selectReservedElse, ByAddress},
		{"updateVerified", updateVerified, ByUser},
		{"proveFirst", proveFirst, ByUser},
		{"deleteUser", deleteUser, ByUser},
		{"deleteUserEvents", deleteUserEvents, ByUser},
		{"deleteUserMails", deleteUserMails, ByUser},

		{"insertSignup", insertSignup, ByAddress},
		{"selectSignups", selectSignups, ByAddress},
		{"takeSignup", takeSignup, ByAddress},
		{"nextSignups", nextSignups, AllSignups},
		{"sealSignup", sealSignup, ByAddress},
		{"deleteSignups", deleteSignups, ByAddress},
		{"deleteUserSignups", deleteUserSignups, ByUserAndAddress},

		{"insertSession", insertSession, BySession},
		{"selectSession", selectSession, BySessionAndUser},
		{"selectSessions", selectSessions, ByUser},
		{"rotateSession", rotateSession, BySessionAndUser},
		{"forgive", forgive, BySession},
		{"endSession", endSession, BySession},
		{"endSessions", endSessions, ByUser},
		{"endOldest", endOldest, ByUser},
		{"endNext", endNext, AllSessions},

		{"insertMailToken", insertMailToken, ByHash},
		{"selectMailToken", selectMailToken, ByHash},
		{"selectMailTokens", selectMailTokens, ByUser},
		{"extendMailToken", extendMailToken, ByHash},
		{"takeMailToken", takeMailToken, ByHash},
		{"deleteMailTokens", deleteMailTokens, ByUser},
		{"deleteLaterMails", deleteLaterMails, ByUser},
		{"deleteSentTokens", deleteSentTokens, ByAddress},
		{"lastMailToken", lastMailToken, ByUser},
		{"selectSentTokens", selectSentTokens, ByAddress},

		{"insertMail", insertMail, ByMail},
		{"claimMail", claimMail, ByAge},
		{"postponeMail", postponeMail, ByMail},
		{"deleteMail", deleteMail, ByMail},
		{"selectMails", selectMails, OfOutbox},
		{"retryMail", retryMail, ByMail},
		{"retryMails", retryMails, OfOutbox},
		{"outbox", outbox, OfOutbox},

		{"insertEvent", insertEvent, ByUser},
		{"selectEvents", selectEvents, ByUser},
	}
}

// serviceStatements are those that belong to no account.
func serviceStatements() []Statement {
	return []Statement{
		{"insertKey", insertKey, OfKeys},
		{"selectKeys", selectKeys, OfKeys},
		{"updateKey", updateKey, OfKeys},
		{"deleteKey", deleteKey, OfKeys},
		{"holdKey", holdKey, OfKeys},
		{"sealKey", sealKey, OfKeys},

		{"lockFeed", lockFeed, OfFeed},
		{"advanceFeed", advanceFeed, OfFeed},
		{"numberSessions", numberSessions, ByAge},
		{"numberUsers", numberUsers, ByAge},
		{"selectFeedState", selectFeedState, ByAge},
		{"selectFeed", selectFeed, ByNumber},

		{"charge", charge, ByLimit},
		{"selectLimit", selectLimit, ByLimit},
		{"refund", refund, ByLimit},

		{"sweepSessions", sweepSessions, ByAge},
		{"sweepMailTokens", sweepMailTokens, ByAge},
		{"sweepEvents", sweepEvents, ByAge},
		{"selectLimitMark", selectLimitMark, ByAge},
		{"sweepLimits", sweepLimits, ByAge},
		{"sweepMails", sweepMails, ByAge},
		{"sweepSignups", sweepSignups, ByAge},
	}
}

// All lists their texts.
func All() (texts []string) {
	for _, s := range Statements() {
		texts = append(texts, s.Text)
	}
	return texts
}

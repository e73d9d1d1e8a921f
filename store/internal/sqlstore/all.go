package sqlstore

import "slices"

// A Statement is the text of one SQL statement and the key by which it finds its rows. In a sharded deployment, that
// key would select the shard. docs/scale.md lists all statements.
type Statement struct {
	Name, Text string
	By         Key
}

// A Key describes how a statement finds its rows, as text for docs/scale.md.
type Key string

const (
	ByUser             Key = "user id"
	ByUserAndAddress   Key = "user id; the address must be free on every shard"
	ByAddress          Key = "address"
	BySession          Key = "session id"
	BySessionAndUser   Key = "session id, then the user id of the session"
	ByHash             Key = "hash of a mailed token"
	ByMail             Key = "id of the mail"
	ByLimit            Key = "key of the limit"
	ByCallback         Key = "kind and id of the callback"
	ByFactor           Key = "id of the factor or challenge"
	ByChallengeAndUser Key = "id of the challenge, then the user id of the challenge"
	ByIdentity         Key = "id of the identity"
	BySubject          Key = "issuer and subject of the identity"
	ByUserAndSubject   Key = "user id; issuer and subject must be free on every shard"
	ByAge              Key = "in the background, by age"
	ByOperator         Key = "by an operator, in order of address"
	ByRequest          Key = "by an operator, by request id"
	ByNumber           Key = "in the background, by the number of a feed event"
	FeedRow            Key = "the only row of the table"
	AllKeys            Key = "all keys (few rows)"
	AllSignups         Key = "by an operator, in order of address and id"
	AllSessions        Key = "by an operator, in order of id"
	AllFactors         Key = "by an operator, in order of id"
	AllMails           Key = "the outbox (unsent mail only)"
	ByRole             Key = "by an administrator, by role in order of id"
	ByServiceKey       Key = "id of the service key"
	AllServiceKeys     Key = "by an administrator, in order of id"
	ByRecord           Key = "owner and key of the request"
	ByTime             Key = "by an administrator, by time"
)

// Statements lists all statements. The stores prepare only these, so a statement that is missing here returns an
// error when it runs. A test compares the list with the constants of the package.
func Statements() []Statement {
	return slices.Concat(accountStatements(), factorStatements(), AdminStatements(), serviceStatements())
}

// accountStatements lists the statements of accounts, sessions and mail. If the database were sharded by user, most
// of them would find all their rows on one shard. The function is long because it is one table.
func accountStatements() []Statement {
	return []Statement{
		{"insertUser", insertUser, ByUserAndAddress},
		{"selectReserved", selectReserved, ByAddress},
		{"selectUser", selectUser, ByUser},
		{"selectUserByEmail", selectUserByEmail, ByAddress},
		{"selectUsers", selectUsers, ByOperator},
		{"lockUser", lockUser, ByUser},
		{"updateName", updateName, ByUser},
		{"updateLocale", updateLocale, ByUser},
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
		{"rotateKnown", rotateKnown, BySessionAndUser},
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
		{"selectMails", selectMails, AllMails},
		{"retryMail", retryMail, ByMail},
		{"retryMails", retryMails, AllMails},
		{"outbox", outbox, AllMails},

		{"queueSignup", queueSignup, ByUser},
		{"deleteSignupCallback", deleteSignupCallback, ByUser},
		{"selectSessionAlone", selectSessionAlone, BySession},

		{"insertEvent", insertEvent, ByUser},
		{"selectEvents", selectEvents, ByUser},
		{"selectLastEvent", selectLastEvent, ByUser},
		{"selectRequestEvents", selectRequestEvents, ByRequest},
	}
}

// factorStatements lists the statements of second factors and of identities.
func factorStatements() []Statement {
	return []Statement{
		{"insertChallenge", insertChallenge, ByFactor},
		{"insertLoginChallenge", insertLoginChallenge, ByChallengeAndUser},
		{"selectChallenge", selectChallenge, ByFactor},
		{"claimChallenge", claimChallenge, ByFactor},
		{"takeChallenge", takeChallenge, ByFactor},
		{"deleteChallenges", deleteChallenges, ByUser},
		{"deleteOldChallenges", deleteOldChallenges, ByUser},
		{"insertDevice", insertDevice, ByFactor},
		{"selectDevices", selectDevices, ByUser},
		{"useDevice", useDevice, ByFactor},
		{"deleteDevice", deleteDevice, ByFactor},
		{"deleteDevices", deleteDevices, ByUser},
		{"deleteOldDevices", deleteOldDevices, ByUser},

		{"insertFactor", insertFactor, ByFactor},
		{"selectFactors", selectFactors, ByUser},
		{"selectUserWithFactors", selectUserWithFactors, ByUser},
		{"claimStep", claimStep, ByFactor},
		{"renameFactor", renameFactor, ByFactor},
		{"deleteFactor", deleteFactor, ByFactor},
		{"deleteFactors", deleteFactors, ByUser},
		{"countFactors", countFactors, ByUser},
		{"lockFactors", lockFactors, ByUser},
		{"deleteFactorsSince", deleteFactorsSince, ByUser},
		{"deleteCodesSince", deleteCodesSince, ByUser},
		{"deleteDevicesSince", deleteDevicesSince, ByUser},
		{"selectSealedFactors", selectSealedFactors, AllFactors},
		{"sealFactor", sealFactor, ByFactor},

		{"selectByCredential", selectByCredential, ByFactor},
		{"claimCount", claimCount, ByFactor},
		{"consumeChallenge", consumeChallenge, ByFactor},

		{"insertIdentity", insertIdentity, ByUserAndSubject},
		{"selectIdentity", selectIdentity, BySubject},
		{"selectIdentities", selectIdentities, ByUser},
		{"selectStranded", selectStranded, AllFactors},
		{"useIdentity", useIdentity, ByIdentity},
		{"deleteIdentity", deleteIdentity, ByIdentity},
		{"deleteIdentities", deleteIdentities, ByUser},
		{"deleteIdentitiesSince", deleteIdentitiesSince, ByUser},

		{"insertRecoveryCode", insertRecoveryCode, ByUser},
		{"selectRecoveryCodes", selectRecoveryCodes, ByUser},
		{"takeRecoveryCode", takeRecoveryCode, ByUser},
		{"deleteRecoveryCodes", deleteRecoveryCodes, ByUser},
		{"proveSession", proveSession, BySession},

		{"selectMetadata", selectMetadata, ByUser},
		{"selectPrivate", selectPrivate, ByOperator},
		{"setMetadata", setMetadata, ByUser},
		{"deleteMetadata", deleteMetadata, ByUser},
	}
}

// AdminStatements lists the statements of package admin. A test of each store checks their query plans.
func AdminStatements() []Statement {
	return []Statement{
		{"insertRole", insertRole, ByUser},
		{"deleteRoles", deleteRoles, ByUser},
		{"deleteIdempotency", deleteIdempotency, ByUser},
		{"selectAccounts", selectAccounts, ByOperator},
		{"lastAccount", lastAccount, ByOperator},
		{"lastWithRole", lastWithRole, ByRole},
		{"selectRoleAccounts", selectRoleAccounts, ByRole},
		{"selectAccount", selectAccount, ByUser},
		{"selectSessionsOf", selectSessionsOf, ByUser},
		{"hasAdmin", hasAdmin, ByRole},

		{"insertServiceKey", insertServiceKey, ByServiceKey},
		{"selectServiceKey", selectServiceKey, ByServiceKey},
		{"selectServiceKeys", selectServiceKeys, AllServiceKeys},
		{"revokeServiceKey", revokeServiceKey, ByServiceKey},
		{"touchServiceKey", touchServiceKey, ByServiceKey},
		{"sweepServiceKeys", sweepServiceKeys, ByAge},

		{"claimRecord", claimRecord, ByRecord},
		{"selectRecord", selectRecord, ByRecord},
		{"finishRecord", finishRecord, ByRecord},
		{"dropRecord", dropRecord, ByRecord},
		{"sweepRecords", sweepRecords, ByAge},

		{"selectEventsBefore", selectEventsBefore, ByTime},
		{"selectUserEvents", selectUserEvents, ByUser},
		{"selectSystemEvents", selectSystemEvents, ByTime},
		{"selectMailsAfter", selectMailsAfter, AllMails},
		{"selectUserMails", selectUserMails, ByUser},
		{"countUsers", countUsers, ByOperator},
		{"countLive", countLive, AllSessions},
		{"countEvents", countEvents, ByTime},
	}
}

// serviceStatements lists the statements whose rows belong to no account.
func serviceStatements() []Statement {
	return []Statement{
		{"insertKey", insertKey, AllKeys},
		{"selectKeys", selectKeys, AllKeys},
		{"updateKey", updateKey, AllKeys},
		{"deleteKey", deleteKey, AllKeys},
		{"holdKey", holdKey, AllKeys},
		{"sealKey", sealKey, AllKeys},

		{"lockFeed", lockFeed, FeedRow},
		{"advanceFeed", advanceFeed, FeedRow},
		{"numberSessions", numberSessions, ByAge},
		{"numberUsers", numberUsers, ByAge},
		{"selectFeedState", selectFeedState, ByAge},
		{"selectFeed", selectFeed, ByNumber},

		{"selectQueued", selectQueued, ByNumber},
		{"advanceQueued", advanceQueued, FeedRow},
		{"queueEnded", queueEnded, ByNumber},
		{"queueExpired", queueExpired, ByAge},
		{"claimCallbacks", claimCallbacks, ByAge},
		{"postponeCallback", postponeCallback, ByCallback},
		{"deleteCallback", deleteCallback, ByCallback},

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
		{"sweepCallbacks", sweepCallbacks, ByAge},
		{"sweepChallenges", sweepChallenges, ByAge},
		{"sweepDevices", sweepDevices, ByAge},
	}
}

// All returns the texts of Statements.
func All() (texts []string) {
	for _, s := range Statements() {
		texts = append(texts, s.Text)
	}
	return texts
}

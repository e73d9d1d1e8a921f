package userfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file reads whether an account is disabled. An account that is disabled in the other system must not become
// enabled because its column has an unusual name. Therefore:
//
//   - One column that marks the account as disabled is enough.
//   - An unknown column is unsettled if its name suggests that it says who is disabled. The operator
//     must name or ignore such a column (Reader.Unsettled).
//   - A value that can't be read is a problem. An empty value is also a problem in a column where
//     "true" means enabled.

// A columnMeaning defines how to read the values of a column.
type columnMeaning int

const (
	disabledIf     columnMeaning = iota + 1 // true, or the date at which the account was disabled
	enabledIf                               // true, or the date at which the account was enabled
	disabledUntil                           // a date: the account is disabled until this date
	enabledUntil                            // a date: the account is disabled after this date
	statusWord                              // one of disabledWords or enabledWords, or one of listedWords
	accountControl                          // userAccountControl of Active Directory
)

type columnRule struct {
	column       string
	meaning      columnMeaning
	listedWords  []string // nil: disabledWords
	listsEnabled bool     // listedWords mean enabled, not disabled
}

// stateColumnNames are the known names of columns that say who is disabled. They are compared folded.
var stateColumnNames = map[columnMeaning][]string{
	disabledIf: {
		"disabled", "isDisabled", "disabledAt", "banned", "isBanned", "bannedAt", "blocked", "isBlocked", "block",
		"blockedAt", "suspended", "isSuspended", "suspendedAt", "locked", "isLocked", "lockedAt", "accountLocked",
		"isLockedOut", "lockedOut", "lockedOutAt", "deleted", "isDeleted", "deletedAt", "deletedOn", "dateDeleted",
		"deletionTime", "softDeleted", "softDeletedAt", "deactivated", "isDeactivated", "deactivatedAt", "archived",
		"isArchived", "archivedAt", "discardedAt", "inactive", "isInactive", "inactiveAt", "removedAt", "isRemoved",
		"removed", "forbidden", "isForbidden", "terminatedAt", "isTerminated", "closedAt", "isClosed", "revokedAt",
		"isRevoked", "blacklisted", "isBlacklisted", "frozen", "isFrozen", "accountDisabled", "userDisabled",
		"loginDisabled", "nsAccountLock", "pwdAccountLockedTime", "silencedForever", "trashed", "isTrashed", "trashedAt",
		"dateDeactivated", "dateBanned", "dateSuspended", "accountExpired", "isExpired", "accountSuspended",
		"accountBanned", "accountBlocked", "accountDeleted", "accountDeactivated", "barred", "isArchivedUser",
		"userBlocked", "userBanned",
	},
	enabledIf: {
		"enabled", "isEnabled", "active", "isActive", "activated", "isActivated", "approved", "isApproved",
		"accountEnabled", "userEnabled", "accountNonLocked", "isAccountNonLocked", "accountNonExpired",
		"isAccountNonExpired", "accountActive", "userActive", "loginEnabled", "canLogin", "loginAllowed", "allowLogin",
		"canSignIn", "isAllowed", "isUserActive", "isAccountActive", "isAccountEnabled",
	},
	disabledUntil: {
		"bannedUntil", "bannedTill", "banExpires", "banExpiresAt", "banUntil", "banExpiry", "lockoutEnd",
		"lockoutEndDateUtc", "lockoutUntil", "lockedUntil", "lockUntil", "lockExpires", "lockExpiresAt", "suspendedUntil",
		"suspendedTill", "suspensionEnd", "suspensionEndsAt", "suspendUntil", "blockedUntil", "blockExpires", "blockUntil",
		"blockExpiresAt", "disabledUntil", "lockedOutUntil", "accountLockedUntil", "deactivatedUntil", "inactiveUntil",
	},
	enabledUntil: {"accountExpires", "accountExpiresAt", "accountExpiryDate", "validUntil", "validTo", "activeUntil"},
	statusWord: {
		"status", "state", "accountStatus", "accountState", "userStatus", "userState", "lifecycleState", "loginStatus",
		"memberStatus", "statusName", "identityState", "cognito:user_status",
	},
	accountControl: {"userAccountControl"},
}

// meaningOf returns how to read the column with a known name, or 0 for any other name.
func meaningOf(name string) columnMeaning {
	plain := folded(name)
	for m, names := range stateColumnNames {
		if slices.ContainsFunc(names, func(each string) bool { return folded(each) == plain }) {
			return m
		}
	}
	return 0
}

// Known words in columns such as status.
var (
	disabledWords = strings.Fields("suspended deprovisioned disabled inactive blocked banned locked lockedout deleted " +
		"deactivated archived closed " +
		"terminated revoked removed frozen forbidden rejected denied cancelled canceled expired softdeleted compromised " +
		"staged onhold paused " +
		"withdrawn dormant retired barred trashed spam quarantined blacklisted unapproved locked_out stopped quit left")
	enabledWords = strings.Fields("active enabled ok normal confirmed verified open live approved current valid " +
		"registered published provisioned " +
		"passwordexpired recovery resetrequired forcechangepassword externalprovider activated unlocked unverified " +
		"unconfirmed")
	temporaryWords = strings.Fields("resetrequired forcechangepassword")
)

// Problems of a column that should say who is disabled.
const (
	emptyState = "is empty, which is neither enabled nor disabled. Fill it in, or name the values that mean disabled, " +
		"as in --disabled '%[1]s=false' (or '%[1]s=' for the empty one); --ignore %[1]s if it is about something else"
	oddState = "is neither true nor false nor a date. Name the values that mean disabled: --disabled " +
		"'%[1]s=VALUE,VALUE'; --ignore %[1]s if it is about something else"
	oddUntil = "is not an end date. Name the values that mean disabled: --disabled '%[1]s=VALUE,VALUE'; --ignore " +
		"%[1]s if it is about something else"
	oddWord = "has %s, which is not a known word for enabled or disabled. Name the words that mean disabled: " +
		"--disabled '%[2]s=WORD,WORD'; --ignore %[2]s if it is about something else"
)

// A columnState is the state of an account according to one column.
type columnState struct {
	disabled           bool
	disabledAt         time.Time // or zero
	isExpired          bool      // the end of a temporary ban has passed
	mustChangePassword bool
	problem            string
}

func (r columnRule) readState(value any, now time.Time) columnState {
	if r.listedWords != nil {
		text, ok := parseText(value)
		plain := strings.TrimSpace(text)
		found := slices.ContainsFunc(r.listedWords, func(w string) bool { return strings.EqualFold(plain, w) })
		if !ok {
			return columnState{problem: fmt.Sprintf(oddWord, "a value", r.column)}
		}
		return columnState{disabled: found != r.listsEnabled}
	}
	switch r.meaning {
	case disabledUntil, enabledUntil:
		return r.readUntil(value, now)
	case statusWord:
		return r.readWord(value)
	case accountControl:
		text, _ := parseText(value)
		flags, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return columnState{problem: fmt.Sprintf(oddState, r.column)}
		}
		return columnState{disabled: flags&2 != 0}
	}
	return r.readMark(value)
}

func (r columnRule) readMark(value any) columnState {
	if isEmpty(value) {
		if r.meaning == enabledIf {
			return columnState{problem: fmt.Sprintf(emptyState, r.column)}
		}
		return columnState{}
	}
	mark, ok := parseMark(value)
	if text, isText := parseText(value); !ok && isText {
		if text == lockedForever {
			return columnState{disabled: r.meaning == disabledIf}
		}
		if s := r.readWord(value); s.problem == "" && r.meaning == enabledIf { // a known word, such as active=suspended
			return s
		}
	}
	switch {
	case !ok:
		return columnState{problem: fmt.Sprintf(oddState, r.column)}
	case r.meaning == enabledIf:
		return columnState{disabled: !mark.Set}
	}
	return columnState{disabled: mark.Set, disabledAt: mark.At}
}

// lockedForever is the value in LDAP for an account that an administrator locked
// (draft-behera-ldap-password-policy, section 5.3.3).
const lockedForever = "000001010000Z"

func (r columnRule) readUntil(value any, now time.Time) columnState {
	text, ok := parseText(value)
	text = strings.ToLower(strings.TrimSpace(text))
	never := text == "" || text == "0" || text == "false" || text == "f" || text == "-infinity"
	switch {
	case ok && (text == "infinity" || text == "never" || text == "forever" || text == "9223372036854775807"):
		return columnState{disabled: r.meaning == disabledUntil && text != "never"}
	case ok && never, isEmpty(value):
		return columnState{}
	case ok && (text == "true" || text == "t" || text == "1"):
		return columnState{disabled: r.meaning == disabledUntil}
	}
	at, ok := parseTime(value)
	switch {
	case !ok:
		return columnState{problem: fmt.Sprintf(oddUntil, r.column)}
	case at.IsZero():
		return columnState{}
	case r.meaning == enabledUntil:
		return columnState{disabled: !at.After(now), disabledAt: earlier(at, now)}
	}
	return columnState{disabled: at.After(now), isExpired: !at.After(now)}
}

func earlier(at, now time.Time) time.Time {
	if at.After(now) {
		return time.Time{}
	}
	return at
}

// showableWord matches a value that an error may show: one short word or number.
var showableWord = regexp.MustCompile(`^\pL[\pL _-]{0,29}$|^\d{1,3}$`)

func (r columnRule) readWord(value any) columnState {
	text, ok := parseText(value)
	plain := folded(strings.TrimSpace(text))
	switch {
	case ok && slices.Contains(disabledWords, plain):
		return columnState{disabled: true}
	case ok && slices.Contains(enabledWords, plain):
		return columnState{mustChangePassword: slices.Contains(temporaryWords, plain)}
	}
	shown := "a word"
	if text = strings.TrimSpace(text); showableWord.MatchString(text) {
		shown = strconv.Quote(text)
	}
	if text == "" {
		return columnState{problem: fmt.Sprintf(emptyState, r.column)}
	}
	return columnState{problem: fmt.Sprintf(oddWord, shown, r.column)}
}

// linkingStems are parts of names that connect a column with the column of its end date, such as banned with
// banExpires.
var linkingStems = strings.Fields("ban block suspend suspens lock disab delet deactiv")

func stemOf(name string) string {
	plain := folded(name)
	for _, stem := range linkingStems {
		if strings.Contains(plain, stem) {
			return stem
		}
	}
	return ""
}

// disabledBy reports whether the account is disabled according to the values of all columns in rules. It ignores a
// column such as banned if a column with the same stem, such as banExpires, contains an end date that has passed.
func disabledBy(
	rules []columnRule, values map[string]any, now time.Time,
) (mark Mark, temporary bool, problems []string) {
	over := map[string]bool{}
	var read []columnState
	for _, r := range rules {
		value, _, _ := valueAtPath(values, r.column)
		s := r.readState(value, now)
		read = append(read, s)
		if s.problem != "" {
			problems = append(problems, fmt.Sprintf("the column %s %s", r.column, s.problem))
		}
		if s.isExpired {
			over[stemOf(r.column)] = true
		}
		temporary = temporary || s.mustChangePassword
	}
	for i, s := range read {
		flag := rules[i].listedWords == nil && rules[i].meaning == disabledIf
		if !s.disabled || flag && over[stemOf(rules[i].column)] {
			continue
		}
		if !mark.Set || mark.At.IsZero() {
			mark = Mark{Set: true, At: s.disabledAt}
		}
	}
	return mark, temporary, problems
}

// parseRules parses --disabled and --verified: names of columns, separated by commas. A name can have one of these
// forms:
//
//   - NAME=WORD,WORD gives the words that mean disabled (or verified).
//   - !NAME means the opposite.
//   - NAME:until means that the column contains an end date.
func parseRules(text string) (rules []columnRule) {
	mayAddWord := false // the next part can be another word of the last rule
	for part := range strings.SplitSeq(text, ",") {
		name, first, hasWords := strings.Cut(part, "=")
		if mayAddWord && !hasWords {
			last := &rules[len(rules)-1]
			last.listedWords = append(last.listedWords, strings.TrimSpace(part))
			continue
		}
		r := columnRule{}
		name, r.listsEnabled = strings.CutPrefix(strings.TrimSpace(name), "!")
		name, until := strings.CutSuffix(name, ":until")
		r.column, r.meaning = name, meaningOf(name)
		switch {
		case hasWords:
			r.meaning, r.listedWords, mayAddWord = statusWord, []string{strings.TrimSpace(first)}, true
		case until && r.listsEnabled:
			r.meaning = enabledUntil
		case until:
			r.meaning = disabledUntil
		case r.listsEnabled && (r.meaning == 0 || r.meaning == disabledIf):
			r.meaning = enabledIf
		case r.meaning == 0 && untilName(name):
			r.meaning = disabledUntil
		case r.meaning == 0:
			r.meaning = disabledIf
		}
		rules = append(rules, r)
	}
	return rules
}

func untilName(name string) bool {
	return slices.ContainsFunc(splitName(name), func(w string) bool {
		return w == "until" || w == "till" || strings.HasPrefix(w, "expir") || w == "end" || w == "ends"
	})
}

// These lists recognize the name of a column that may say who is disabled. At least one word of the name must be in
// shortWords or contain one of stateStems. No word of the name may be in otherWords or contain one of otherStems.
var (
	shortWords = strings.Fields("ban bans banned lock locks locked lockout locking state states valid left hold del " +
		"live dead spam spammer isspam")
	stateStems = strings.Fields("block suspen disab enabl activ delet archiv deprov status expir forbid terminat revok " +
		"removed closed frozen " +
		"approv blacklist denylist denied quarantin trash discard retired barred restrict kicked standing nonlocked " +
		"nonexpired lifecycle banned locked flagged offboard withdrawn cancel reject " +
		"purged erased anonymis anonymiz resign stopped paused muted silenced gesperrt aktiv actif delflag")
	otherWords = strings.Fields("activity activities activation interactive token code key attempts last twofactor two " +
		"mfa totp otp 2fa phone sms " +
		"notification notifications newsletter marketing subscription subscriptions subscribe push webauthn passkey " +
		"password reset recovery unlock " +
		"email emails mail address addresses verifiable billing shipping country city zip marital plan payment stripe " +
		"avatar image theme beta feature features session refresh access api oauth provider blocks organization")
	otherStems = strings.Fields("token password notif newsletter subscri session twofactor activation activity payment")
)

// A column with one of detailWords only explains a column with the same stem: deleted_by explains deleted_at. A
// column with one of changeWords only says when a column such as status has changed. Such a column is not needed if
// the column that it refers to is read.
var (
	detailWords = strings.Fields("by reason comment note message")
	changeWords = strings.Fields("changed updated modified")
)

// anyStem represents a column such as status in a list of stems, because its name contains no stem.
const anyStem = "*"

// suggestsState reports whether the name of a column suggests that the column says who is disabled. The argument
// stemsRead contains the stems of columns that are already read for this purpose.
func suggestsState(name string, stemsRead []string) bool {
	words := splitName(name)
	has := func(list []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	speaks := has(shortWords) || slices.ContainsFunc(words, func(w string) bool {
		return slices.ContainsFunc(stateStems, func(stem string) bool { return strings.Contains(w, stem) })
	})
	isOtherSubject := slices.ContainsFunc(words, func(w string) bool { // such as resetpasswordtokenexpiry
		return slices.ContainsFunc(otherStems, func(stem string) bool { return strings.Contains(w, stem) })
	})
	switch {
	// lockoutenabled (ASP.NET) only says whether failed sign-ins may lock the account.
	case !speaks, isOtherSubject, has(otherWords), folded(name) == "lockoutenabled":
		return false
	case has(detailWords) && slices.Contains(stemsRead, stemOf(name)), has(changeWords) && slices.Contains(stemsRead,
		anyStem):
		return false
	}
	return true
}

// suggestsVerified reports whether a column may say that the address is verified.
func suggestsVerified(name string) bool {
	words := splitName(name)
	speaks := slices.ContainsFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "verif") || strings.HasPrefix(w, "confirm") || strings.HasPrefix(w, "validat")
	})
	return speaks && !slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains(otherWords, w) && w != "email" && w != "emails" && w != "mail" && w != "address" ||
			w == "sent" || w == "identity" || w == "unverified" || w == "verifier"
	})
}

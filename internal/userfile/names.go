package userfile

import (
	"slices"
	"strings"
	"unicode"
)

// This file has the column names of other systems. A name is first compared exactly, and then folded: "Password Hash"
// equals password_hash. Dots separate the names of nested members.

type fieldNames struct {
	field Field
	names []string // in order of preference; the first one with a value counts
}

// wellKnown contains the column names that are recognized without a flag. First and last name take precedence over a
// whole name, because a column "name" often holds the login name.
var wellKnown = [...]fieldNames{
	{ID, []string{"id", "_id", "localId", "uid", "userId", "uuid", "sub"}},
	{Email, []string{
		"email", "emailAddress", "mail", "userEmail", "primaryEmail", "primaryEmailAddress", "userEmailAddress", "userMail",
		"profile.email", "traits.email", "emails.address", "emails.0.address", "emails.value", "emails.email", "emails",
		"email_addresses.email_address", "email.email", "human.email.email", "profile.login",
	}},
	{PasswordHash, slices.Concat(passwordNames, []string{"hash"})},
	{Salt, []string{"salt", "passwordSalt", "hashSalt", "credentials.password.hash.salt",
		"custom_password_hash.salt.value"}},
	{Algorithm, []string{
		"passwordAlgorithm", "encryptionScheme", "passwordHasher", "passwordEncryptionMethod", "passwordType",
		"hashAlgorithm", "passwordHashAlgorithm", "hashType", "credentials.password.hash.algorithm",
		"custom_password_hash.algorithm",
	}},
	{Factor, []string{
		"factor", "iterations", "workFactor", "hashIterations", "passwordIterations",
		"credentials.password.hash.workFactor", "credentials.password.hash.iterationCount",
	}},
	{Temporary, []string{
		"temporary", "passwordTemporary", "isTemporaryPassword", "passwordChangeRequired", "mustChangePassword",
		"forcePasswordChange", "forceChangePassword", "needUpdatePassword", "passwordResetRequired",
		"changePasswordRequired", "mustResetPassword", "requirePasswordChange", "requirePasswordReset",
		"needsPasswordReset", "forcePasswordReset", "needsNewPassword", "pwdReset", "mustChangePasswordOnNextLogin",
		"userMustChangePassword", "resetPasswordRequired", "passwordNeedsReset",
	}},
	{FirstName, []string{"firstName", "givenName", "profile.firstName", "traits.name.first", "traits.firstName",
		"name.first", "name.givenName"}},
	{LastName, []string{"lastName", "familyName", "surname", "profile.lastName", "traits.name.last", "traits.lastName",
		"name.last", "name.familyName"}},
	{Name, []string{"name", "displayName", "fullName", "cn", "profile.displayName", "profile.name", "traits.name",
		"username", "userLogin", "traits.username"}},
	{Locale, []string{"locale", "preferredLanguage", "preferredLocale", "traits.locale"}},
	{EmailVerified, slices.Concat(emailVerifiedNames, verifiedNames)},
	{Roles, []string{"roles", "role", "realmRoles"}},
	{CreatedAt, []string{
		"createdAt", "createdTimestamp", "dateJoined", "created", "createdTime", "createdOn", "createdDate", "dateCreated",
		"creationDate", "creationTime", "createDate", "createTime", "registeredAt", "userRegistered", "userRegdate",
		"registrationDate", "registerDate", "regdate", "joinedAt", "signupDate", "signedUpAt", "userCreateDate",
		"insertInstant", "createTimestamp", "whenCreated", "accountCreated",
	}},
	{TOTP, []string{
		"totpSecret", "otpSecret", "twoFactorSecret", "mfaSecret", "tfaSecret", "2faSecret", "twoFactorAuthSecret",
		"google2faSecret", "googleAuthenticatorSecret", "otpSecretKey", "totpKey", "otpauthUrl", "otpauthUri", "otpauth",
		"totpUri", "totpUrl", "totp.secret", "otp.secret", "twoFactor.secret", "mfa.secret", "mfa.totp.secret",
		"twoFactorSecret.base32", "secret.base32", "secret.otpauth_url",
	}},
	{TOTPEnabled, []string{
		"totpEnabled", "isTotpEnabled", "otpEnabled", "twoFactorEnabled", "isTwoFactorEnabled", "twoFactorAuthEnabled",
		"is2faEnabled", "2faEnabled", "mfaEnabled", "isMfaEnabled", "tfaEnabled", "otpRequiredForLogin", "totpVerified",
		"otpVerified", "totpConfirmedAt", "totpVerifiedAt", "twoFactorConfirmedAt", "totp.enabled", "twoFactor.enabled",
		"mfa.enabled", "mfa.totp.enabled",
	}},
	{SecondFactors, []string{"secondFactors"}},
	{PublicMetadata, []string{"publicMetadata"}},
	{PrivateMetadata, []string{"privateMetadata"}},
}

// passwordNames are names of columns for password hashes. A column "hash" may hold a hash of something else, so it
// does not count if the file has one of these columns.
var passwordNames = []string{
	"passwordHash", "hashedPassword", "encryptedPassword", "passwordDigest", "passwordEncrypted", "cryptedPassword",
	"userPassword", "userPass", "password", "pass", "passwd", "credentials.password.config.hashed_password",
	"credentials.password.hash.value", "custom_password_hash.hash.value", "services.password.bcrypt",
	"services.password.argon2", "hashedPassword.value", "hashedPassword.hash",
}

// emailVerifiedNames are names of columns that say whether the address is verified. If the file has one of these
// columns, the columns in verifiedNames do not count. They may say that the person is verified, not the address.
var emailVerifiedNames = []string{
	"emailVerifiedAt", "emailVerified", "isEmailVerified", "emailConfirmedAt", "emailConfirmed", "isEmailConfirmed",
	"mailVerified", "emailIsVerified", "emailVerifiedOn", "emailVerifiedDate", "emailValidated", "isEmailValidated",
	"verifiedEmail", "emailVerification", "emailVerificationStatus", "emailStatus", "primaryEmailVerified",
	"userEmailVerified", "mailConfirmed", "emailConfirmationDate", "profile.emailVerified", "emails.verified",
	"emails.0.verified", "emails.isVerified", "verifiable_addresses.verified", "email_addresses.verification.status",
	"verifiedEmailAddresses", "human.email.isEmailVerified", "email.verified", "email.isEmailVerified",
}

var verifiedNames = []string{"verifiedAt", "verified", "isVerified", "confirmedAt", "confirmed", "isConfirmed",
	"userVerified", "accountVerified"}

var plainName = strings.NewReplacer("_", "", "-", "", " ", "", ":", "")

func folded(name string) string { return strings.ToLower(plainName.Replace(name)) }

// lookUpUse returns the field to which a well-known column name belongs. For any other name, it returns the zero
// columnUse.
func lookUpUse(name string) columnUse {
	for worse, fold := range []func(string) string{strings.Clone, folded} {
		for at, k := range &wellKnown {
			for i, each := range k.names {
				if fold(each) == fold(name) {
					return columnUse{field: k.field, fieldIndex: at, rank: 2*i + worse}
				}
			}
		}
	}
	return columnUse{}
}

// splitName splits a name into lower-case words: bannedUntil, banned_until and "Banned Until" are the same two words.
// A run of capitals is one word.
func splitName(name string) (words []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			words, word = append(words, strings.ToLower(string(word))), nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}

package apiexample

import "time"

// A memberNote describes all members that have the same name.
type memberNote struct {
	doc      string
	text     string // example of a text; URL is replaced by the public URL
	variable string // shell variable in examples of requests
	number   int64
	yes      bool
	none     bool        // the example is an empty list
	pairs    [][2]string // names and values of an example object
}

var exampleTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// The tokens are shortened, so that a page with many of them stays readable.
const (
	accessToken = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9…"
	eventToken  = "eyJhbGciOiJFUzI1NiIsInR5cCI6InNlY2V2ZW50K2p3dCJ9…"
	exampleID   = "019355c1-0001-7000-8000-2f6c1d4a9b3e"
	password    = "seven purple otters"
)

// EventToken is the example of an event of the revocation feed.
const EventToken = eventToken

var notes = map[string]memberNote{
	// Accounts.
	"id":            {doc: "Its UUID", text: exampleID},
	"_id":           {doc: "The same as id", text: exampleID},
	"email":         {doc: "Email address of the account", text: "ada@example.com"},
	"newEmail":      {doc: "The new email address", text: "ada@example.org"},
	"emailVerified": {doc: "Whether the address has been confirmed"},
	"name":          {doc: "Display name; may be empty", text: "Ada Lovelace"},
	"username":      {doc: "Display name", text: "Ada Lovelace"},
	"firstName":     {doc: "First part of the name", text: "Ada"},
	"lastName":      {doc: "Rest of the name", text: "Lovelace"},
	"roles":         {doc: "Roles of the account, set by an operator", none: true},
	"user":          {doc: "The account"},
	"createdAt":     {doc: "When it was created"},

	// Passwords and tokens.
	"password":        {doc: "Password of the account", text: password},
	"confirmPassword": {doc: "The password again", text: password},
	"passwordConfirm": {doc: "The password again", text: password},
	"currentPassword": {doc: "The password until now", text: password},
	"newPassword":     {doc: "The new password: 8 to 256 characters", text: "eight green herons"},
	"token": {
		doc:  "In a request the refresh token, in a response the access token",
		text: accessToken, variable: "MAIL_TOKEN",
	},
	"accessToken":  {doc: "Access token, a JWT", text: accessToken},
	"refreshToken": {doc: "Refresh token", text: "wwr_AQcBk1XB…", variable: "REFRESH_TOKEN"},
	"deviceToken":  {doc: "Token of a known device", text: "wwd_Xm3vT0…"},
	"tokenType":    {doc: "Type of the access token", text: "Bearer"},
	"expiresIn":    {doc: "Seconds until the access token expires", number: 900},
	"delivery":     {doc: "Where to return the refresh token", text: "body"},
	"keepCurrent":  {doc: "Do not end this session", yes: true},

	// Sessions.
	"sessions":   {doc: "Live sessions, the last used first"},
	"device":     {doc: "Name of the device", text: "Firefox on Linux"},
	"address":    {doc: "IP address of the last use", text: "203.0.113.7"},
	"lastUsedAt": {doc: "Time of the last refresh"},
	"expiresAt":  {doc: "When it expires"},
	"current":    {doc: "Whether the request belongs to it", yes: true},
	"ended":      {doc: "Number of sessions that ended", number: 2},

	// Messages and status values in responses.
	"message":  {doc: "One sentence for people", text: "Done."},
	"status":   {doc: "State of the server", text: "up"},
	"success":  {doc: "Always true in a success", yes: true},
	"feedback": {doc: "One sentence for people", text: "Check your inbox."},

	// Members of the documents for resource servers, such as the JWKS and the revocation feed.
	"keys": {doc: "JSON Web Keys", pairs: [][2]string{
		{"kty", "EC"}, {"crv", "P-256"}, {"alg", "ES256"}, {"use", "sig"},
		{"kid", "k1"}, {"x", "f83OJ3D2…"}, {"y", "x_FEzRu9…"},
	}},
	"issuer":                     {doc: "The `iss` of tokens", text: "URL"},
	"jwks_uri":                   {doc: "Where the public keys are", text: "URL/.well-known/jwks.json"},
	"response_types_supported":   {doc: "Always empty", none: true},
	"service_documentation":      {doc: "This page", text: "URL/docs"},
	"revocation_feed_endpoint":   {doc: "The revocation feed", text: "URL/revocations"},
	"revocation_stream_endpoint": {doc: "The revocation feed as a stream", text: "URL/revocations/stream"},
	"sets": {
		doc: "Security Event Tokens by jti", pairs: [][2]string{{"1795521600123456-" + exampleID, eventToken}},
	},
	"moreAvailable": {doc: "Whether to poll again at once"},
	"next":          {doc: "Where the next poll continues", number: 1795521600123456},
}

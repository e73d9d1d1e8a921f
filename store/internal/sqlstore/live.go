package sqlstore

import "regexp"

// An Effect says which users and sessions a statement can change. Some stores cache users and sessions for
// Store.Live. After the statement, such a store removes the changed users and sessions from its cache.
type Effect int

const (
	NoEffect    Effect = iota // changes no existing user or session
	ByArguments               // changes the users and sessions whose ids are arguments
	Everywhere                // can change any user or session
)

var changesRows = regexp.MustCompile(`^(UPDATE|DELETE FROM) (users|sessions) `)

// Effects returns the effect of each statement; the key is the text of the statement. A statement with the effect
// ByArguments has the ids of all changed users and sessions as arguments, of type watchword.UserID or SessionID.
//
// An INSERT does not change existing rows. numberSessions and numberUsers have no effect, because they set only
// feed_number, and neither Session nor User contains it.
func Effects() map[string]Effect {
	all := map[string]Effect{}
	for _, s := range Statements() {
		if s.Text == numberSessions || s.Text == numberUsers || !changesRows.MatchString(s.Text) {
			continue
		}
		switch s.By {
		case ByUser, ByUserAndAddress, BySession, BySessionAndUser:
			all[s.Text] = ByArguments
		default:
			all[s.Text] = Everywhere
		}
	}
	return all
}

package sqlstore

import "regexp"

// An Effect says which users and sessions a statement can change. A store that caches users and sessions for
// Store.Live removes these from its cache after the statement.
type Effect int

const (
	NoEffect    Effect = iota // changes only rows that it inserts
	ByArguments               // changes the users and sessions whose ids are arguments
	Everywhere                // can change any user or session
)

var changesRows = regexp.MustCompile(`^(UPDATE|DELETE FROM) (users|sessions) `)

// Effects returns the effect of each statement; the key is the text of the statement. For ByArguments, each changed
// user or session is an argument of type watchword.UserID or SessionID.
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

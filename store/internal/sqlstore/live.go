package sqlstore

import "regexp"

// An Effect describes which users and sessions a statement can change. A store that keeps
// such rows in memory, for Store.Live, drops them accordingly.
type Effect int

const (
	NoEffect    Effect = iota // only rows that it creates
	ByArguments               // the users and sessions whose ids are among its arguments
	Everywhere                // any
)

var changesRows = regexp.MustCompile(`^(UPDATE|DELETE FROM) (users|sessions) `)

// Effects returns the effect of each statement, by its text. A statement that finds its
// rows by an id (Statement.By) receives the id as a watchword.UserID or SessionID.
//
// An INSERT does not change existing rows. numberSessions and numberUsers set
// only feed_number, which neither a Session nor a User contains.
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

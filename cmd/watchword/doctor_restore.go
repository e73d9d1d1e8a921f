package main

import (
	"context"
	"fmt"

	"github.com/watchword-auth/watchword"
)

// checkRestore reports that the database went back to an earlier state. A server notices this
// when a browser presents a refresh token that is newer than its session. The server then
// stores an event. The operator may not know about the restore: a failover can lose commits,
// and a hosting company can restore a backup.
//
// After the operator has ended every session, the finding is ok instead of a warning. The store
// keeps the event for 90 days, so `watchword doctor` reports the restore during this time.
// Without the event, there is no finding.
func (d *checkup) checkRestore(ctx context.Context, operator watchword.Operator) {
	noticed, settled, err := operator.LastRestore(ctx)
	switch {
	case err != nil:
		d.fail("restore", errorLine(err), "Check the database.")
	case noticed.IsZero():
	case settled.IsZero():
		d.warn("restore", "a refresh token was newer than its session at "+tableTime(noticed)+
			": a backup was restored, or a failover lost changes.",
			"Run `watchword sessions end --all`. Used recovery codes and old passwords work again: "+
				"docs/operations.md, Restore, says what to do.")
	default:
		d.pass("restore", fmt.Sprintf("noticed at %s; every session was ended at %s", tableTime(noticed), tableTime(settled)))
	}
}

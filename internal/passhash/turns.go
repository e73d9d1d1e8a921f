package passhash

import "slices"

// clientTurns decides which client is served next. It is not safe for concurrent use.
//
// Clients take turns, one job each. A client that was served moves to the end of the round. It keeps its place in the
// round until its turn comes, even if it has no job. Therefore, while a job of one client waits, every other client
// is served at most once, however it distributes its jobs over time.
//
// A new client has no place in the round. It goes before the clients that were served already, as a new flow does in
// FQ-CoDel (RFC 8290). But between two jobs of clients that were served already, only one group of new clients is
// served. Therefore new clients can't stop the round.
type clientTurns struct {
	queues        map[string]*clientQueue
	round         []*clientQueue // in the order of service
	newClients    []*clientQueue // without a place in the round, oldest first
	servedNewLast bool           // after a group of new clients, a client of the round is next
}

// A clientQueue holds the waiting jobs of one client, oldest first.
type clientQueue struct {
	client          string
	jobs            []*job
	hasPlaceInRound bool // the client was served at least once
}

func (t *clientTurns) addJob(client string, j *job) {
	q := t.queues[client]
	if q == nil {
		q = &clientQueue{client: client}
		t.queues[client] = q
		t.newClients = append(t.newClients, q)
	}
	q.jobs = append(q.jobs, j)
}

// countAhead returns how many jobs of the client wait, and how many jobs of all clients would run before a new job of
// this client. Another client gets at most one job before each job of this client.
func (t *clientTurns) countAhead(client string) (waiting, ahead int) {
	own := t.queues[client]
	if own != nil {
		waiting = len(own.jobs)
	}
	ahead = waiting
	for _, q := range t.queues {
		before := waiting + 1
		if q.hasPlaceInRound && (own == nil || !own.hasPlaceInRound) {
			before-- // the first job of a fresh client goes before those of q
		}
		if q != own {
			ahead += min(len(q.jobs), before)
		}
	}
	return waiting, ahead
}

// takeDueJob removes the job that runs next from the queue and returns it. It returns nil if no job waits.
func (t *clientTurns) takeDueJob() *job {
	for len(t.round) > 0 && len(t.round[0].jobs) == 0 {
		delete(t.queues, t.round[0].client)
		t.round = slices.Delete(t.round, 0, 1)
	}
	if len(t.round) == 0 || t.round[0].hasPlaceInRound && !t.servedNewLast {
		t.servedNewLast = len(t.round) > 0 && len(t.newClients) > 0
		t.round, t.newClients = append(t.newClients, t.round...), nil
	}
	if len(t.round) == 0 {
		return nil
	}
	q := t.round[0]
	if q.hasPlaceInRound {
		t.servedNewLast = false
	}
	q.hasPlaceInRound = true
	t.round = append(slices.Delete(t.round, 0, 1), q)
	j := q.jobs[0]
	q.jobs = slices.Delete(q.jobs, 0, 1)
	return j
}

// withdraw reports false if the job does not wait any more. A client that was served keeps its place. Otherwise it
// could withdraw its job to become a new client, which goes first.
func (t *clientTurns) withdraw(client string, j *job) bool {
	q := t.queues[client]
	if q == nil {
		return false
	}
	i := slices.Index(q.jobs, j)
	if i < 0 {
		return false
	}
	q.jobs = slices.Delete(q.jobs, i, i+1)
	if len(q.jobs) == 0 && !q.hasPlaceInRound {
		delete(t.queues, client)
		isLeft := func(other *clientQueue) bool { return other == q }
		t.round, t.newClients = slices.DeleteFunc(t.round, isLeft), slices.DeleteFunc(t.newClients, isLeft)
	}
	return true
}

package passhash

import "slices"

// turns decides which client is served next. It is not safe for concurrent use.
//
// Clients take turns, one job each. A client that was served moves to the end of the round. It keeps its place in the
// round until its turn comes, even if it has no job. Therefore, while a job of one client waits, every other client
// is served at most once, however it distributes its jobs over time.
//
// A new client has no place in the round. It goes before the clients that were served already, as a new flow does in
// FQ-CoDel (RFC 8290). But between two jobs of clients that were served already, only one group of new clients is
// served. Therefore new clients can't stop the round.
type turns struct {
	queues    map[string]*queue
	round     []*queue // in the order of service
	fresh     []*queue // clients without a place in the round, oldest first
	overtaken bool     // new clients were just served, so a client of the round is next
}

// A queue holds the waiting jobs of one client, oldest first.
type queue struct {
	client string
	jobs   []*job
	served bool // the client was served and has a place in the round
}

// add queues a job.
func (t *turns) add(client string, j *job) {
	q := t.queues[client]
	if q == nil {
		q = &queue{client: client}
		t.queues[client] = q
		t.fresh = append(t.fresh, q)
	}
	q.jobs = append(q.jobs, j)
}

// The method ahead returns two numbers: how many jobs of the client wait, and how many jobs of all clients would run
// before a new job of this client. Another client gets at most one job before each job of this client.
func (t *turns) ahead(client string) (waiting, ahead int) {
	own := t.queues[client]
	if own != nil {
		waiting = len(own.jobs)
	}
	ahead = waiting
	for _, q := range t.queues {
		before := waiting + 1
		if q.served && (own == nil || !own.served) {
			before-- // the first job of a fresh client goes before those of q
		}
		if q != own {
			ahead += min(len(q.jobs), before)
		}
	}
	return waiting, ahead
}

// next removes and returns the job that is due, or nil.
func (t *turns) next() *job {
	for len(t.round) > 0 && len(t.round[0].jobs) == 0 {
		delete(t.queues, t.round[0].client)
		t.round = slices.Delete(t.round, 0, 1)
	}
	if len(t.round) == 0 || t.round[0].served && !t.overtaken {
		t.overtaken = len(t.round) > 0 && len(t.fresh) > 0
		t.round, t.fresh = append(t.fresh, t.round...), nil
	}
	if len(t.round) == 0 {
		return nil
	}
	q := t.round[0]
	if q.served {
		t.overtaken = false
	}
	q.served = true
	t.round = append(slices.Delete(t.round, 0, 1), q)
	j := q.jobs[0]
	q.jobs = slices.Delete(q.jobs, 0, 1)
	return j
}

// withdraw removes a job that still waits. It reports false if the job does not wait any more. A client that was
// served keeps its place. Otherwise it could withdraw its job to become a new client, which goes first.
func (t *turns) withdraw(client string, j *job) bool {
	q := t.queues[client]
	if q == nil {
		return false
	}
	i := slices.Index(q.jobs, j)
	if i < 0 {
		return false
	}
	q.jobs = slices.Delete(q.jobs, i, i+1)
	if len(q.jobs) == 0 && !q.served {
		delete(t.queues, client)
		isLeft := func(other *queue) bool { return other == q }
		t.round, t.fresh = slices.DeleteFunc(t.round, isLeft), slices.DeleteFunc(t.fresh, isLeft)
	}
	return true
}

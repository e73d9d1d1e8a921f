package passhash

// A Schedule gives tests the order in which a Pool serves its clients, without workers.
type Schedule struct {
	turns  clientTurns
	client map[*job]string
	last   map[string]*job
}

// NewSchedule returns a schedule without clients.
func NewSchedule() *Schedule {
	return &Schedule{clientTurns{queues: map[string]*clientQueue{}}, map[*job]string{}, map[string]*job{}}
}

// Add queues a job of the client.
func (s *Schedule) Add(client string) {
	j := new(job)
	s.client[j], s.last[client] = client, j
	s.turns.addJob(client, j)
}

// Withdraw withdraws the newest job of the client. It reports false if no job of the client was waiting.
func (s *Schedule) Withdraw(client string) bool { return s.turns.withdraw(client, s.last[client]) }

// Next serves a job and returns its client, or "".
func (s *Schedule) Next() string { return s.client[s.turns.takeDueJob()] }

// Known returns the number of clients for which the schedule has a queue.
func (s *Schedule) Known() int { return len(s.turns.queues) }

package main

// TuningFor returns the three values of tuningFor.
func TuningFor(workers, cores, machine int, getenv func(string) string) (processors, collectAt int, limit int64) {
	t := tuningFor(workers, cores, machine, getenv)
	return t.processors, t.collectAt, t.memoryLimit
}

// Cores is the number of usable processors.
func Cores() int { return cores }

// HashWorkersProblem says why that number of hash workers is refused.
func HashWorkersProblem(workers int) string {
	return hashWorkersProblem(&Settings{HashWorkers: workers})
}

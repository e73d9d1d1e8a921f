package main_test

import (
	"testing"

	main "github.com/watchword-auth/watchword/cmd/watchword"
)

// A tuning is the result of TuningFor.
type tuning struct {
	processors, collectAt int
	memoryLimit           int64
}

func TestRuntimeIsTunedForItsWorkersAndRespectsTheEnvironment(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	for _, c := range []struct {
		name                    string
		workers, cores, machine int
		env                     map[string]string
		want                    tuning
	}{
		{"one core", 1, 1, 1, nil, tuning{2, 200, 90 * mebibyte}},
		{"two cores", 1, 2, 2, nil, tuning{3, 200, 90 * mebibyte}},
		{"a worker for each of two cores", 2, 2, 2, nil, tuning{4, 200, 120 * mebibyte}},
		{"sixteen cores", 15, 16, 16, nil, tuning{31, 200, 510 * mebibyte}},
		{"a quota", 1, 2, 16, nil, tuning{0, 200, 90 * mebibyte}},
		{"GOMAXPROCS", 1, 2, 2, map[string]string{"GOMAXPROCS": "2"}, tuning{0, 200, 90 * mebibyte}},
		{"GOGC", 1, 2, 2, map[string]string{"GOGC": "off"}, tuning{3, 0, 90 * mebibyte}},
		{"GOMEMLIMIT", 1, 2, 2, map[string]string{"GOMEMLIMIT": "1GiB"}, tuning{3, 200, 0}},
	} {
		var got tuning
		getenv := func(name string) string { return c.env[name] }
		got.processors, got.collectAt, got.memoryLimit = main.TuningFor(c.workers, c.cores, c.machine, getenv)
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestHashWorkersAreBoundedByTheCores(t *testing.T) {
	t.Parallel()
	cores := main.Cores()
	for workers, refused := range map[int]bool{0: false, 1: false, cores: false, cores + 1: true} {
		if problem := main.HashWorkersProblem(workers); (problem != "") != refused {
			t.Errorf("%d workers on %d cores: got %q", workers, cores, problem)
		}
	}
}

package main_test

import (
	"testing"

	main "github.com/watchword-auth/watchword/cmd/watchword"
)

type tuning struct {
	processors, collectAt int
	memoryLimit           int64
}

func TestRuntimeIsTunedForItsWorkersAndRespectsTheEnvironment(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	set := map[string]string{"GOMAXPROCS": "set"}
	for _, c := range []struct {
		name                        string
		workers, machine, scheduled int
		quota                       float64
		env                         map[string]string
		want                        tuning
		most                        int
	}{
		{"one core", 1, 1, 1, 0, nil, tuning{2, 200, 90 * mebibyte}, 1},
		{"two cores", 1, 2, 2, 0, nil, tuning{3, 200, 90 * mebibyte}, 2},
		{"a worker for each of two cores", 2, 2, 2, 0, nil, tuning{4, 200, 120 * mebibyte}, 2},
		{"sixteen cores", 15, 16, 16, 0, nil, tuning{31, 200, 510 * mebibyte}, 16},
		{"a quota below the cores", 1, 16, 3, 2.5, nil, tuning{0, 200, 90 * mebibyte}, 2},
		{"a quota for which Go uses two", 1, 16, 2, 0.5, nil, tuning{0, 200, 90 * mebibyte}, 1},
		{"a quota on two cores", 1, 2, 2, 1.5, nil, tuning{0, 200, 90 * mebibyte}, 1},
		{"a quota on one core", 1, 1, 1, 0.5, nil, tuning{0, 200, 90 * mebibyte}, 1},
		{"a quota of all cores", 1, 2, 2, 2, nil, tuning{0, 200, 90 * mebibyte}, 1},
		{"a quota above the cores", 1, 2, 2, 4, nil, tuning{3, 200, 90 * mebibyte}, 2},
		{"GOMAXPROCS", 1, 2, 2, 0, set, tuning{0, 200, 90 * mebibyte}, 1},
		{"GOMAXPROCS of one", 1, 2, 1, 0, set, tuning{0, 200, 90 * mebibyte}, 1},
		{"GOMAXPROCS above the cores", 2, 2, 3, 0, set, tuning{0, 200, 120 * mebibyte}, 2},
		{"GOGC", 1, 2, 2, 0, map[string]string{"GOGC": "off"}, tuning{3, 0, 90 * mebibyte}, 2},
		{"GOMEMLIMIT", 1, 2, 2, 0, map[string]string{"GOMEMLIMIT": "1GiB"}, tuning{3, 200, 0}, 2},
	} {
		var got tuning
		var most int
		getenv := func(name string) string { return c.env[name] }
		got.processors, got.collectAt, got.memoryLimit, most =
			main.TuningFor(c.workers, c.machine, c.scheduled, c.quota, getenv)
		if got != c.want || most != c.most {
			t.Errorf("%s: got %+v and up to %d workers, want %+v and %d", c.name, got, most, c.want, c.most)
		}
	}
}

func TestHashWorkersAreBounded(t *testing.T) {
	t.Parallel()
	most := main.MostWorkers()
	for workers, refused := range map[int]bool{0: false, 1: false, most: false, most + 1: true} {
		if problem := main.HashWorkersProblem(workers); (problem != "") != refused {
			t.Errorf("%d workers, up to %d allowed: got %q", workers, most, problem)
		}
	}
}

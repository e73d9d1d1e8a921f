// Package bench compares Watchword with other authentication servers. It builds and starts each server, measures the
// same scenarios in turn, and prints a table of ratios.
//
// lab/bench/README.md says what each figure means and which settings the servers have.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/porttest"
)

// A Plan describes a comparison.
type Plan struct {
	Targets     []string // specs of the servers, see Names; ratios refer to the first
	Scenarios   []string // if empty, all scenarios
	Rounds      int
	For         time.Duration // duration of one load; some scenarios use a multiple
	Connections int           // for the scenarios refresh and me; at least 2
	Logins      int           // connections for sign-up and login
	Rate        float64       // operations per second for sign-up, login, refresh and me; 0 means a closed loop
	Dir         string        // a folder on a disk, for databases and binaries
	Cores       int           // processors that the server may use (taskset); 0: all
}

// A Result contains the measurements of one target in all rounds.
type Result struct {
	Target string  `json:"target"`
	About  string  `json:"about"`
	Store  string  `json:"store"`
	Hash   string  `json:"hash"`
	Rounds []Round `json:"rounds"`
	Median Round   `json:"median"`
	Ratio  Round   `json:"ratio"` // median over the rounds: how many times better the first target was
	Error  string  `json:"error,omitempty"`
}

// Check returns an error if the plan cannot be measured.
func (p Plan) Check() error {
	for _, name := range p.Scenarios {
		if !slices.Contains(Scenarios(), name) {
			return fmt.Errorf("unknown scenario %q; the scenarios are: %s", name, strings.Join(Scenarios(), " "))
		}
	}
	for _, spec := range p.Targets {
		if _, err := parseTarget(spec); err != nil {
			return err
		}
	}
	switch {
	case len(p.Targets) == 0:
		return errors.New("no target")
	case p.Cores < 0 || p.Cores > runtime.NumCPU():
		return fmt.Errorf("the machine has %d processors, so cores can't be %d", runtime.NumCPU(), p.Cores)
	case p.Rounds < 1 || p.For <= 0 || p.Connections < 2 || p.Logins < 1 || p.Rate < 0:
		return errors.New("rounds, for, connections and logins must be positive, connections at least 2")
	}
	return checkDisk(p.Dir)
}

func (p Plan) runs(scenario string) bool {
	return len(p.Scenarios) == 0 || slices.Contains(p.Scenarios, scenario)
}

// A benchRunner contains the state that all trials share.
type benchRunner struct {
	plan     Plan
	dir      string
	progress func(string)
	targets  []target
	programs []builtServer
	results  []Result
	cluster  *pgtest.Server
}

// Run builds all targets and measures them in turn in each round. If the program of a target is missing, it skips this
// target and calls reportWarning. If a target fails, Run stores the error in the Result of that target and continues
// with the others. Run stops all servers and removes all files before it returns.
func Run(ctx context.Context, plan Plan, progress, reportWarning func(string)) (results []Result, err error) {
	r := &benchRunner{plan: plan, progress: progress}
	if r.dir, err = os.MkdirTemp(plan.Dir, "watchword-bench-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if err := r.buildTargets(ctx, reportWarning); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(r.targets, func(t target) bool { return t.kind.store == postgreSQL }) {
		progress("start PostgreSQL")
		if r.cluster, err = pgtest.Launch(ctx, plan.Dir); err != nil {
			return nil, err
		}
		defer r.cluster.Remove()
	}
	// Each round runs all targets before the next round begins. If the machine is slow for a while, this affects all
	// targets of a round, so their ratios stay comparable.
	for round := range plan.Rounds {
		for i, t := range r.targets {
			if r.results[i].Error != "" {
				continue
			}
			step := fmt.Sprintf("round %d of %d, %s: ", round+1, plan.Rounds, t.spec)
			got, err := r.measureOnce(ctx, i, round, func(s string) { progress(step + s) })
			// Return ctx.Err() after Ctrl-C, because the target's error only says that its connections were closed.
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				r.results[i].Error = err.Error()
				reportWarning(fmt.Sprintf("%s failed: %v", t.spec, err))
				continue
			}
			r.results[i].Rounds = append(r.results[i].Rounds, got)
		}
	}
	summarize(r.results)
	return r.results, nil
}

// buildTargets builds the programs of all targets that can run on this machine.
func (r *benchRunner) buildTargets(ctx context.Context, warn func(string)) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	b := &targetBuilder{ctx: ctx, repository: root, binDir: r.dir}
	for _, spec := range r.plan.Targets {
		t, err := parseTarget(spec)
		if err != nil {
			return err
		}
		if missing := t.kind.missingProgram(); missing != "" {
			warn(fmt.Sprintf("skip %s: it needs %s", spec, missing))
			continue
		}
		r.progress("build " + spec)
		built, err := t.kind.buildServer(b, t)
		if err != nil {
			return fmt.Errorf("build %s: %w", spec, err)
		}
		r.targets, r.programs = append(r.targets, t), append(r.programs, built)
		r.results = append(r.results, Result{
			Target: spec, About: t.kind.description, Store: string(t.kind.store), Hash: t.kind.hashAlgorithm,
		})
	}
	if len(r.targets) == 0 {
		return errors.New("no target can run here")
	}
	return nil
}

// measureOnce measures one target in one round, on an empty database.
func (r *benchRunner) measureOnce(ctx context.Context, index, round int, progress func(string)) (got Round, err error) {
	t := &trial{plan: r.plan, target: r.targets[index], program: r.programs[index]}
	t.at.dataDir = filepath.Join(r.dir, fmt.Sprintf("%d-%d", index, round))
	if err := os.Mkdir(t.at.dataDir, 0o700); err != nil {
		return got, err
	}
	// Remove the files after each round, because the databases of many rounds would fill the disk.
	defer func() { err = errors.Join(err, os.RemoveAll(t.at.dataDir)) }()
	if t.at.port, err = freePort(); err != nil {
		return got, err
	}
	if t.at.adminPort, err = freePort(); err != nil {
		return got, err
	}
	t.at.address = net.JoinHostPort("127.0.0.1", t.at.port)
	if t.target.kind.store == postgreSQL {
		name := fmt.Sprintf("bench%d_%d", index, round)
		if t.database, err = newDatabase(ctx, r.cluster, name, t.target.kind.setupSQL); err != nil {
			return got, err
		}
		t.at.databaseURL = t.database.url()
		defer func() { err = errors.Join(err, t.database.drop(context.WithoutCancel(ctx))) }()
	}
	if t.program.prepare != nil {
		if err := t.program.prepare(ctx, t.at); err != nil {
			return got, err
		}
	}
	return t.run(ctx, progress)
}

func freePort() (string, error) {
	port, err := porttest.Free()
	return strconv.Itoa(port), err
}

// A Machine describes the machine and the revision with which the figures were measured.
type Machine struct {
	CPUs     int    `json:"cpus"`
	Model    string `json:"model"`
	Go       string `json:"go"`
	Revision string `json:"revision"`
}

// ThisMachine describes this machine and the revision of this repository.
func ThisMachine(ctx context.Context) Machine {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ := strings.Cut(rest, "\n")
	revision, _ := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	return Machine{runtime.NumCPU(), model, runtime.Version(), strings.TrimSpace(string(revision))}
}

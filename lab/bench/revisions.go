package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// benchstatProgram compares the results of Go benchmarks.
const benchstatProgram = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// Revisions describes a comparison of the Go benchmarks of two revisions: Base, and the current files.
type Revisions struct {
	Base     string   // a git revision
	Pattern  string   // which benchmarks, as in go test -bench
	Packages []string // as in go list, such as ./store/...
	Runs     int      // number of runs of each benchmark; benchstat needs 6 for an interval
	Time     string   // duration of a run, as in go test -benchtime
	Dir      string   // a folder on a disk, for temporary files
}

// A packageBenchmark is the compiled test program of one package.
type packageBenchmark struct {
	modulePath string // path of the package within its module
	binary     string
	dir        string // folder of the package, with its test data
}

// CompareRevisions runs the benchmarks of both revisions in turn and writes benchstat's table
// to out.
func CompareRevisions(ctx context.Context, r Revisions, out io.Writer, progress func(string)) (err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	files, deleteFiles, err := RunRevisions(ctx, root, r, progress)
	defer func() { err = errors.Join(err, deleteFiles()) }()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", benchstatProgram, "base="+files[0], "this="+files[1])
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, out, os.Stderr
	return cmd.Run()
}

// RunRevisions runs the benchmarks of two revisions in turn: r.Base, and the current files in root. The order changes
// with each run, so that a slow phase of the machine affects both revisions. RunRevisions returns two files with the
// output, and deleteFiles, which deletes them. The caller must call deleteFiles even after an error.
func RunRevisions(ctx context.Context, root string, r Revisions, progress func(string)) (
	files [2]string, deleteFiles func() error, err error) {
	dir, err := os.MkdirTemp(r.Dir, "watchword-bench-")
	deleteFiles = func() error { return os.RemoveAll(dir) }
	if err != nil {
		return files, func() error { return nil }, err
	}
	b := &targetBuilder{ctx: ctx, repository: root, binDir: dir}
	sides := [2]string{"base", "this"}
	err = b.inWorktree(r.Base, func(tree string) error {
		var compiled [2][]packageBenchmark
		for i, module := range []string{tree, root} {
			progress("compile the benchmarks of " + sides[i])
			if compiled[i], err = b.compileBenchmarks(module, sides[i], r); err != nil {
				return err
			}
			files[i] = filepath.Join(dir, sides[i])
		}
		for run := range r.Runs {
			for n := range 2 {
				side := (run + n) % 2
				progress(fmt.Sprintf("run %d of %d: %s", run+1, r.Runs, sides[side]))
				if err := runBenchmarks(ctx, compiled[side], files[side], r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return files, deleteFiles, err
}

var benchmarkFunction = regexp.MustCompile(`(?m)^func Benchmark`)

// compileBenchmarks compiles the packages of a module that have benchmarks.
func (b *targetBuilder) compileBenchmarks(module, side string, r Revisions) (all []packageBenchmark, err error) {
	cmd := exec.CommandContext(b.ctx, "go", append([]string{"list", "-e", "-f", "{{.Dir}}"}, r.Packages...)...)
	cmd.Dir = module
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages of %s: %w", side, err)
	}
	for dir := range strings.FieldsSeq(string(out)) {
		if has, err := hasBenchmark(dir); err != nil || !has {
			if err != nil {
				return nil, err
			}
			continue
		}
		name, err := filepath.Rel(module, dir)
		if err != nil {
			return nil, err
		}
		one := packageBenchmark{name, filepath.Join(b.binDir, side+"-"+strings.ReplaceAll(name, "/", "-")+".test"), dir}
		// The test program is compiled in advance. Otherwise, `go test -bench` would compile it, or check its cache,
		// between the runs.
		cmd := exec.CommandContext(b.ctx, "go", "test", "-c", "-o", one.binary, ".")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compile %s of %s: %w\n%s", name, side, err, out)
		}
		all = append(all, one)
	}
	return all, nil
}

func hasBenchmark(dir string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		if benchmarkFunction.Match(text) {
			return true, nil
		}
	}
	return false, err
}

// runBenchmarks runs each benchmark once and appends the output to a file.
func runBenchmarks(ctx context.Context, all []packageBenchmark, file string, r Revisions) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // benchstat would notice missing lines
	for _, one := range all {
		cmd := exec.CommandContext(ctx, one.binary, "-test.run=^$", "-test.bench="+r.Pattern, "-test.benchmem",
			"-test.benchtime="+r.Time, "-test.count=1")
		var failure strings.Builder
		cmd.Dir, cmd.Stdout, cmd.Stderr = one.dir, io.MultiWriter(out, &failure), os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("benchmarks of %s: %w\n%s", one.modulePath, err, failure.String())
		}
	}
	return nil
}

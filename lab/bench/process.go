package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A serverProcess is a running server. Its processor time and memory include those of its child processes.
type serverProcess struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// startProcess starts a server and writes its output to the file log. The server has its own process group. Ctrl-C
// therefore reaches only this program, which then stops the server. If this program is killed, the kernel kills the
// server.
func startProcess(cmd *exec.Cmd, log string) (*serverProcess, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // the server has its own copy of the descriptor
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &serverProcess{cmd: cmd, log: log, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // this thread must not exit: the kernel would send Pdeathsig to the server
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(p.ended)
	}()
	return p, <-started
}

// stop sends SIGTERM to the server and waits up to ten seconds. It then sends SIGKILL to the process group.
func (p *serverProcess) stop() {
	_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
	// SIGKILL is needed even if the server has exited, because a child process could still use the port.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// waitReady returns when GET path responds with a status under 400.
func (p *serverProcess) waitReady(ctx context.Context, address, path string) error {
	deadline := time.Now().Add(time.Minute)
	c := rawConn{address: address}
	defer c.close()
	for {
		got, err := c.exchange(ctx, request{method: "GET", path: path}, "127.0.0.1")
		if err == nil && got.status < 400 {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server exited at startup:\n%s", p.logTail())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond): // the resolution of the time to ready
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server is not ready after a minute: status %d, %w\n%s", got.status, err, p.logTail())
		}
	}
}

func (p *serverProcess) logTail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-2000):])
}

// processTree returns the ids of the process and its descendants.
func (p *serverProcess) processTree() []int {
	all := []int{p.cmd.Process.Pid}
	// The loop appends the children of each process to the list, so it also reaches their children.
	for i := 0; i < len(all); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for word := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

// clockTick is the unit of times in /proc/PID/stat. It is 10 ms on every Linux.
const clockTick = 10 * time.Millisecond

// cpuTime returns the processor time of the process and its descendants.
func (p *serverProcess) cpuTime() (sum time.Duration, err error) {
	for _, pid := range p.processTree() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		ticks, err := cpuTicks(text)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}

// cpuTicks returns the sum of utime, stime, cutime and cstime (proc(5)). It skips the name of the process, which is
// in parentheses and may contain spaces.
func cpuTicks(stat []byte) (sum int, err error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 15 {
		return 0, errors.New("/proc/PID/stat has an unknown form")
	}
	for _, text := range fields[11:15] {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// residentBytes returns two sums over all processes: the resident memory now, and the highest resident memory of each
// process.
func (p *serverProcess) residentBytes() (now, peak int64, err error) {
	for _, pid := range p.processTree() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, 0, err
		}
		now += statusKiB(string(text), "VmRSS:") << 10
		peak += statusKiB(string(text), "VmHWM:") << 10
	}
	return now, peak, nil
}

func statusKiB(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	n, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	return n
}

package main

import (
	"bytes"
	"os"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// TuningFor returns the three values of tuningFor, and the highest allowed number of hash workers.
func TuningFor(workers, machine, scheduled int, quota float64, getenv func(string) string) (
	raised, collectAt int, limit int64, most int,
) {
	on := processors{machine, scheduled, quota, getenv("GOMAXPROCS") != ""}
	t := tuningFor(workers, on, getenv)
	return t.processors, t.collectAt, t.memoryLimit, on.maxHashWorkers()
}

// MostWorkers returns the highest number of hash workers that this process allows.
func MostWorkers() int { return usableProcessors(os.Getenv).maxHashWorkers() }

// HashWorkersProblem says why a number of hash workers is refused.
func HashWorkersProblem(workers int) string {
	return hashWorkersProblem(&Settings{HashWorkers: workers})
}

// UnverifiedDatabase returns the host that serve warns about at its start, or "".
func UnverifiedDatabase(url string) string { return unverifiedDatabaseHost(url) }

// WarningsFor returns the warnings that serve logs at its start, for the URL of a store.
func WarningsFor(url string) []string {
	return (&Settings{Store: watchword.Secret(url), MailURL: "smtp://mail.example.com", Limits: "on"}).warnings()
}

// LogLine returns the line that the logger of serve writes for one warning, in the given format.
func LogLine(format, message string, args ...any) string {
	var out bytes.Buffer
	p := &program{settings: &Settings{LogFormat: format, LogLevel: "info"}, err: &out}
	p.newLogger().Warn(message, args...)
	return out.String()
}

// DecideKeyWarning returns what `watchword doctor` reports about a service key.
func DecideKeyWarning(k admin.ServiceKey, now time.Time) string { return decideKeyWarning(k, now) }

// DiagnoseAdmin is diagnoseAdmin for the statuses and codes of two responses.
func DiagnoseAdmin(status int, there, here string) (found, do string) {
	return diagnoseAdmin("http://localhost:9090", "https://id.example.com", probe{status: status, code: there},
		probe{code: here})
}

// AdminURL returns the URL of the admin API for these settings.
func AdminURL(on, listen, url string) string {
	return (&Settings{AdminOn: on, AdminListen: listen, AdminURL: url}).adminURL()
}

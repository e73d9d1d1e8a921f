package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/watchword-auth/watchword"
)

// newLogger returns a logger for standard error: text at a terminal, otherwise JSON. Both
// formats escape control characters (LOG-2). They write a duration as a string such as "1.5s",
// because a bare number of nanoseconds has no unit. Times are in UTC, so that the lines of
// servers in two time zones can be sorted as text. Only serve logs. Other commands print their
// result and their error.
func (p *program) newLogger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(p.settings.LogLevel)) // the level is valid because of its oneof tag
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() {
		case slog.KindDuration:
			a.Value = slog.StringValue(a.Value.Duration().String())
		case slog.KindTime:
			// The time is converted to UTC, because the handlers would write it in the zone of
			// the machine.
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		}
		return a
	}}
	format := p.settings.LogFormat
	// "auto" depends on standard error and not on standard output, because the log goes to
	// standard error.
	if format == "text" || (format == "auto" && isTerminal(os.Stderr)) {
		return slog.New(slog.NewTextHandler(p.err, options))
	}
	return slog.New(slog.NewJSONHandler(p.err, options))
}

// errorLine returns an error as one line for the operator. If the engine refused the command,
// the line is the text that users see. The code of the error is omitted, because the text
// already says what to do.
//
// The line has no prefix: reportError prints the name of the program before it.
func errorLine(err error) string {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return oneLine(err.Error())
	}
	text := refusal.Detail
	for _, field := range refusal.Fields {
		if field.Message != refusal.Detail {
			text += " " + field.Message
		}
	}
	return text
}

// oneLine makes a text safe to print as one line at a terminal. The text may quote a file or a
// database. A line break would look like the start of another message, and an escape sequence
// could control the terminal (printable).
func oneLine(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// unknownUserError adds the address to a "not found" of the engine, and returns any other error
// unchanged. The engine does not repeat the address, because strangers also get its errors.
func unknownUserError(err error, email string) error {
	if watchword.CodeOf(err) == watchword.CodeNotFound {
		return fmt.Errorf("there is no account %s. `watchword users list` lists them", email)
	}
	return err
}

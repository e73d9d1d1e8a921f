package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/watchword-auth/watchword"
)

// logger writes to standard error: text at a terminal, otherwise JSON. Both escape control
// characters (LOG-2) and write a duration as a string such as "1.5s", because a bare number of
// nanoseconds has no unit. Times are in UTC: the lines of servers in two time zones then sort by
// their text. Only serve logs. Commands print their result and their error.
func (p *program) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(p.settings.LogLevel)) // oneof has checked it
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Value.Kind() {
		case slog.KindDuration:
			a.Value = slog.StringValue(a.Value.Duration().String())
		case slog.KindTime:
			// The handlers write a time in the zone of its value, which is the zone of the
			// machine.
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		}
		return a
	}}
	format := p.settings.LogFormat
	// "auto" decides by standard error and not by standard output, because that is where the log
	// goes.
	if format == "text" || (format == "auto" && isTerminal(os.Stderr)) {
		return slog.New(slog.NewTextHandler(p.err, options))
	}
	return slog.New(slog.NewJSONHandler(p.err, options))
}

// plain returns an error as one line for the operator. A refusal by the engine becomes the text that
// users see, without its code, because the text already says what to do.
//
// The line has no prefix: report prints the name of the program before it.
func plain(err error) string {
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

// oneLine makes a text safe to print as one line at a terminal, because an error may quote a
// file or a database. A line break in an error would look like a second message. printable
// replaces escape sequences, with which a stranger's text could control the terminal.
func oneLine(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// noUser replaces a "not found" of the engine by an error that names the address. The engine does
// not repeat the address, because its errors also go to strangers.
func noUser(err error, email string) error {
	if watchword.CodeOf(err) == watchword.CodeNotFound {
		return fmt.Errorf("there is no account %s. `watchword users list` lists them", email)
	}
	return err
}

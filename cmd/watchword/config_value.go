package main

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/watchword-auth/watchword"
)

// This file converts between the text and the value of a setting. An invalid value is recorded
// as a fault and replaced by the default, so that one run finds all faults.

// A settingDecoder decodes one setting for kong. Each field of Settings has its own, so a fault
// can name the setting.
type settingDecoder struct {
	setting setting
	src     *sources
}

// Decode implements kong.Mapper. It records an invalid value as a fault and returns no error
// for it. Kong calls it for flags and for the values that Resolve returns, so all sources are
// parsed alike.
func (r settingDecoder) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("value")
	if err != nil {
		return err
	}
	text := fmt.Sprint(token.Value)
	if problem := r.setting.parseInto(text, target); problem != "" {
		r.src.addFault(r.setting.Name, problem)
		r.setting.parseInto(r.setting.Default, target)
	}
	return nil
}

// parseInto returns the problem of an invalid text, or "". target has the type of the setting.
// After a problem, target has an unusable value, and the caller reads the default into it.
func (s setting) parseInto(text string, target reflect.Value) (problem string) {
	switch v := target.Addr().Interface().(type) {
	case *string:
		*v, problem = text, s.parseWord(text)
	case *watchword.Secret:
		*v = watchword.Secret(text)
	// Kong calls this once for each repeated flag, so the values are appended.
	case *[]string:
		*v = append(*v, splitList(text)...)
	case *int:
		*v, problem = s.parseNumber(text)
	case *time.Duration:
		*v, problem = s.parseDuration(text)
	case *watchword.Limit:
		*v, problem = s.parseLimit(text)
	// If a type has no case here, this is a programming error. Every start of the program finds
	// it.
	default:
		panic("setting " + s.Name + " has a type without a parser")
	}
	return problem
}

// parseWord accepts only the words in the tag oneof. A setting without oneof accepts any text;
// its rule in settingRules checks the text. The comparison is case-sensitive, so that each
// value has only one spelling.
func (s setting) parseWord(text string) string {
	if s.OneOf == nil || slices.Contains(s.OneOf, text) {
		return ""
	}
	return fmt.Sprintf("%q is not allowed. Write one of: %s.", text, strings.Join(s.OneOf, ", "))
}

// parseNumber accepts whole numbers within min and max. Both bounds are in the tag of the
// setting, and the message repeats them. Underscores and hexadecimal digits are refused,
// because YAML and other tools interpret them differently.
func (s setting) parseNumber(text string) (int, string) {
	least, most := s.Min, s.Max
	n, err := strconv.Atoi(text)
	low, _ := strconv.Atoi(least)
	high, _ := strconv.Atoi(most)
	if err != nil || n < low || n > high {
		return 0, fmt.Sprintf("%q is not a number from %s to %s. Write one, such as %s.", text, least, most, s.Default)
	}
	return n, ""
}

// parseDuration accepts Go durations, such as 15m, within min and max. It has no unit for days,
// because a day with a clock change has 23 or 25 hours. A missing unit is refused, because 15
// could mean seconds or minutes.
func (s setting) parseDuration(text string) (time.Duration, string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Sprintf("%q is not a duration. Write one such as %s (units: ms, s, m, h).", text, s.Default)
	}
	if low, err := time.ParseDuration(s.Min); err == nil && d < low {
		return 0, fmt.Sprintf("%s is too short. Write %s or more.", text, s.Min)
	}
	if high, err := time.ParseDuration(s.Max); err == nil && d > high {
		return 0, fmt.Sprintf("%s is too long. Write %s or less.", text, s.Max)
	}
	return d, ""
}

// parseLimit parses a rate limit, written as uses/time, such as 10/15m. It accepts 1 to
// 1,000,000 uses, and times from 1 second to 7 days. The upper bounds are far above any useful
// value. They only catch a mistaken unit.
func (s setting) parseLimit(text string) (watchword.Limit, string) {
	count, per, _ := strings.Cut(text, "/")
	n, errCount := strconv.Atoi(count)
	d, errPer := time.ParseDuration(per)
	if errCount != nil || errPer != nil || n < 1 || n > 1_000_000 || d < time.Second || d > 7*24*time.Hour {
		return watchword.Limit{}, fmt.Sprintf("%q is not a limit. Write uses/time, such as %s.", text, s.Default)
	}
	return watchword.Limit{Count: n, Per: d}, ""
}

// splitList removes the spaces around the parts and omits empty parts.
func splitList(text string) (parts []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// redactedValue returns the value as an operator would write it, with secrets redacted.
func (s setting) redactedValue() string {
	switch v := s.value.Interface().(type) {
	case time.Duration:
		return durationText(v)
	case watchword.Limit:
		return strconv.Itoa(v.Count) + "/" + durationText(v.Per)
	case []string:
		return strings.Join(v, ",")
	case watchword.Secret:
		return s.redact(string(v))
	default:
		return fmt.Sprint(v)
	}
}

// redact hides a secret text. If only the password of a URL is secret, it keeps the rest of the
// URL. If it can't tell where the password is, it hides the whole text. It does not hide the
// default, which is public, so that an operator sees that the secret was not set.
func (s setting) redact(text string) string {
	if text == "" || text == s.Default {
		return text
	}
	if s.Secret == "password" {
		if !strings.ContainsAny(text, "@?#") && !strings.Contains(text, "%40") {
			return text
		}
		if u, err := url.Parse(text); err == nil && u.Host != "" && u.RawQuery == "" && u.Fragment == "" {
			return u.Redacted()
		}
	}
	return fmt.Sprint(watchword.Secret(text))
}

// durationText returns d without zero units: 15m, not 15m0s. Go's own form is correct, but
// operators would not write it.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

package server_test

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

type docsRoute struct {
	id, command, response string
	status                int
}

func readDocsPage(t *testing.T, s *service) (text string, routes []docsRoute) {
	t.Helper()
	text = string(s.newBrowser(t).do("GET", "/docs", "").raw)
	article := regexp.MustCompile(`(?s)<article id="([^"]+)">(.*?)</article>`)
	for _, found := range article.FindAllStringSubmatch(text, -1) {
		r := docsRoute{id: found[1], command: preText(found[2], `class="run"`),
			response: preText(found[2], `class="response"`)}
		_, rest, _ := strings.Cut(found[2], "<h4>Response ")
		if _, err := fmt.Sscan(rest, &r.status); err != nil {
			t.Errorf("%s has no status", r.id)
		}
		routes = append(routes, r)
	}
	return text, routes
}

func preText(page, attribute string) string {
	found := regexp.MustCompile(`(?s)<pre ` + attribute + `>(.*?)</pre>`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func TestDocsDescribeEachMemberAndEachErrorCode(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	text, routes := readDocsPage(t, s)
	if len(routes) < 25 {
		t.Fatalf("%d endpoints", len(routes))
	}
	if empty := regexp.MustCompile(`<dt>([^\n]*?)</dt><dd>\.?</dd>`).FindAllString(text, -1); empty != nil {
		t.Errorf("not described: %q", empty)
	}
	silent := regexp.MustCompile(`<code>\w+</code></td><td></td>`)
	if empty := silent.FindAllString(text, -1); empty != nil {
		t.Errorf("no advice: %q", empty)
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if ids[id[1]] {
			t.Errorf("the id %s occurs twice", id[1])
		}
		ids[id[1]] = true
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if !ids[link[1]] {
			t.Errorf("#%s leads nowhere", link[1])
		}
	}
	for _, r := range routes {
		if !strings.HasPrefix(r.command, "curl ") || r.response == "" {
			t.Errorf("%s: command %q, response %q", r.id, r.command, r.response)
		}
		listed := regexp.MustCompile(`(?s)<article id="` + r.id + `">.*?</article>`).FindString(text)
		for _, code := range regexp.MustCompile(`<code>([A-Z_]+)</code> `).FindAllStringSubmatch(listed, -1) {
			if !strings.Contains(text, `<td><code>`+code[1]+`</code></td>`) {
				t.Errorf("the chapter on errors lacks %s", code[1])
			}
		}
	}
}

// Each command that /docs prints must work. The test first runs the page's commands to sign up and to sign in. The
// response must have the status, the members and the message of the printed example.
func TestCurlCommandsOfDocsRunAsPrinted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: curl is not run")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is missing: install curl")
	}
	_, all := readDocsPage(t, start(t, nil, nil))
	// The command for the stream is skipped, because a stream does not end.
	all = slices.DeleteFunc(all, func(r docsRoute) bool { return r.id == "get-revocations-stream" })
	for _, one := range all {
		t.Run(one.id, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil, nil)
			text, routes := readDocsPage(t, s)
			r := routes[slices.IndexFunc(routes, func(r docsRoute) bool { return r.id == one.id })]
			shell := func(script ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), "sh", "-euc", strings.Join(script, "\n"))
				cmd.Dir, cmd.Env = t.TempDir(), os.Environ()
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s", err, strings.Join(script, "\n"))
				}
				return string(out)
			}
			login := preText(text, `id="try-login"`)
			if r.id == "post-register" {
				login = ""
			} else {
				shell(preText(text, `id="try-signup"`))
			}
			login += "\n" + s.prepareCommand(t, r.id, routes,
				func(script string) string { return shell(login, script) })
			got := shell(login, `curl() { command curl -sS -w '\n%{http_code}' "$@"; }`, r.command)
			body, status, _ := cutLast(got, "\n")
			if status != fmt.Sprint(r.status) {
				t.Fatalf("status %s, and the page says %d\n%s\n%s", status, r.status, r.command, got)
			}
			wantSameMembers(t, body, r.response)
		})
	}
}

// prepareCommand makes the changes that an endpoint requires, such as creating a factor. It returns the variable that
// the endpoint's command uses.
func (s *service) prepareCommand(t *testing.T, id string, routes []docsRoute, shell func(string) string) string {
	t.Helper()
	command := func(id string) string {
		return routes[slices.IndexFunc(routes, func(r docsRoute) bool { return r.id == id })].command
	}
	mail := func(kind watchword.MailKind, to string) string {
		return "MAIL_TOKEN=" + string(s.mailer.awaitMail(t, kind, to).Token)
	}
	switch id {
	case "delete-sessions-by-id":
		var listed struct{ Sessions []struct{ ID string } }
		must(t, json.Unmarshal([]byte(shell(command("get-sessions"))), &listed))
		return "SESSION_ID=" + listed.Sessions[0].ID
	case "post-password-reset":
		shell(command("post-password-forgot"))
		return mail(watchword.MailReset, "ada@example.com")
	case "post-invite-accept":
		return "MAIL_TOKEN=" + string(s.createInvitation(t, "bo@example.com").Token)
	case "post-email-verify":
		return mail(watchword.MailVerify, "ada@example.com")
	case "post-email-change-confirm", "post-email-change-undo":
		shell("MAIL_TOKEN=" + string(s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token) + "\n" +
			command("post-email-verify"))
		shell(command("post-email-change"))
		confirm := mail(watchword.MailConfirmAddress, "ada@example.org")
		if id == "post-email-change-confirm" {
			return confirm
		}
		shell(confirm + "\n" + command("post-email-change-confirm"))
		return mail(watchword.MailAddressChanged, "ada@example.com")
	}
	return ""
}

// wantSameMembers compares the names of members, and the texts of message and status.
func wantSameMembers(t *testing.T, got, want string) {
	t.Helper()
	var g, w map[string]any
	must(t, json.Unmarshal([]byte(got), &g))
	must(t, json.Unmarshal([]byte(want), &w))
	names := func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
	if !slices.Equal(names(g), names(w)) {
		t.Errorf("members %v, and the page shows %v", names(g), names(w))
	}
	for _, name := range []string{"message", "status"} {
		if g[name] != w[name] {
			t.Errorf("%s is %q, and the page shows %q", name, g[name], w[name])
		}
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

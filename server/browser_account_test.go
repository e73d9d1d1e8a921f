package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"

	"github.com/watchword-auth/watchword"
)

// signInOnSevenDevices signs in to Ada's existing account: four times on each of the first two devices, and once on
// each of the five others.
func (s *service) signInOnSevenDevices(t *testing.T) {
	t.Helper()
	for i, agent := range []string{phoneUserAgent, "curl/8.0",
		"Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 " +
			"Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile " +
			"Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 " +
			"Safari/605.1.15", "?",
	} {
		for range 4 - 3*min(i/2, 1) {
			a := s.newBrowser(t).do("POST", "/api/auth/login",
				`{"email":"ada@example.com","password":"`+goodPassword+`"}`, "User-Agent", agent)
			if a.StatusCode != 200 {
				t.Fatalf("sign-in: %d %s", a.StatusCode, a.raw)
			}
		}
	}
}

func TestAccountFoldsRepeatedSessionsAndEvents(t *testing.T) {
	t.Parallel()
	withAndWithoutScript(t, func(t *testing.T, tabOf func(*service) *tab) {
		s := start(t, nil, nil)
		s.newBrowser(t).register("ada@example.com")
		s.signInOnSevenDevices(t)
		b := tabOf(s)
		b.signIn("ada@example.com", goodPassword)
		const visible = `(title) => [...document.querySelectorAll("section")].find((s) => s.querySelector("h2")?.innerText === title)
      .querySelectorAll(":scope > .rows > li").length`
		for title, want := range map[string]int{"Devices": 5, "Activity": 5} {
			if n := evaluate[int](b, visible, title); n != want {
				t.Errorf("%d rows of %s are visible, want %d", n, title, want)
			}
		}
		b.wantText("Chrome on Linux", "This device", "Show 4 more") // the Go client that registered is a device, too
		if first := evaluate[string](b,
			`() => document.querySelector(".rows strong").innerText`); first != "Chrome on Linux" {
			t.Errorf("the first device is %s", first)
		}
		b.pressAndStay("Devices", "Show 4 more")
		b.wantText("Safari on iPhone", "4 sessions")
		icons := evaluate[string](b, `() => [...new Set([...document.querySelectorAll("#sessions-title ~ * .icon")].map((icon) =>
      icon.querySelector("use").getAttribute("href") + (icon.getBoundingClientRect().width > 20 ? "" : " hidden")))].sort().join()`)
		if icons != "#icon-computer,#icon-phone,#icon-program,#icon-tablet,#icon-unknown" {
			t.Errorf("icons: %s", icons)
		}

		b.pressAndStay("Devices", "4 sessions") // expands the row of curl, the first row with 4 sessions
		b.pressAndLeaveIn("Devices", "Sign out curl")
		b.wantText("Device signed out.")
		b.pressAndStay("Devices", "Show 4 more")
		b.pressAndStay("Activity", "Show 5 more")
		b.wantText("3 sessions", "4 sessions", "4 times") // events: the sign-ins of one device are merged into one row
		if n := strings.Count(b.visibleText(), "Sign out everywhere else"); n != 1 {
			t.Errorf("%d buttons end the other sessions", n)
		}
	})
}

// Each section must have one filled button, its primary action. All other buttons are outlined.
func TestEachSectionHasOnePrimaryAction(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	s.newBrowser(t).register("ada@example.com")
	s.signInOnSevenDevices(t)
	b := s.openTab(t)
	b.signIn("ada@example.com", goodPassword)
	got := evaluate[map[string][]string](b, `() => {
    for (const d of document.querySelectorAll("details")) d.open = true;
    const accent = getComputedStyle(document.querySelector("section form > button[type=submit]")).backgroundColor;
    return Object.fromEntries([...document.querySelectorAll(".parts > div > section")].map((section) => [
      section.querySelector("h2").innerText, [...section.querySelectorAll("button")].filter((button) =>
        getComputedStyle(button).backgroundColor === accent).map((button) => button.innerText)]));
  }`)
	want := map[string][]string{"Profile": {"Save name"}, "Security": {"Change password"}, "Devices": {},
		"Activity":       {},
		"Delete account": {}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the primary actions are %v, want %v", got, want)
	}
	for _, title := range []string{"Profile", "Security", "Devices", "Activity"} {
		b.visit("/account")
		b.pressAndStay("", title)
		b.waitUntil(title+" is on the screen", `(title) => {
      const heading = [...document.querySelectorAll("h2")].find((h) => h.innerText === title), box = heading.getBoundingClientRect();
      return location.hash === "#" + heading.id && box.top >= 0 && box.bottom <= innerHeight;
    }`, title)
	}
}

// The script must compute the age of an event from the age that the server sent, and not from the clock of the
// browser.
func TestTimesOnThePageGoOnAndShowTheExactOne(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *watchword.Options) {
		o.Now = func() time.Time { return time.Now().Add(-3*time.Hour - time.Minute) }
	}, nil)
	s.newBrowser(t).register("ada@example.com")
	for language, texts := range map[string][]string{
		"en": {"3 hours ago", "5 hours ago"}, "de": {"vor 3 Stunden", "vor 5 Stunden"},
	} {
		b := s.openTab(t)
		b.setLanguageAndAgent(language, evaluate[string](b, `() => navigator.userAgent`))
		sendDevTools(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `
      window.setInterval = (act) => { window.passMinutes = act; return 1 };
      performance.now = () => window.passed ?? 0;`})
		b.visit("/login")
		evaluate[bool](b, `(password) => {
      document.getElementById("login-email").value = "ada@example.com";
      document.getElementById("login-password").value = password;
      return true;
    }`, goodPassword)
		b.pressAndLeave(map[string]string{"en": "Sign in", "de": "Anmelden"}[language])
		const last = `() => { const all = document.querySelectorAll("#events-title ~ .rows time"), time = all[all.length - 1];
      return [time.textContent, time.title, time.dateTime] }`
		before := evaluate[[]string](b, last)
		evaluate[bool](b, `() => { window.passed = 2 * 3600_000; window.passMinutes(); return true }`)
		after := evaluate[[]string](b, last)
		if before[0] != texts[0] || after[0] != texts[1] {
			t.Errorf("%s: %q, and after two hours %q", language, before, after)
		}
		at, err := time.Parse(time.RFC3339, before[2])
		if year := fmt.Sprint(at.Year()); err != nil || !strings.Contains(before[1], year) || after[1] != before[1] {
			t.Errorf("%s: the exact time is %q and %q (%v)", language, before[1], after[1], err)
		}
	}
	b := s.openTab(t).withoutScript()
	b.signIn("ada@example.com", goodPassword)
	b.wantText("3 hours ago")
	if title := evaluate[string](b, `() => document.querySelector("time").title`); !strings.HasSuffix(title, " UTC") {
		t.Errorf("without script the exact time is %q", title)
	}
}

func TestPressedButtonShowsThatItIsBusy(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil).openTab(t)
	b.visit("/login")
	b.fillField("Email address", "ada@example.com")
	b.fillField("Password", goodPassword)
	// The browser leaves the page only after this script has ended, so the script can read the state of the button.
	got := evaluate[[]string](b, `() => {
    const button = document.querySelector("button[type=submit]");
    const state = () => [button.getAttribute("aria-busy"), getComputedStyle(button, "::after").animationName].join(" ");
    const before = state(), wide = button.offsetWidth;
    document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    button.click();
    return [before, state(), String(button.offsetWidth === wide)];
  }`)
	if want := " none,true turn,true"; strings.Join(got, ",") != want {
		t.Errorf("the button is %q, want %q", got, want)
	}
}

func TestCapsLockIsMentionedAtThePasswordOnly(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil).openTab(t)
	b.visit("/login")
	typed := func(id string, on bool) string {
		return evaluate[string](b, `(id, on) => {
      const input = document.getElementById(id);
      input.dispatchEvent(new KeyboardEvent("keydown", { key: "A", modifierCapsLock: on }));
      return [...document.querySelectorAll("[role=status]")].map((note) => note.innerText).join("");
    }`, id, on)
	}
	for _, c := range []struct {
		id   string
		on   bool
		want string
	}{{"login-email", true, ""}, {"login-password", true, "Caps Lock is on."}, {"login-password", false, ""}} {
		if got := typed(c.id, c.on); got != c.want {
			t.Errorf("%s with Caps Lock %t: %q", c.id, c.on, got)
		}
	}
	typed("login-password", true)
	if got := evaluate[string](b, `() => {
    const input = document.getElementById("login-password");
    input.focus();
    input.blur();
    return document.querySelector(".caps").innerText;
  }`); got != "" {
		t.Errorf("after the field is left: %q", got)
	}
}

// The server counts characters after NFKC, and the page must count in the same way. Otherwise the page could mark a
// password as long enough although the server refuses it.
func TestMinimumLengthTicksOffWhenTheServerAcceptsIt(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.openTab(t)
	b.visit("/signup")
	b.disableValidation()
	const state = `() => {
    const rule = document.querySelector("[data-min]");
    return rule.innerText + (rule.classList.contains("met") ? " met" : "");
  }`
	for i, c := range []struct {
		password string
		met      bool
	}{{"", false}, {"xq7 vtz", false}, {"xq7 vtzk", true}, {"e\u0301q7 vtz", false}, {"🦦🦦🦦🦦", false},
		{"🦦x7🦦v🦦q🦦", true}} {
		b.fillField("Password", c.password)
		want := "At least 8 characters"
		if c.met {
			want += " met"
		}
		if got := evaluate[string](b, state); got != want {
			t.Errorf("%q: %q, want %q", c.password, got, want)
		}
		a := s.newBrowser(t).post("/register",
			map[string]any{"email": fmt.Sprintf("user%d@example.com", i), "password": c.password})
		if accepted := a.StatusCode == 201; accepted != c.met {
			t.Errorf("%q: the server responds with %d %s", c.password, a.StatusCode, a.raw)
		}
	}
	plain := start(t, nil, nil).openTab(t).withoutScript()
	plain.visit("/signup")
	plain.wantText("At least 8 characters")
	if evaluate[int](plain, `() => document.querySelectorAll(".ticks").length`) != 0 {
		t.Error("without script there is a box that never ticks")
	}
}

func TestShowButtonIsInsideTheField(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	for _, language := range []string{"en", "de"} {
		b := s.openTab(t)
		b.setLanguageAndAgent(language, phoneUserAgent)
		b.visit("/signup")
		got := evaluate[[]bool](b, `() => {
      const input = document.getElementById("signup-password"), button = document.querySelector(".show");
      const inside = () => {
        const i = input.getBoundingClientRect(), s = button.getBoundingClientRect();
        const text = i.right - parseFloat(getComputedStyle(input).paddingRight);
        return i.left < s.left && s.right < i.right && i.top < s.top && s.bottom < i.bottom && text <= s.left;
      };
      const before = inside();
      button.click();
      return [before, inside(), input.type === "text"];
    }`)
		if slices.Contains(got, false) {
			t.Errorf("%s: inside as Show, inside as Hide, shown: %v", language, got)
		}
	}
}

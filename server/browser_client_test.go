package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/server"
)

// These tests use the passkeys of the browser client (clients/typescript) in a real Chromium. The page belongs to a
// front-end with a separate origin.

// recordingVariable is an environment variable with the path of a file. recordPasskeyResponses writes the responses
// of Chromium's authenticator to this file. A test of the client verifies such a recording,
// clients/typescript/test/chromium.json, with another library.
const recordingVariable = "WATCHWORD_TEST_RECORD_PASSKEYS"

// bundleClient returns the browser client as one script, which sets the global watchword.
func bundleClient(t *testing.T) string {
	t.Helper()
	const source = "../clients/typescript"
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	must(t, os.CopyFS(filepath.Join(dir, "src"), os.DirFS(source+"/src")))
	installPackages(t, dir)
	entry := `export * from "./src/index.js"; export * from "./src/factors.js"`
	must(t, os.WriteFile(filepath.Join(dir, "entry.js"), []byte(entry), 0o600))
	bundle := exec.CommandContext(t.Context(), "node_modules/.bin/esbuild", "entry.js", "--bundle", "--format=iife",
		"--global-name=watchword", "--log-level=warning")
	bundle.Dir = dir
	out, err := bundle.Output()
	must(t, err)
	return string(out)
}

// startFrontEnd serves the front-end on another port than the service, and returns its origin.
func startFrontEnd(t *testing.T) (*service, string) {
	t.Helper()
	script := bundleClient(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/client.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte(script))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>Front-end</title><input autocomplete="username webauthn">
			<script src="/client.js"></script>`))
	}))
	t.Cleanup(front.Close)
	origin := strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	s := start(t, func(o *watchword.Options) {
		o.PublicURL = strings.Replace(o.PublicURL, "127.0.0.1", "localhost", 1)
	}, nil)
	s.url = s.engine.PublicURL()
	manager := factors.New(s.engine, s.store.Factors(), factors.Options{Origins: []string{origin}})
	var err error
	s.server, err = server.New(s.engine, server.Options{
		PublicURL: s.url, Factors: manager, AllowedOrigins: []string{origin}}) // replaces the server
	must(t, err)
	s.document = readDocument(t, s.server, s.url)
	return s, origin
}

// createClientScript creates the client objects of a page. It records each request of the client in window.sent.
const createClientScript = `(url) => {
  window.sent = [];
  const recorded = async (input, init) => {
    const response = await fetch(input, init);
    const body = init?.body ? JSON.parse(init.body) : {};
    sent.push({ path: new URL(input).pathname, body, response: await response.clone().json().catch(() => ({})) });
    return response;
  };
  window.client = watchword.createClient({ baseUrl: url, fetch: recorded });
  window.passkeys = watchword.createPasskeys(client);
  window.factors = watchword.createFactors(client);
  window.codeOf = (promise) => promise.then((outcome) => outcome.cancelled ? "cancelled" : "done", (e) => e.code ?? String(e));
}`

func TestChromiumUsesPasskeysThroughTheClient(t *testing.T) {
	t.Parallel()
	s, origin := startFrontEnd(t)
	b := s.openTab(t)
	device := b.withAuthenticator()
	b.visit(origin)
	evaluate[any](b, createClientScript, s.url)
	is := func(want, expression string, args ...any) {
		t.Helper()
		if got := evaluate[string](b, expression, args...); got != want {
			t.Fatalf("%s: %q, want %q", expression, got, want)
		}
	}
	const login = `{ email: "ada@example.com", password: "correct horse battery" }`
	evaluate[any](b, `() => client.register(`+login+`).then(() => 0)`)
	token := s.mailer.awaitMail(t, watchword.MailVerify, "ada@example.com").Token
	evaluate[any](b, `(token) => client.verifyEmail({ token }).then(() => 0)`, string(token))

	device.setFingerRecognized(false)
	is("cancelled", `() => codeOf(passkeys.add())`)
	device.setFingerRecognized(true)
	is("10", `async () => String((await passkeys.add({ name: "laptop" })).recoveryCodes.length)`)
	is("PASSKEY_EXISTS", `() => codeOf(passkeys.add())`)
	is("laptop", `async () => (await factors.list()).factors.map((one) => one.name).join()`)
	is("done", `() => codeOf(passkeys.stepUp())`)

	is("done", `() => client.logout().then(() => codeOf(passkeys.signIn()))`)
	is("signedIn", `() => client.getSnapshot().status`)
	const second = `async () => {
	  await client.logout();
	  const { challenge } = await client.login(` + login + `).catch((error) => error);
	  return codeOf(passkeys.completeSignIn(challenge));
	}`
	is("done", second)
	recordPasskeyResponses(b, origin)

	// A new request must replace a request that waits for the user. While a dialog is open, the browser must not
	// suggest passkeys.
	device.setUserTouches(false)
	evaluate[any](b, `async () => {
	  await client.logout();
	  window.suggested = codeOf(passkeys.autofill());
	  while (!sent.at(-1).path.endsWith("/passkey/options")) await new Promise((resolve) => setTimeout(resolve, 10));
	  window.first = codeOf(passkeys.signIn());
	  window.asked = sent.length;
	  while (sent.length === asked) await new Promise((resolve) => setTimeout(resolve, 10));
	}`)
	// The script delays the second request until the test calls comeBack. By then, the first request has ended. If
	// both requests reached the virtual device at the same time, the device could lose the second.
	evaluate[any](b, `() => {
	  const back = new Promise((resolve) => { window.comeBack = resolve });
	  const get = navigator.credentials.get;
	  navigator.credentials.get = (options) => back.then(() => get.call(navigator.credentials, options));
	  window.second = codeOf(passkeys.signIn());
	}`)
	is("cancelled", `() => first`)
	device.setUserTouches(true)
	is("done", `() => { comeBack(); return second }`)
	evaluate[any](b, `() => { delete navigator.credentials.get }`)
	is("cancelled", `() => suggested`)
	is("done", `() => client.logout().then(() => codeOf(passkeys.autofill()))`)

	// Older browsers lack these three functions. The client must work without them.
	evaluate[any](b, `() => {
	  delete PublicKeyCredential.parseCreationOptionsFromJSON;
	  delete PublicKeyCredential.parseRequestOptionsFromJSON;
	  delete PublicKeyCredential.prototype.toJSON;
	}`)
	is("done", second)

	// After a passkey is removed, the browser must forget it.
	is("0", `async () => {
	  const [passkey] = (await factors.list()).factors;
	  await factors.remove(passkey.id);
	  return String((await factors.list()).factors.length);
	}`)
	device.awaitNoPasskeys()
	is("done", `() => codeOf(passkeys.add())`)
}

// recordPasskeyResponses records only if recordingVariable is set.
func recordPasskeyResponses(b *tab, origin string) {
	b.t.Helper()
	file := os.Getenv(recordingVariable)
	if file == "" {
		return
	}
	sent := evaluate[json.RawMessage](b, `() => {
	  const of = (path) => sent.filter((one) => one.path === "/api/auth/" + path).at(-1);
	  const creation = sent.filter((one) => one.path === "/api/auth/factors/passkeys" && one.response.factor)[0];
	  const options = sent[sent.indexOf(creation) - 1].response.publicKey;
	  return {
	    creation: { options, response: creation.body.credential },
	    uses: [
	      { options: of("step-up/options").response.publicKey, response: of("step-up").body.passkey },
	      { options: of("passkey/options").response.publicKey, response: of("passkey/login").body.credential },
	      { options: of("login").response.challenge.passkey.publicKey, response: of("login/factor").body.passkey },
	    ],
	  };
	}`)
	text, err := json.MarshalIndent(map[string]any{"origin": origin, "rpId": "localhost", "sent": sent}, "", "  ")
	must(b.t, err)
	must(b.t, os.WriteFile(file, append(text, '\n'), 0o600))
}

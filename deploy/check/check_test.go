// Package check_test checks the files for containers without a container engine. It reads compose.yaml with the
// parser of Docker Compose, and the manifests with the types of Kubernetes. It checks the settings in both with
// `watchword config`.
package check_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const repositoryRoot = "../.."

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func loadCompose(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(repositoryRoot, "compose.yaml")}, cli.WithProfiles(profiles),
		cli.WithName("watchword"))
	must(t, err)
	project, err := options.LoadProject(context.Background())
	must(t, err)
	return project
}

func TestComposeStartsOneServerByDefaultAndThreeWithPostgreSQL(t *testing.T) {
	t.Parallel()
	if got := loadCompose(t).ServiceNames(); !slices.Equal(got, []string{"watchword"}) {
		t.Errorf("by default: %v", got)
	}
	project, err := loadCompose(t, "postgres").WithSelectedServices([]string{"proxy"})
	must(t, err)
	want := []string{"postgres", "proxy", "server1", "server2", "server3"}
	if got := project.ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("up proxy: %v, want %v", got, want)
	}
}

func TestComposeServersAreRestrictedAndHaveValidSettings(t *testing.T) {
	t.Parallel()
	binary := builtServer(t)
	for name, service := range loadCompose(t, "postgres").Services {
		if service.Image != "watchword" {
			continue
		}
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) ||
			!slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s has a writable root or privileges", name)
		}
		settings := map[string]string{}
		for key, value := range service.Environment {
			settings[key] = *value
		}
		checkSettings(t, binary, settings, len(service.Secrets))
	}
}

func dockerfileEnv(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repositoryRoot, "Dockerfile"))
	must(t, err)
	settings := map[string]string{}
	for line := range strings.Lines(string(content)) {
		if pairs, found := strings.CutPrefix(line, "ENV "); found {
			for _, pair := range strings.Fields(pairs) {
				key, value, _ := strings.Cut(pair, "=")
				settings[key] = value
			}
		}
	}
	if settings["WATCHWORD_LISTEN"] != ":8080" {
		t.Fatalf("the Dockerfile sets %v", settings)
	}
	return settings
}

// builtServer returns the path of the program that `make build` creates. It fails the test if the program is missing.
// `make manifests` builds the program before the tests.
func builtServer(t *testing.T) string {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join(repositoryRoot, "bin/watchword"))
	must(t, err)
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("run make manifests: %v", err)
	}
	return binary
}

// checkSettings runs `watchword config` with the settings of the image and the given settings. If the value of a
// setting is the path of a secret's file, checkSettings creates this file.
func checkSettings(t *testing.T, binary string, settings map[string]string, wantSecretFiles int) {
	t.Helper()
	secret := map[string]string{
		"master-key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		"store":      "postgres://watchword:password@postgres/watchword?sslmode=disable",
		"mail-url":   "smtp://user:password@mail.example.com:587",
	}
	dir := t.TempDir()
	all, files := dockerfileEnv(t), 0
	for key, value := range settings {
		if strings.HasSuffix(key, "_FILE") {
			files++
			name := filepath.Base(value)
			value = filepath.Join(dir, name)
			must(t, os.WriteFile(value, []byte(secret[name]+"\n"), 0o600))
		}
		all[key] = value
	}
	if files != wantSecretFiles {
		t.Errorf("%d settings name files of secrets, want %d", files, wantSecretFiles)
	}
	command := exec.Command(binary, "config")
	command.Dir = dir
	for key, value := range all {
		command.Env = append(command.Env, key+"="+value)
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("watchword config: %v\n%s", err, out)
	}
}

// parseManifest fails on an unknown or repeated field.
func parseManifest(t *testing.T, name string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repositoryRoot, "deploy/kubernetes", name))
	must(t, err)
	found := map[string]any{}
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		var head struct{ APIVersion, Kind string }
		must(t, yaml.Unmarshal(document, &head))
		object := map[string]any{
			"v1 ServiceAccount": &core.ServiceAccount{}, "v1 ConfigMap": &core.ConfigMap{}, "v1 Service": &core.Service{},
			"apps/v1 Deployment": &apps.Deployment{}, "apps/v1 StatefulSet": &apps.StatefulSet{},
			"policy/v1 PodDisruptionBudget":      &policy.PodDisruptionBudget{},
			"networking.k8s.io/v1 NetworkPolicy": &networking.NetworkPolicy{},
		}[head.APIVersion+" "+head.Kind]
		if object == nil {
			t.Fatalf("%s: unknown object %+v", name, head)
		}
		// Kubernetes distinguishes upper and lower case in field names, but package encoding/json does not.
		text, err := yaml.YAMLToJSONStrict(document)
		must(t, err)
		if faults, err := json.UnmarshalStrict(text, object); err != nil || len(faults) > 0 {
			t.Fatalf("%s: %s: %v %v", name, head.Kind, err, faults)
		}
		found[head.Kind] = object
	}
	return found
}

func TestManifestsHaveValidTypesAndSettings(t *testing.T) {
	t.Parallel()
	binary := builtServer(t)
	for name, secrets := range map[string]int{"postgres.yaml": 3, "sqlite.yaml": 2} {
		all := parseManifest(t, name)
		template, labels := pods(t, all)
		if !reflect.DeepEqual(template.Labels, labels) || !reflect.DeepEqual(
			all["NetworkPolicy"].(*networking.NetworkPolicy).Spec.PodSelector.MatchLabels, labels) ||
			!reflect.DeepEqual(all["Service"].(*core.Service).Spec.Selector, labels) {
			t.Errorf("%s: the selectors differ from the labels %v", name, template.Labels)
		}
		checkPod(t, name, template.Spec)
		checkSettings(t, binary, all["ConfigMap"].(*core.ConfigMap).Data, secrets)
	}
	budget := parseManifest(t, "postgres.yaml")["PodDisruptionBudget"].(*policy.PodDisruptionBudget)
	if got := budget.Spec.Selector.MatchLabels["app"]; got != "watchword" {
		t.Errorf("the budget is for %q", got)
	}
}

func pods(t *testing.T, all map[string]any) (core.PodTemplateSpec, map[string]string) {
	t.Helper()
	if set, ok := all["StatefulSet"].(*apps.StatefulSet); ok {
		if *set.Spec.Replicas != 1 {
			t.Error("SQLite allows one server")
		}
		return set.Spec.Template, set.Spec.Selector.MatchLabels
	}
	deployment := all["Deployment"].(*apps.Deployment)
	return deployment.Spec.Template, deployment.Spec.Selector.MatchLabels
}

// checkPod checks that a pod meets the Pod Security Standard "restricted" and has a read-only root. It also checks
// the probes and the grace period for shutdown.
func checkPod(t *testing.T, name string, pod core.PodSpec) {
	t.Helper()
	if *pod.EnableServiceLinks {
		t.Errorf("%s: service links set WATCHWORD_PORT, which the server refuses", name)
	}
	c := pod.Containers[0]
	if *c.SecurityContext.AllowPrivilegeEscalation || !*c.SecurityContext.ReadOnlyRootFilesystem ||
		!slices.Equal(c.SecurityContext.Capabilities.Drop, []core.Capability{"ALL"}) ||
		!*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser != 65532 ||
		pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: the container is not restricted", name)
	}
	for path, probe := range map[string]*core.Probe{"/readyz": c.ReadinessProbe, "/healthz": c.LivenessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "http" {
			t.Errorf("%s: a probe asks %+v, want %s", name, probe.HTTPGet, path)
		}
	}
	if c.StartupProbe.HTTPGet.Path != "/healthz" || *pod.TerminationGracePeriodSeconds < 10+10 {
		t.Errorf("%s: startup probe or grace period", name)
	}
	volumes := map[string]bool{"data": true} // "data" is a volume claim of the StatefulSet
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = true
	}
	for _, mount := range c.VolumeMounts {
		if !volumes[mount.Name] {
			t.Errorf("%s: no volume %s", name, mount.Name)
		}
	}
}

func TestWorkflowsSayThatTheyAreUntested(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(repositoryRoot, ".github/workflows/*.yml"))
	must(t, err)
	if len(files) != 3 {
		t.Fatalf("workflows: %v", files)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		must(t, err)
		if !bytes.HasPrefix(content, []byte("# UNTESTED")) {
			t.Errorf("%s does not begin with UNTESTED", name)
		}
		checkWorkflow(t, name, content)
	}
}

// checkWorkflow checks that a workflow pins every action to a version and declares its permissions. Its containers
// must use Debian 13, because .ci/setup requires the Node.js version of that release.
func checkWorkflow(t *testing.T, name string, content []byte) {
	t.Helper()
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Container string
			Steps     []struct{ Uses, Run string }
		}
	}
	must(t, yaml.Unmarshal(content, &workflow))
	if len(workflow.Jobs) == 0 || workflow.Permissions == nil {
		t.Errorf("%s has no jobs or no permissions", name)
	}
	for job, each := range workflow.Jobs {
		if each.Container != "" && !strings.HasSuffix(each.Container, "-trixie") {
			t.Errorf("%s: %s: Node.js of %s is too old for .ci/setup", name, job, each.Container)
		}
		for _, step := range each.Steps {
			if (step.Uses == "") == (step.Run == "") || (step.Uses != "" && !strings.Contains(step.Uses, "@v")) {
				t.Errorf("%s: %s: step %+v", name, job, step)
			}
		}
	}
}

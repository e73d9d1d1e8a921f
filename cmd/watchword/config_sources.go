package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/joho/godotenv"
	"gopkg.in/yaml.v3"
)

// The sources of settings. A flag takes precedence over the environment, then .env in the
// working directory, then the YAML file, then the default. Kong parses the flags and asks a
// Resolver for the rest. The variable of a secret can end in _FILE and name a file with the
// secret, which keeps secrets out of the environment.
//
// An unknown name in any source is a fault. A misspelled setting would otherwise keep its
// default, and the operator would believe that it is set.

// sources is a kong.Resolver that records the origin of each value and every fault.
type sources struct {
	known      map[string]setting
	layers     []layer
	configFile string // value of WATCHWORD_CONFIG; the flag --config takes precedence
	fileRead   bool
	origins    map[string]string
	found      []fault

	providers       []providerSetting // entries of sign-in-with
	providerSecrets map[string]string // values by the name of the variable
}

// commandSecrets are secret flags of commands. Like a secret setting, they can come from the
// environment or a file, because other users of the machine can read a command line.
var commandSecrets = []string{"firebase-signer-key"}

// A layer holds the values of one source, by setting. For each setting, the first layer that
// has it decides. Values of different layers are never combined.
type layer map[string]entry

// An entry keeps the text as it was written. Only the setting knows how to read it.
type entry struct{ text, origin string }

// newSources reads environ and .env. The YAML file is read later, because a flag may name it.
// Faults of one source are in the alphabetical order of their variables. The caller passes the
// environment, so that tests are independent of the machine.
func newSources(settings []setting, environ []string) *sources {
	s := &sources{known: map[string]setting{}, origins: map[string]string{}, providerSecrets: map[string]string{}}
	for _, each := range settings {
		s.known[each.Name] = each
	}
	for _, name := range commandSecrets {
		s.known[name] = setting{Name: name, Secret: "all"}
	}
	environment := map[string]string{}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		environment[name] = value
	}
	s.layers = append(s.layers, s.readVariables(environment, "environment"), s.readVariables(s.readDotEnv(), ".env"))
	return s
}

// readDotEnv returns no error if the working directory has no .env. The file is for development,
// and the environment takes precedence over it. Tools of developers expect .env in the working
// directory, so it is not in the data directory.
func (s *sources) readDotEnv() map[string]string {
	values, err := godotenv.Read(".env")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The error of the parser would quote the file, and the file has secrets.
		s.addFault(".env", "the file in the working directory can't be read. Write lines of NAME=value, or remove it.")
	}
	return values
}

// readVariables returns the values of the variables with the prefix WATCHWORD_. In messages,
// origin names the source of the variables. Variables without the prefix belong to other
// programs and are ignored. A name with lower case letters after the prefix is a fault, because
// names of variables are case-sensitive.
func (s *sources) readVariables(values map[string]string, origin string) layer {
	result := layer{}
	for _, name := range sortedKeys(values) {
		suffix, found := strings.CutPrefix(name, envPrefix)
		if !found {
			continue
		}
		key := strings.ReplaceAll(strings.ToLower(suffix), "_", "-")
		secret, isFile := strings.CutSuffix(key, "-file")
		switch {
		case name == envPrefix+"CONFIG":
			if s.configFile == "" {
				s.configFile = values[name]
			}
		// Providers are checked later, because they are in the YAML file, which is not read
		// yet.
		case strings.HasPrefix(name, providerPrefix):
			// The environment is read before .env, so its value is kept. An empty variable
			// counts as missing, because deployments often set a variable without a value.
			if s.providerSecrets[name] == "" && values[name] != "" {
				s.providerSecrets[name] = values[name]
			}
		case name == variableName(key) && s.isKnown(key):
			result.set(s, key, entry{values[name], origin + " " + name})
		case name == variableName(key) && isFile && s.known[secret].Secret != "":
			s.readSecretFile(result, secret, name, values[name])
		default:
			s.addFault(name, s.unknownVariableProblem(name, values[name]))
		}
	}
	return result
}

// isKnown reports whether name is a setting or in commandSecrets.
func (s *sources) isKnown(name string) bool { _, ok := s.known[name]; return ok }

// set stores the value of a setting in the layer. If the layer already has a value for the
// setting, for example from a variable and a _FILE variable, set records a fault. Otherwise,
// the order of the two variables would decide. set keeps the later value, but the fault stops
// the program before it uses the value.
func (l layer) set(s *sources, name string, e entry) {
	if other, twice := l[name]; twice {
		s.addFault(name, fmt.Sprintf("is given twice, by %s and by %s. Keep one of them.", other.origin, e.origin))
	}
	l[name] = e
}

// readSecretFile reads a secret from the file that a _FILE variable names. One line break at
// the end of the file is not part of the secret, because most editors add one. Docker and
// Kubernetes mount secrets as files. Neither the path nor the origin reveals the content, so
// both may appear in messages. The mode of the file is not checked, because orchestrators
// choose it.
func (s *sources) readSecretFile(found layer, name, origin, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		s.addFault(origin, fmt.Sprintf("%s. Write the path of a file that holds the secret.", plainFileError(err)))
		return
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		s.addFault(origin, fmt.Sprintf("%s is empty. Write the secret into it.", path))
		return
	}
	found.set(s, name, entry{text, "file " + path + " (" + origin + ")"})
}

// unknownVariableProblem says what to do about a variable with the prefix WATCHWORD_ that is
// not a setting. For variables that Kubernetes sets, it has separate advice.
func (s *sources) unknownVariableProblem(name, value string) string {
	// Kubernetes sets variables for every Service of the namespace. If a Service is named
	// watchword, its variables begin with WATCHWORD_.
	kubernetes := strings.HasPrefix(value, "tcp://") || strings.Contains(name, "_SERVICE_") || strings.Contains(name,
		"_PORT")
	if kubernetes {
		return "is not a setting. Kubernetes sets it for a Service named watchword: write enableServiceLinks: false in the " +
			"pod, or rename the Service."
	}
	key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-")
	return "is not a setting. " + s.suggestion(key, variableName)
}

// suggestion says what to write instead of an unknown name. Most unknown names are typing
// errors, so the nearest name is usually the wanted one. spellName writes the suggested name as
// the source does, so that the operator can copy it.
func (s *sources) suggestion(name string, spellName func(string) string) string {
	if near := nearestName(name, sortedKeys(s.known)); near != "" {
		return fmt.Sprintf("Write %s, or remove it.", spellName(near))
	}
	return "Remove it; `watchword config` lists the settings."
}

// Resolve implements kong.Resolver. Kong calls it for each flag that is not on the command
// line. The YAML file is read at the first call, because only then is the value of --config
// known. A nil value makes kong use the default of the tag. Resolve never returns an error,
// because an error would stop kong at the first fault.
func (s *sources) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !s.fileRead {
		s.fileRead = true
		s.layers = append(s.layers, s.readYAMLFile(s.yamlPath(ctx)))
	}
	for _, layer := range s.layers {
		if e, ok := layer[flag.Name]; ok {
			s.origins[flag.Name] = e.origin
			return e.text, nil
		}
	}
	return nil, nil
}

// Validate implements kong.Resolver. It never returns an error, because kong would then print
// its usage. allFaults later reports all faults.
func (s *sources) Validate(*kong.Application) error { return nil }

// yamlPath returns the flag --config, else WATCHWORD_CONFIG, else "". The settings themselves
// can't name the file, because they are read from it.
func (s *sources) yamlPath(ctx *kong.Context) string {
	for _, path := range ctx.Path {
		if path.Flag != nil && path.Flag.Name == "config" {
			given, _ := ctx.FlagValue(path.Flag).(string)
			return given
		}
	}
	return s.configFile
}

// readYAMLFile expects one mapping of names to values. It parses the file as a tree of nodes
// and not into a struct, because nodes have line numbers for the messages. A missing file is a
// fault, even if every setting has a default, because the operator named the file.
func (s *sources) readYAMLFile(path string) layer {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		s.addFault("config", plainFileError(err)+". Write the path of a YAML file.")
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		s.addFault(path, "is not YAML. Write lines of name: value.")
		return nil
	}
	if doc.Kind == 0 {
		return nil // an empty file, or only comments
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		s.addFault(path, "is not a list of settings. Write lines of name: value.")
		return nil
	}
	found := layer{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		s.readYAMLKey(found, path, root.Content[i], root.Content[i+1])
	}
	return found
}

// readYAMLKey records path:line as the origin of the value, as compilers print it, so that
// editors can jump to the line.
func (s *sources) readYAMLKey(found layer, path string, key, value *yaml.Node) {
	where := fmt.Sprintf("%s:%d", path, key.Line)
	if key.Value == signInWith {
		s.readProviders(path, value)
		return
	}
	known, ok := s.known[key.Value]
	if !ok {
		spell := func(name string) string { return name + ":" }
		s.addFault(where, fmt.Sprintf("%q is not a setting. %s", key.Value, s.suggestion(key.Value, spell)))
		return
	}
	text, ok := scalarText(value)
	if !ok && value.Kind == yaml.SequenceNode && known.isList() {
		text, ok = joinedList(value)
	}
	if !ok {
		s.addFault(where, fmt.Sprintf("%s has no readable value. Write %s: %s, or remove the line.", key.Value, key.Value,
			known.exampleValue()))
		return
	}
	found.set(s, key.Value, entry{text, where})
}

// scalarText returns the text of a YAML value as written, because the setting and not YAML must
// interpret texts such as 0x10 or 1e3. It returns false for a list, a mapping, and a key
// without a value (null). Null would otherwise count as an empty text, which turns some
// features off.
func scalarText(node *yaml.Node) (string, bool) {
	return node.Value, node.Kind == yaml.ScalarNode && node.Tag != "!!null"
}

// joinedList joins a YAML list with commas, as in flags and variables. A nested list can't be
// written in this form, and the caller refuses it.
func joinedList(node *yaml.Node) (string, bool) {
	var parts []string
	for _, item := range node.Content {
		text, ok := scalarText(item)
		if !ok {
			return "", false
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ","), true
}

// isList reports whether the setting takes several values.
func (s setting) isList() bool {
	_, ok := s.value.Interface().([]string)
	return ok
}

// exampleValue returns the default, which is always valid, for a message. It returns "…" for a
// setting without a default, because no value of it would suit every installation.
func (s setting) exampleValue() string {
	if s.Default != "" {
		return s.Default
	}
	return "…"
}

// recordFlagOrigins records "flag --NAME" as the origin of each setting on the command line.
// Kong does not call Resolve for these settings, so Resolve can't record their origins.
// recordFlagOrigins runs after parsing and replaces any earlier origin.
func (s *sources) recordFlagOrigins(ctx *kong.Context) {
	for _, path := range ctx.Path {
		if path.Flag != nil && !path.Resolved && s.isKnown(path.Flag.Name) {
			s.origins[path.Flag.Name] = "flag --" + path.Flag.Name
		}
	}
}

// plainFileError returns "path: cause", without the name of the system call. Operators know the
// path and the cause. "open" or "lstat" would not help them.
func plainFileError(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}

// sortedKeys returns the keys in alphabetical order, so that messages have the same order in
// every run.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// nearestName returns the candidate that differs from word by only a few typing errors, or "".
// It allows one error, and one more for every four bytes of word. The candidates are sorted. If
// several are equally near, it returns the alphabetically first of them.
func nearestName(word string, candidates []string) string {
	best, least := "", 1+len(word)/4
	for _, c := range candidates {
		if d := editDistance(word, c); d <= least {
			best, least = c, d-1
		}
	}
	return best
}

// editDistance returns the Levenshtein distance of two texts, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// linked is a module in a binary, or the standard library of Go.
type linked struct {
	path, version string
	texts         []file   // its licence files; names are relative to the module
	licences      []string // SPDX identifiers
}

// linkedModules returns the modules that the linker put into the binary, sorted by path, after the
// standard library. A module without a known licence is an error: someone must read the licence
// before a release contains the module.
func (r *release) linkedModules(binary string) ([]linked, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	root, err := output(r.source, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := []linked{{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}}
	list := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("module %s is replaced; a release contains only published modules", m.Path)
		}
		modules = append(modules, linked{path: m.Path, version: m.Version})
		list = append(list, m.Path)
	}
	listed, err := output(r.source, goEnvironment("", ""), "go", list...)
	if err != nil {
		return nil, err
	}
	dirs := strings.Split(strings.TrimSpace(string(root)+string(listed)), "\n")
	if len(dirs) != len(modules) {
		return nil, fmt.Errorf("go list returned %d folders for %d modules", len(dirs), len(modules))
	}
	var unknown []error
	for i := range modules {
		m := &modules[i]
		if m.texts, err = licenceTexts(dirs[i]); err != nil {
			return nil, err
		}
		if m.licences = identify(m.texts); len(m.licences) == 0 {
			unknown = append(unknown, fmt.Errorf("no known licence in module %s", m.path))
		}
	}
	return modules, errors.Join(unknown...)
}

// legalName matches the names of licence files. A module has them in its root folder, or in the folder LICENSES of
// the REUSE specification.
var legalName = regexp.MustCompile(`(?i)^((un)?licen[cs]e|copying|notice|patents)([-.][^/]*)?$`)

// licenceTexts reads the licence files of a module.
func licenceTexts(dir string) ([]file, error) {
	var texts []file
	add := func(name string) error {
		data, err := os.ReadFile(filepath.Join(dir, name))
		texts = append(texts, file{name: filepath.ToSlash(name), data: data})
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() && legalName.MatchString(entry.Name()) {
			if err := add(entry.Name()); err != nil {
				return nil, err
			}
		}
	}
	reuse, err := os.ReadDir(filepath.Join(dir, "LICENSES"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range reuse {
		if err := add(filepath.Join("LICENSES", entry.Name())); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// phrases identify the licences that CONTRIBUTING.md allows. A text has a licence if it contains all phrases of that
// licence. Before the search, each run of white space is replaced by one space.
var phrases = []struct {
	id   string
	must []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
	{"MIT", []string{"Permission is hereby granted, free of charge, to any person obtaining a copy of this software"}},
	{"ISC", []string{"Permission to use, copy, modify, and", "distribute this software for any purpose with or without fee"}},
	{"BSD-3-Clause", []string{"Redistributions of source code must retain", "Neither the name"}},
	{"BSD-2-Clause", []string{"Redistributions of source code must retain"}},
}

// identify returns the SPDX identifiers of a module's licence, from its file LICENSE or COPYING.
// Other files, such as LICENSE-GO, are licences of parts of the module; a release contains their
// texts, too.
func identify(texts []file) []string {
	var ids []string
	for _, text := range texts {
		stem := strings.ToLower(strings.TrimSuffix(text.name, filepath.Ext(text.name)))
		if !slices.Contains([]string{"license", "licence", "copying"}, stem) {
			continue
		}
		folded := strings.Join(strings.Fields(string(text.data)), " ")
		for _, licence := range phrases {
			missing := slices.ContainsFunc(licence.must, func(p string) bool { return !strings.Contains(folded, p) })
			threeClauses := licence.id == "BSD-2-Clause" && slices.Contains(ids, "BSD-3-Clause")
			if !missing && !threeClauses && !slices.Contains(ids, licence.id) {
				ids = append(ids, licence.id)
			}
		}
	}
	return ids
}

// licenceFile returns the licences of all modules as one text. The notice covers the lists of common passwords, which
// the binary contains as data.
func licenceFile(modules []linked, notice []byte) []byte {
	var b strings.Builder
	b.WriteString("The program watchword contains these modules. Their licences follow.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s: %s\n", m.path, m.version, strings.Join(m.licences, " AND "))
	}
	write := func(title string, text []byte) {
		line := strings.Repeat("=", 80)
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s\n", line, title, line, strings.TrimRight(string(text), "\r\n "))
	}
	for _, m := range modules {
		for _, text := range m.texts {
			write(fmt.Sprintf("%s %s: %s", m.path, m.version, text.name), text.data)
		}
	}
	write("the lists of common passwords", notice)
	return []byte(b.String())
}

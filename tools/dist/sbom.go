package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// goSBOM describes a binary and the modules in it.
func goSBOM(r *release, platform string, binary []byte, modules []linked) *cdx.BOM {
	const path = "github.com/watchword-auth/watchword"
	sum := sha256.Sum256(binary)
	about := cdx.Component{
		BOMRef: purl("golang", path, "v"+r.version), Type: cdx.ComponentTypeApplication, Name: path, Version: r.version,
		PackageURL: purl("golang", path, "v"+r.version), Licenses: expression("Apache-2.0"),
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		Properties: &[]cdx.Property{
			{Name: "watchword:commit", Value: r.commit.hash},
			{Name: "watchword:platform", Value: platform},
		},
	}
	var parts []cdx.Component
	for _, m := range modules {
		parts = append(parts, cdx.Component{
			BOMRef: purl("golang", m.path, m.version), Type: cdx.ComponentTypeLibrary, Name: m.path, Version: m.version,
			PackageURL: purl("golang", m.path, m.version), Licenses: expression(m.licences...),
		})
	}
	return r.sbom(about, parts)
}

// lock is the part of a package-lock.json that an SBOM needs. The key "" of Packages is the package
// itself; the others are paths below it, such as node_modules/jose.
type lock struct {
	Packages map[string]struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		License   string `json:"license"`
		Integrity string `json:"integrity"`
		Dev       bool   `json:"dev"`
	} `json:"packages"`
}

// writeNpmSBOM describes an npm package and what npm installs with it, as its lock file says.
// Packages for development are not included. The package has the version of the program, because
// both are released together.
func (r *release) writeNpmSBOM(dir string) error {
	var all lock
	var manifest struct{ Version string }
	err := errors.Join(
		readJSON(filepath.Join(r.source, dir, "package-lock.json"), &all),
		readJSON(filepath.Join(r.source, dir, "package.json"), &manifest))
	if err != nil {
		return err
	}
	self := all.Packages[""]
	if self.Version != r.version || manifest.Version != r.version {
		return fmt.Errorf("package.json has version %s and package-lock.json %s; the program has %s",
			manifest.Version, self.Version, r.version)
	}
	about := npmComponent(self.Name, self.Version, self.License)
	var parts []cdx.Component
	for _, path := range slices.Sorted(maps.Keys(all.Packages)) {
		p := all.Packages[path]
		if path == "" || p.Dev {
			continue
		}
		part := npmComponent(path[strings.LastIndex(path, "node_modules/")+len("node_modules/"):], p.Version, p.License)
		hash, ok := strings.CutPrefix(p.Integrity, "sha512-")
		sum, err := base64.StdEncoding.DecodeString(hash)
		if !ok || err != nil {
			return fmt.Errorf("%s has no SHA-512 in package-lock.json", path)
		}
		part.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA512, Value: hex.EncodeToString(sum)}}
		parts = append(parts, part)
	}
	name := strings.ReplaceAll(strings.TrimPrefix(self.Name, "@"), "/", "-") + "_" + self.Version
	return r.writeSBOM(name, r.sbom(about, parts))
}

func readJSON(name string, into any) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func npmComponent(name, version, licence string) cdx.Component {
	id := purl("npm", strings.ReplaceAll(name, "@", "%40"), version)
	return cdx.Component{
		BOMRef: id, Type: cdx.ComponentTypeLibrary, Name: name, Version: version,
		PackageURL: id, Licenses: expression(licence),
	}
}

// sbom returns a document without a serial number. Serial numbers must be unique, so two builds of one commit would
// differ. The time of the document is that of the commit.
func (r *release) sbom(about cdx.Component, parts []cdx.Component) *cdx.BOM {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: r.commit.time.Format(time.RFC3339), Component: &about}
	refs := make([]string, len(parts))
	dependencies := []cdx.Dependency{{Ref: about.BOMRef, Dependencies: &refs}}
	for i, part := range parts {
		refs[i] = part.BOMRef
		dependencies = append(dependencies, cdx.Dependency{Ref: part.BOMRef})
	}
	if parts == nil {
		parts = []cdx.Component{}
	}
	bom.Components, bom.Dependencies = &parts, &dependencies
	return bom
}

// writeSBOM writes CycloneDX 1.6, which more readers accept than 1.7.
func (r *release) writeSBOM(name string, bom *cdx.BOM) error {
	var b bytes.Buffer
	encoder := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, name+".cdx.json"), b.Bytes(), 0o644)
}

// purl returns a package URL, the identifier by which scanners look up vulnerabilities. In a
// package URL, the name of a Go module is in lower case, as the specification demands.
func purl(kind, name, version string) string {
	if kind == "golang" {
		name = strings.ToLower(name)
	}
	return fmt.Sprintf("pkg:%s/%s@%s", kind, name, version)
}

func expression(licences ...string) *cdx.Licenses {
	return &cdx.Licenses{{Expression: strings.Join(licences, " AND ")}}
}

// Package web holds the pages: templates, style and script. It has no logic.
package web

import "embed"

// Files are templates/*.html, texts/*.json and assets/*.
//
//go:embed templates texts assets
var Files embed.FS

// Package web holds the pages: templates, style and script. It has no logic.
package web

import "embed"

// Files are templates/*.html and assets/*.
//
//go:embed templates assets
var Files embed.FS

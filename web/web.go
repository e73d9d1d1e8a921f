// Package web holds the pages and mails: templates, texts, style and script. It has no logic.
//
// Unstable: only the packages server and mail use it. Operators replace files with server.Options.Pages.
package web

import "embed"

// Files are templates/*.html, mail/message.*, texts/*.json and assets/*.
//
//go:embed templates mail texts assets
var Files embed.FS

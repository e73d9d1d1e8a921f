// Package web holds the pages and mails: templates, texts, style and script. It has no logic.
//
// Unstable: for the packages server and mail. Operators replace files by server.Options.Pages.
package web

import "embed"

// Files are templates/*.html, mail/message.*, texts/*.json and assets/*.
//
//go:embed templates mail texts assets
var Files embed.FS

// Package qr draws QR codes as SVG that a page can contain under a strict Content-Security-Policy.
package qr

import (
	"fmt"
	"strings"

	goqr "github.com/piglig/go-qr"
)

// quietZone is in modules (ISO/IEC 18004 requires 4). Readers need it to find the code.
const quietZone = 4

// SVG returns text as a QR code of error correction level M. The colours are attributes, because a strict
// Content-Security-Policy forbids inline styles. They are black on white in every theme, because many readers reject
// an inverted code. The element has no size; the page sets it.
func SVG(text string) (string, error) {
	code, err := goqr.EncodeText(text, goqr.Medium)
	if err != nil {
		return "", fmt.Errorf("QR code: %w", err)
	}
	var path strings.Builder
	for y := range code.Size() {
		for x := 0; x < code.Size(); x++ {
			// Adjacent modules in a row are drawn as one rectangle, so that no thin lines appear between them.
			wide := 0
			for x+wide < code.Size() && code.Module(x+wide, y) {
				wide++
			}
			if wide > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, wide, wide)
				x += wide
			}
		}
	}
	size := code.Size() + 2*quietZone
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="%s"/></svg>`, size, size, size, size, path.String()), nil
}

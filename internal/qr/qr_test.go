package qr_test

import (
	"encoding/xml"
	"image"
	"image/color"
	"regexp"
	"strconv"
	"strings"
	"testing"

	goqr "github.com/piglig/go-qr"

	"github.com/watchword-auth/watchword/internal/qr"
)

// The test renders the SVG as a picture and reads the QR code in the picture.
func TestSVGIsReadAsItsText(t *testing.T) {
	t.Parallel()
	long := "otpauth://totp/id.example.com:" + strings.Repeat("long.address", 20) + "@example.com" +
		"?algorithm=SHA1&digits=6&issuer=id.example.com&period=30&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	for _, text := range []string{"a", long} {
		svg, err := qr.SVG(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil || strings.Contains(svg, "style") {
			t.Fatalf("%v: %s", err, svg)
		}
		read, err := goqr.Decode(draw(t, svg))
		if err != nil || read != text {
			t.Errorf("%q is read as %q (%v)", text, read, err)
		}
	}
}

func TestTextThatIsTooLongIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := qr.SVG(strings.Repeat("x", 4000)); err == nil {
		t.Error("no error")
	}
}

func draw(t *testing.T, svg string) image.Image {
	t.Helper()
	const scale = 4
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	size := number(regexp.MustCompile(`viewBox="0 0 (\d+)`).FindStringSubmatch(svg)[1])
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h`).FindAllStringSubmatch(svg, -1) {
		x, y, wide := number(m[1]), number(m[2]), number(m[3])
		for px := range wide * scale {
			for py := range scale {
				picture.SetGray(x*scale+px, y*scale+py, color.Gray{})
			}
		}
	}
	return picture
}

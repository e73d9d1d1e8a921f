package server_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/server"
)

// HTTP-8
func TestFramingDetectsTwoLengths(t *testing.T) {
	t.Parallel()
	const (
		plain   = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
		sized   = "POST /a HTTP/1.1\r\nContent-Length: 30\r\n\r\nPOST /b HTTP/1.1\r\nContent-Leng"
		chunked = "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1e;x=y\r\nPOST /b HTTP/1.1\r\n" +
			"Content-Leng\r\n0\r\nX: y\r\n\r\n"
	)
	for name, c := range map[string]struct {
		text  string
		heads int
		clear bool
	}{
		"one after the other": {plain + sized + chunked + sized + chunked + plain, 6, true},
		"both": {plain +
			"POST /a HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 1, false},
		"the other way round": {"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n",
			0, false},
		"with bare line feeds": {"POST /a HTTP/1.1\ntransfer-encoding: chunked\ncontent-length: 2\n\n", 0,
			false},
		"behind a body that lies": {sized +
			"POST /b HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 1, false},
		"a length that is folded": {"POST /a HTTP/1.1\r\nContent-Length:\r\n 2\r\n\r\n{}", 0, false},
		"two equal lengths": {"POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + plain,
			2, true},
		"two lengths": {"POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 0,
			false},
		"chunks before there were any": {"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false},
		"a long line": {"GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nX: " +
			strings.Repeat("y", 5000) + "\r\n\r\n" + plain, 2, true},
	} {
		for _, size := range []int{1, 7, 4096, 1 << 20} {
			if lines, clear := server.Heads([]byte(c.text), size); len(lines) != c.heads || clear != c.clear {
				t.Errorf("%s, in pieces of %d: %q, clear: %v", name, size, lines, clear)
			}
		}
	}
}

// HTTP-8
func TestKeepAliveConnectionAcceptsEitherLength(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	host := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", host)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	head := "POST /api/auth/login HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n"
	sized, chunked := "Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
	for _, rest := range []string{sized, chunked, sized, chunked, chunked} {
		_, err = io.WriteString(conn, head+rest)
		must(t, err)
		response, err := http.ReadResponse(in, nil)
		must(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		must(t, err)
		if response.StatusCode != 422 {
			t.Fatalf("%q: %d", rest, response.StatusCode)
		}
	}
}

func TestMalformedEscapeInAPathIsEscaped(t *testing.T) {
	t.Parallel()
	const end = " HTTP/1.1\r\nHost: a\r\nX: %ZZ\r\n"
	for target, want := range map[string]string{
		"/a":            "/a",
		"/%41%2f%C3%bC": "/%41%2f%C3%bC",
		"/%ZZ":          "/%25ZZ",
		"/%":            "/%25",
		"/%4":           "/%254",
		"/%%41":         "/%25%41",
		"/%4%41%":       "/%254%41%25",
		"/%4?x=%":       "/%254?x=%",
		"/a?%ZZ=%/%":    "/a?%ZZ=%/%",
		"http://a/%zz":  "http://a/%25zz",
		"/%u0041":       "/%25u0041",
		"/%\xc3\xbc":    "/%25\xc3\xbc",
	} {
		body := "POST " + target + end + "Content-Length: 12\r\n\r\nPOST /%ZZ H "
		chunks := "POST " + target + end + "Transfer-Encoding: chunked\r\n\r\n4;%\r\n /%Z\r\n0\r\nT: %\r\n\r\n"
		text := body + chunks + "GET /%7e" + end + "\r\n" + chunks
		whole := strings.ReplaceAll(text, "POST "+target+end, "POST "+want+end)
		for _, size := range []int{1, 2, 3, 4096} {
			got, bad := server.Passed([]byte(text), size)
			if string(got) != whole {
				t.Errorf("%s, in pieces of %d: %q", target, size, got)
			}
			if changed := want != target; !slices.Equal(bad, []bool{changed, changed, false, changed}) {
				t.Errorf("%s, in pieces of %d: malformed: %v", target, size, bad)
			}
		}
	}
}

// A requestParser must find the same requests as net/http in any sequence of bytes.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nT: x\r\n\r\n" +
			"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\nHost: a\nContent-Length: 0\nContent-Length: 0\nX: a\n b\n\nGET /b HTTP/1.0\n\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
			"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed), 3)
		f.Add([]byte(strings.Replace(seed, "/", "/%ZZ%2", 1)), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		whole, allClear := server.Heads(text, 1<<20)
		pieces, alsoClear := server.Heads(text, max(size, 1))
		if !slices.Equal(whole, pieces) || allClear != alsoClear {
			t.Fatalf("in pieces of %d: %q, not %q", size, pieces, whole)
		}
		passed, _ := server.Passed(text, max(size, 1))
		in := bufio.NewReader(bytes.NewReader(passed))
		for i := 0; ; i++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if i == len(whole) {
				if allClear {
					t.Fatalf("net/http reads %s %s after %q", r.Method, r.RequestURI, whole)
				}
				return // the requestParser has refused the request
			}
			if line := r.Method + " " + r.RequestURI + " " + r.Proto; whole[i] != line[:min(len(line), 1<<10)] {
				t.Fatalf("net/http reads %q, not %q", line, whole[i])
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
		}
	})
}

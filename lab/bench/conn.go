package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A rawConn is a persistent HTTP/1.1 connection to a server on loopback.
//
// The client shares the processors with the server that it measures. The client of net/http would take more processor
// time per request than a fast server, so rawConn does only the necessary work.
type rawConn struct {
	address string
	net     net.Conn
	in      *bufio.Reader
	out     []byte
	body    []byte
	stop    func() bool
}

type request struct {
	method, path, body string
	authorization      string
	cookie             string
	toAdminListener    bool
}

// A response is valid until the next request on its connection.
type response struct {
	status    int
	setCookie []byte // the first one, as name=value
	body      []byte
}

const requestTimeout = 60 * time.Second

func (c *rawConn) open(ctx context.Context) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	c.net, c.in = connection, bufio.NewReaderSize(connection, 16<<10)
	// When ctx ends, set a deadline in the past, because this interrupts a read from a slow server.
	c.stop = context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })
	return nil
}

func (c *rawConn) close() {
	if c.net != nil {
		c.stop()
		_ = c.net.Close()
		c.net = nil
	}
}

// exchange sends a request and reads its response. The request has the client's address in X-Forwarded-For. If
// necessary, exchange opens the connection. After an error, it closes the connection.
func (c *rawConn) exchange(ctx context.Context, r request, client string) (got response, err error) {
	if c.net == nil {
		if err := c.open(ctx); err != nil {
			return response{}, err
		}
	}
	_ = c.net.SetDeadline(time.Now().Add(requestTimeout))
	if ctx.Err() != nil {
		return response{}, ctx.Err() // SetDeadline may have undone the interruption by the end of ctx
	}
	c.encode(r, client)
	closes := false
	if _, err = c.net.Write(c.out); err == nil {
		got, closes, err = c.read()
	}
	if err != nil || closes {
		c.close()
	}
	if err != nil {
		return response{}, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return got, nil
}

func (c *rawConn) encode(r request, client string) {
	// The buffer is reused, so that a request allocates no memory. Otherwise, the client's garbage collector would
	// take processor time from the server.
	out := append(c.out[:0], r.method...)
	out = append(append(append(out, ' '), r.path...), " HTTP/1.1\r\nHost: "...)
	out = append(append(out, c.address...), "\r\nAccept: application/json\r\nX-Forwarded-For: "...)
	out = append(append(out, client...), "\r\n"...)
	if r.authorization != "" {
		out = append(append(append(out, "Authorization: "...), r.authorization...), "\r\n"...)
	}
	if r.cookie != "" {
		// Servers with cookies reject requests without an Origin as protection against CSRF.
		out = append(append(append(out, "Cookie: "...), r.cookie...), "\r\nOrigin: http://"...)
		out = append(append(out, c.address...), "\r\n"...)
	}
	if r.method != "GET" {
		if r.body != "" {
			out = append(out, "Content-Type: application/json\r\n"...)
		}
		out = append(strconv.AppendInt(append(out, "Content-Length: "...), int64(len(r.body)), 10), "\r\n"...)
	}
	c.out = append(append(out, "\r\n"...), r.body...)
}

var errMalformed = errors.New("malformed response")

func (c *rawConn) read() (got response, closes bool, err error) {
	line, err := c.readLine()
	if err != nil {
		return got, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return got, false, errMalformed
	}
	if got.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return got, false, errMalformed
	}
	length, chunked := 0, false
	for {
		if line, err = c.readLine(); err != nil || len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return got, false, errMalformed
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			closes = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Set-Cookie")) && got.setCookie == nil:
			cookie, _, _ := bytes.Cut(value, []byte(";"))
			got.setCookie = bytes.Clone(cookie)
		}
	}
	if err != nil {
		return got, false, err
	}
	c.body = c.body[:0]
	if chunked {
		err = c.readChunks()
	} else {
		err = c.appendToBody(length)
	}
	got.body = c.body
	return got, closes, err
}

func (c *rawConn) readChunks() error {
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return errMalformed
		}
		if err := c.appendToBody(int(size)); err != nil {
			return err
		}
		if line, err = c.readLine(); err != nil || len(line) > 0 {
			return errors.Join(err, errMalformedUnless(len(line) == 0))
		}
		if size == 0 {
			return nil
		}
	}
}

func errMalformedUnless(ok bool) error {
	if ok {
		return nil
	}
	return errMalformed
}

func (c *rawConn) appendToBody(n int) error {
	begin := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, c.body[begin:])
	return err
}

// readLine returns a line without its end. The result is valid until the next read.
func (c *rawConn) readLine() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// findField returns the value of a member of a JSON document, such as a token, or "". The value must be a string
// without escapes. findField searches the text instead of parsing it, because parsing would take longer than
// everything else.
func findField(document []byte, name string) string {
	_, rest, found := bytes.Cut(document, []byte(`"`+name+`":"`))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

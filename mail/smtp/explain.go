package smtp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// describeError returns one line for the operator. The line says whether a retry can help (RFC 5321, section 4.2.1),
// and contains the server's reply. It never contains the password, which a server may quote.
func (s *Sender) describeError(err error) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if s.relay.user != "" {
		text = s.relay.withoutPassword(text)
	}
	switch replyCode(err) / 100 {
	case 4:
		return fmt.Errorf("the server refused it for now: %s", text)
	case 5:
		return fmt.Errorf("the server refused it for good: %s", text)
	}
	return errors.New(text)
}

// replyCode returns the code of a reply from the server, or 0 if the error is not such a reply.
func replyCode(err error) int {
	var refused *gomail.SendError
	if errors.As(err, &refused) {
		return refused.ErrorCode()
	}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

// withoutPassword removes the password from a text, in plain form and in the encodings for PLAIN and LOGIN. It also
// removes the quoted form that net/textproto writes.
func (r relay) withoutPassword(text string) string {
	const gone = "[redacted]"
	quoted := strconv.Quote(r.password)
	return strings.NewReplacer(
		base64.StdEncoding.EncodeToString([]byte("\x00"+r.user+"\x00"+r.password)), gone,
		base64.StdEncoding.EncodeToString([]byte(r.password)), gone,
		r.password, gone,
		quoted[1:len(quoted)-1], gone,
	).Replace(text)
}

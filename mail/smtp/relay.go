package smtp

import (
	"errors"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
)

type relay struct {
	host        string
	port        int
	implicitTLS bool // if false, STARTTLS
	user        string
	password    string
}

// parseRelay parses the setting mail-url. Its errors do not quote the URL, because it contains
// a password.
func parseRelay(text watchword.Secret) (relay, error) {
	u, err := url.Parse(string(text))
	if err != nil {
		return relay{},
			errors.New("mail-url is not a URL; write special characters of the password in percent-encoding")
	}
	r := relay{host: u.Hostname(), port: 587, user: u.User.Username()}
	r.password, _ = u.User.Password()
	switch u.Scheme {
	case "smtp":
	case "smtps":
		r.implicitTLS, r.port = true, 465
	default:
		return relay{}, errors.New("mail-url must begin with smtp:// or smtps://")
	}
	if port := u.Port(); port != "" {
		if r.port, err = strconv.Atoi(port); err != nil || r.port < 1 || r.port > 65535 {
			return relay{}, errors.New("mail-url has an invalid port")
		}
	}
	switch {
	case r.host == "":
		return relay{}, errors.New("mail-url has no host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return relay{}, errors.New("mail-url must not have a path, a query or a fragment")
	case (r.user == "") != (r.password == ""):
		return relay{}, errors.New("mail-url has a user without a password, or a password without a user")
	case strings.ContainsAny(r.user+r.password, "\x00\r\n"):
		return relay{}, errors.New("mail-url has control characters in user or password")
	}
	return r, nil
}

func (r relay) hostAndPort() string { return r.host + " port " + strconv.Itoa(r.port) }

// parseFrom parses the setting mail-from, such as "Example <no-reply@example.com>", and returns
// the address and its domain.
func parseFrom(text string) (from *mail.Address, domain string, err error) {
	from, err = mail.ParseAddress(text)
	if err == nil {
		from.Address, err = address.ParseExisting(from.Address)
	}
	if err != nil {
		return nil, "", errors.New("mail-from is not an address such as Example <no-reply@example.com>")
	}
	_, domain, _ = strings.Cut(from.Address, "@")
	return from, domain, nil
}

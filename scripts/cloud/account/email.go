package account

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
)

// typos are endings of addresses that nobody means, and what is meant.
var typos = map[string]string{
	"gmial.com": "gmail.com", "gmai.com": "gmail.com", "gamil.com": "gmail.com", "gmail.co": "gmail.com", "gnail.com": "gmail.com", "gmal.com": "gmail.com",
	"hotmial.com": "hotmail.com", "hotmal.com": "hotmail.com", "hotmail.co": "hotmail.com",
	"outlok.com": "outlook.com", "outloo.com": "outlook.com", "yaho.com": "yahoo.com", "yahooo.com": "yahoo.com", "iclod.com": "icloud.com",
}

var domain = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$`)

// CheckEmail says what is wrong with an address for alerts. An empty one is none.
func CheckEmail(address string) error {
	if address == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(address)
	at := strings.LastIndexByte(address, '@')
	switch {
	case strings.Count(address, "@") != 1:
		return fmt.Errorf("e-mail %q: an address has one @, such as you@example.com", address)
	case err != nil || parsed.Address != address || len(address) > 254:
		return fmt.Errorf("e-mail %q is not an address such as you@example.com", address)
	case !domain.MatchString(address[at+1:]):
		return fmt.Errorf("e-mail %q: %q is not a domain such as example.com", address, address[at+1:])
	}
	host := strings.ToLower(address[at+1:])
	meant := typos[host]
	for wrong, right := range map[string]string{".con": ".com", ".cmo": ".com", ".comm": ".com", ".ocm": ".com", ".nett": ".net", ".ogr": ".org"} {
		if name, found := strings.CutSuffix(host, wrong); found {
			meant = name + right
		}
	}
	if meant != "" {
		return fmt.Errorf("e-mail %q: did you mean %s@%s?", address, address[:at], meant)
	}
	return nil
}

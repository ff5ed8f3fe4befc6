package notifier

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxBilled is how many characters SynthesizeSpeech takes. SSML tags are not counted; of an escaped character
	// every letter is, because the documentation does not say otherwise.
	maxBilled = 3000

	ssmlOpen  = "<speak>"
	ssmlPause = `<break time="400ms"/> `
	ssmlClose = "</speak>"
)

// calledAlready matches a call sign with which a text begins by itself, as the workshop's "ALERT !" does.
var calledAlready = regexp.MustCompile(`(?i)^alert ?[!:]+ ?`)

// said is the part of text that follows the call sign, which is said once.
func said(text string) string { return calledAlready.ReplaceAllLiteralString(text, "") }

// plain is what is spoken, as plain text.
func plain(a alert) string { return strings.TrimSpace(a.sign + " " + said(a.text)) }

// ssml is what is spoken, with a pause after the call sign.
func ssml(a alert) string {
	var b strings.Builder
	b.WriteString(ssmlOpen + a.sign + ssmlPause)
	for _, r := range said(a.text) {
		if entity := entityOf(r); entity != "" {
			b.WriteString(entity)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteString(ssmlClose)
	return b.String()
}

// entityOf returns how r is written in XML, "" when it is written as itself.
func entityOf(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return ""
}

// clean removes what cannot be spoken or cannot stand in XML, and makes white space single spaces.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r == utf8.RuneError, r == '\ufffe', r == '\uffff':
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cut shortens clean text to at most limit characters, between two words where there is a space in the second half of
// what fits.
func cut(text string, limit int) (string, bool) {
	used, space := 0, 0
	for i, r := range text {
		if used += cost(r); used > limit {
			if r != ' ' && space > i/2 {
				i = space
			}
			return strings.TrimRight(text[:i], " "), true
		}
		if r == ' ' {
			space = i
		}
	}
	return text, false
}

// cost is how much of the limit r uses: as it is escaped, in UTF-16 units.
func cost(r rune) int {
	switch entity := entityOf(r); {
	case entity != "":
		return len(entity)
	case r > 0xffff:
		return 2
	}
	return 1
}

// key is the S3 key of an alert's audio: the same for the same words in the same voice, so that a repeat finds it.
func (c Config) key(a alert, v Voice) string {
	// No part contains a newline, so no two different alerts give the same sum.
	parts := []string{plain(a), v.Name, v.Engine, c.Format, c.SampleRate}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return c.KeyPrefix + hex.EncodeToString(sum[:]) + c.extension()
}

// short is text for a log line.
func short(text string) string {
	const limit = 120
	if cutText, ok := cut(text, limit); ok {
		return cutText + "…"
	}
	return text
}

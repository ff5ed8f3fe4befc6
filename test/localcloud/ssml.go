package localcloud

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// stripSSML returns the text in SSML, or why Polly would refuse it: it must be well-formed, in one speak element. Which
// tags and attributes a voice knows is not checked.
func stripSSML(ssml string) (string, error) {
	var text strings.Builder
	d := xml.NewDecoder(strings.NewReader(ssml))
	depth, roots := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("read XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if (t.Name.Local == "speak") != (depth == 0) {
				return "", fmt.Errorf("unexpected tag %s", t.Name.Local)
			}
			if depth == 0 {
				roots++
			}
			depth++
			text.WriteByte(' ') // a tag parts words
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(t)) != "" {
				return "", errors.New("text outside speak")
			}
			text.Write(t)
		}
	}
	if roots != 1 {
		return "", fmt.Errorf("%d speak tags instead of one", roots)
	}
	return strings.TrimSpace(text.String()), nil
}

package event

import "strings"

// missingWords are what stands for a missing value in tables: pandas' list, and a question mark.
var missingWords = map[string]bool{
	"": true, "?": true, "na": true, "n/a": true, "#n/a": true, "#n/a n/a": true, "#na": true, "<na>": true, "nan": true, "-nan": true, "+nan": true,
	"null": true, "none": true, "-1.#ind": true, "1.#ind": true, "-1.#qnan": true, "1.#qnan": true,
}

// IsMissing says whether a field of a table stands for a missing value.
func IsMissing(field string) bool {
	return len(field) <= len("#n/a n/a") && missingWords[strings.ToLower(field)]
}

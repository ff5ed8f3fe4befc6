package notifier_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"edgepdm/components/polly-notifier/notifier"
)

// spoken returns the character data of the SSML that one message gives, "" when it is dropped.
func spoken(t *testing.T, body string) string {
	t.Helper()
	cloud := newCloud()
	n, _ := newNotifier(t, cloud)
	if _, err := n.Handle(t.Context(), snsEvent(t, body)); err != nil {
		t.Fatal(err)
	}
	if len(cloud.speeches) == 0 {
		return ""
	}
	decoder := xml.NewDecoder(strings.NewReader(*cloud.speeches[0].Text))
	var text strings.Builder
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Fatalf("%q is no XML: %v", *cloud.speeches[0].Text, err)
		}
		if data, ok := token.(xml.CharData); ok {
			text.Write(data)
		}
	}
}

func TestSpokenText(t *testing.T) {
	words := strings.Repeat("pump seven ", 400)    // 4,400 characters
	unbroken := "No. " + strings.Repeat("x", 4000) // one word that is too long
	for _, c := range []struct{ name, body, want string }{
		{"plain", "Stop line 1.", "Alert! Stop line 1."},
		{"spaces", "  Stop\r\n\tline\u00a01. ", "Alert! Stop line 1."},
		{"control characters", "St\x00op\x1b \x7fline\u0085 1.", "Alert! Stop line 1."},
		{"not UTF-8", "St\xffop.", "Alert! Stop."},
		{"not in XML", "St\uffffop\ufffe.", "Alert! Stop."},
		{"markup", `<break time="9s"/> & </speak>`, `Alert! <break time="9s"/> & </speak>`},
		{"other scripts", "停止 7 号线 🛑", "Alert! 停止 7 号线 🛑"},
		{"too long", words, "Alert! " + strings.TrimSpace(strings.Repeat("pump seven ", 272))}, // the 2,993rd character is a space
		{"too long at a word's middle", "x" + words, "Alert! x" + strings.Repeat("pump seven ", 271) + "pump seven"},
		{"too long, one word", unbroken, "Alert! " + unbroken[:2993]},
		{"just fits", strings.Repeat("y", 2993), "Alert! " + strings.Repeat("y", 2993)},
		{"too long when escaped", strings.Repeat("& ", 1400), "Alert! " + strings.TrimSpace(strings.Repeat("& ", 499))},
		{"too long beyond 16 bits", strings.Repeat("🛑", 3000), "Alert! " + strings.Repeat("🛑", 1496)},
		{"JSON", alertJSON("a", "p", "Stop."), "Alert! Stop."},
		{"JSON after a space", "\n" + alertJSON("a", "p", "Stop."), "Alert! Stop."},
		{"wrapped for functions", `{"default":"no","lambda":"yes"}`, "Alert! yes"},
		{"wrapped JSON", `{"default":"{\"v\":1,\"text\":\"Stop.\"}"}`, "Alert! Stop."},
		{"wrapped, no string", `{"default":1}`, ""},
		{"text is no string", `{"v":1,"text":7}`, ""},
		{"a version that became a double", `{"v":1.0,"text":"Stop."}`, "Alert! Stop."},
		{"null", `null`, ""},
		{"null with spaces", " null\n", ""},
		{"a list", `[1,2]`, ""},
		{"a list of texts", `["Stop."]`, ""},
		{"a number", `-7e3`, ""},
		{"a truth value", `true`, ""},
		{"a wrapped null", `{"default":"null"}`, ""},
		{"a JSON string", `"Stop \"line\" 1."`, `Alert! Stop "line" 1.`},
		{"an empty JSON string", `""`, ""},
		{"brackets in a sentence", `[line 1] stop`, "Alert! [line 1] stop"},
		{"a number in a sentence", `7 machines stop`, "Alert! 7 machines stop"},
		{"the workshop's call sign", "ALERT ! Faulty part found.", "Alert! Faulty part found."},
		{"the same call sign", "Alert! Stop.", "Alert! Stop."},
		{"a call sign with a colon", alertJSON("a", "p", "alert: stop."), "Alert! stop."},
		{"nothing but a call sign", "Alert!", "Alert! "},
		{"a word that begins so", "Alertness counts.", "Alert! Alertness counts."},
		{"a sentence that begins so", "Alert level 3!", "Alert! Alert level 3!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := spoken(t, c.body); got != c.want {
				t.Errorf("%d bytes %.80q…, want %d bytes %.80q…", len(got), got, len(c.want), c.want)
			}
		})
	}
}

// The key tells apart what sounds different, and nothing else.
func TestKeys(t *testing.T) {
	keyOf := func(body string, overrides ...string) string {
		cloud := newCloud()
		n, log := newNotifier(t, cloud, overrides...)
		if _, err := n.Handle(t.Context(), snsEvent(t, body)); err != nil || len(cloud.objects) != 1 {
			t.Fatalf("%v, %d objects: %s", err, len(cloud.objects), log)
		}
		for key := range cloud.objects {
			return key
		}
		return ""
	}
	base := keyOf("Stop.")
	for _, same := range []string{keyOf("Stop."), keyOf(" Stop.\n"), keyOf(alertJSON("a", "p", "Stop.")), keyOf("Stop.", "AUDIO_TOPIC_PREFIX="), keyOf("ALERT ! Stop.")} {
		if same != base {
			t.Errorf("key %s, want %s", same, base)
		}
	}
	seen := map[string]bool{base: true}
	for _, other := range []string{
		keyOf("Stop!"), keyOf("Stop.", "Engine=standard"), keyOf("Stop.", "VoiceId=Carmen", "Engine=standard"),
		keyOf("Stop.", "SampleRate=16000"), keyOf("Stop.", "OutputFormat=ogg_vorbis"), keyOf("Stop.", "KeyPrefix=x/"),
	} {
		if seen[other] {
			t.Errorf("key %s twice", other)
		}
		seen[other] = true
	}
}

// FuzzMessage: whatever arrives is dropped or spoken as valid SSML within Polly's limit, and never an error.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{"Stop.", alertJSON("a", "p", "a & b"), `{"default":"x"}`, `{"v":1,`, "\xff<>", strings.Repeat("<", 800)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		text := spoken(t, body)
		if units := len(utf16.Encode([]rune(text))); units > 3000 {
			t.Errorf("%d characters", units)
		}
		if _, err := notifier.FromEnvironment(environment("KeyPrefix="+body, "AUDIO_TOPIC_PREFIX="+body)); err != nil && len(err.Error()) > 2000 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	})
}

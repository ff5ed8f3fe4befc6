package localcloud

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxMessage = 256 << 10
	maxSubject = 100
	// maxSNSBody leaves room for the escapes of a message that is just small enough.
	maxSNSBody = 4 << 20
)

// Mail is what a subscriber to the topic gets by e-mail, without SNS's footer.
type Mail struct {
	Subject string
	Body    string
	Time    time.Time

	Topic      string            // the ARN's last part
	Attributes map[string]string // of the message
}

// notification is a message that SNS accepted.
type notification struct {
	id         string
	subject    string
	forMail    string
	forLambda  string
	attributes map[string]attribute
}

type attribute struct {
	Type  string
	Value string
}

// topic is SNS with one topic, of which it has Publish, and those whose names go on with -step-.
type topic struct {
	arn     string
	journal *recorder
	now     func() time.Time
	mail    func(Mail)
	deliver func(notification)
}

func (t *topic) service() service {
	return service{
		name: serviceSNS, maxBody: maxSNSBody, serve: t.serve, fail: failQuery,
		tooLarge: invalidParameter("Message too long"),
		denials:  denialsAs("MissingAuthenticationToken", "InvalidClientTokenId", "ExpiredToken", "SignatureDoesNotMatch"),
		throttle: refuse(http.StatusBadRequest, "Throttling", "Rate exceeded"),
	}
}

func invalidParameter(reason string) *apiError {
	return refuse(http.StatusBadRequest, "InvalidParameter", "Invalid parameter: "+reason)
}

func (t *topic) serve(w http.ResponseWriter, _ *http.Request, body []byte) *apiError {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse(http.StatusBadRequest, "MalformedQueryString", "The query string contains a syntax error")
	}
	if action := form.Get("Action"); action != "Publish" {
		return refuse(http.StatusBadRequest, "InvalidAction", "Only Publish is served, not "+strconv.Quote(action))
	}
	arn := form.Get("TopicArn")
	if arn != t.arn && !strings.HasPrefix(arn, t.arn+"-step-") { // of escalation

		if !strings.HasPrefix(arn, "arn:aws:sns:") || strings.Count(arn, ":") != 5 {
			return invalidParameter("TopicArn")
		}
		return refuse(http.StatusNotFound, "NotFound", "Topic does not exist")
	}
	n, refused := parsePublish(form)
	if refused != nil {
		return refused
	}
	e := Entry{Kind: KindSNS, IDs: recordIDs([]byte(n.forLambda)), Name: arn, Size: len(form.Get("Message"))}
	if id := n.attributes["id"].Value; len(e.IDs) == 0 && id != "" {
		e.IDs = []string{id}
	}
	t.journal.addEntry(e)
	subject := n.subject
	if subject == "" {
		subject = "AWS Notification Message"
	}
	mail := Mail{
		Subject: subject, Body: n.forMail, Time: t.now().UTC(), Topic: arn[strings.LastIndexByte(arn, ':')+1:], Attributes: make(map[string]string),
	}
	for name, a := range n.attributes {
		mail.Attributes[name] = a.Value
	}
	t.mail(mail)
	if arn == t.arn { // the function has subscribed to this one
		t.deliver(n)
	}
	type result struct {
		MessageID string `xml:"MessageId"`
	}
	type metadata struct {
		RequestID string `xml:"RequestId"`
	}
	respondXML(w, http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ PublishResponse"`
		Result   result   `xml:"PublishResult"`
		Metadata metadata `xml:"ResponseMetadata"`
	}{Result: result{n.id}, Metadata: metadata{newID()}})
	return nil
}

// parsePublish checks a message as SNS does.
func parsePublish(form url.Values) (notification, *apiError) {
	message, subject := form.Get("Message"), form.Get("Subject")
	n := notification{id: newID(), subject: subject, forMail: message, forLambda: message}
	if form.Has("Subject") && !validSubject(subject) {
		return n, invalidParameter("Subject")
	}
	if message == "" {
		return n, invalidParameter("Empty message")
	}
	var err error
	var size int
	if n.attributes, size, err = parseAttributes(form); err != nil {
		return n, refuse(http.StatusBadRequest, "ParameterValueInvalid", err.Error())
	}
	if len(message)+size > maxMessage {
		return n, invalidParameter("Message too long")
	}
	switch form.Get("MessageStructure") {
	case "":
	case "json":
		if n.forMail, n.forLambda, err = byProtocol(message); err != nil {
			return n, invalidParameter("Message Structure - " + err.Error())
		}
	default:
		return n, invalidParameter("MessageStructure")
	}
	return n, nil
}

func validSubject(s string) bool {
	if s == "" || len(s) > maxSubject || s[0] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// byProtocol takes the message apart that has one text for each protocol.
func byProtocol(message string) (mail, lambda string, err error) {
	var members map[string]any
	if err := json.Unmarshal([]byte(message), &members); err != nil {
		return "", "", errors.New("JSON message body failed to parse")
	}
	text, ok := members["default"].(string)
	if !ok {
		return "", "", errors.New("No default entry in JSON message body") //nolint:staticcheck // as SNS says it
	}
	mail, lambda = text, text
	if s, ok := members["email"].(string); ok {
		mail = s
	}
	if s, ok := members["lambda"].(string); ok {
		lambda = s
	}
	return mail, lambda, nil
}

// parseAttributes reads MessageAttributes.entry.1.Name, .Value.DataType and so on. The size counts for the limit.
func parseAttributes(form url.Values) (attributes map[string]attribute, size int, err error) {
	attributes = make(map[string]attribute)
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("MessageAttributes.entry.%d.", i)
		name := form.Get(prefix + "Name")
		if name == "" {
			return attributes, size, nil
		}
		kind, value := form.Get(prefix+"Value.DataType"), form.Get(prefix+"Value.StringValue")
		switch base, _, _ := strings.Cut(kind, "."); base {
		case "String", "Number":
		case "Binary":
			value = form.Get(prefix + "Value.BinaryValue")
			if _, err := base64.StdEncoding.DecodeString(value); err != nil {
				return nil, 0, fmt.Errorf("The message attribute '%s' is not base64", name) //nolint:staticcheck // as SNS says it
			}
		default:
			return nil, 0, fmt.Errorf("The message attribute '%s' has an invalid message attribute type", name) //nolint:staticcheck // as SNS says it
		}
		if value == "" {
			return nil, 0, fmt.Errorf("The message attribute '%s' must contain a non-empty value", name) //nolint:staticcheck // as SNS says it
		}
		attributes[name] = attribute{kind, value}
		size += len(name) + len(kind) + len(value)
	}
}

// event is what SNS sends to a function.
func (n notification) event(topicARN, subscriptionARN string, at time.Time) ([]byte, error) {
	type message struct {
		Signature         string
		MessageID         string `json:"MessageId"`
		Type              string
		TopicArn          string
		MessageAttributes map[string]attribute
		SignatureVersion  string
		Timestamp         string
		SigningCertURL    string `json:"SigningCertUrl"`
		Message           string
		UnsubscribeURL    string `json:"UnsubscribeUrl"`
		Subject           *string
	}
	type record struct {
		EventVersion         string
		EventSubscriptionArn string
		EventSource          string
		Sns                  message
	}
	m := message{
		Signature: "none", SignatureVersion: "1", MessageID: n.id, Type: "Notification", TopicArn: topicARN,
		MessageAttributes: n.attributes, Timestamp: at.UTC().Format("2006-01-02T15:04:05.000Z"), Message: n.forLambda,
		SigningCertURL: "https://sns.invalid/certificate.pem", UnsubscribeURL: "https://sns.invalid/?Action=Unsubscribe&SubscriptionArn=" + subscriptionARN,
	}
	if n.subject != "" {
		m.Subject = &n.subject
	}
	return json.Marshal(struct{ Records []record }{[]record{{"1.0", subscriptionARN, "aws:sns", m}}})
}

package localcloud

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"edgepdm/test/must"
)

func TestSNSPublish(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	arn := c.Endpoints().TopicARN
	text := func(dataType, value string) map[string]types.MessageAttributeValue {
		return map[string]types.MessageAttributeValue{"id": {DataType: &dataType, StringValue: &value}}
	}
	for _, tc := range []struct {
		name    string
		in      sns.PublishInput
		mail    Mail
		id      string
		status  int
		code    string
		message string
	}{
		{name: "alert", in: sns.PublishInput{Message: aws.String(`{"id":"a-1","text":"Fault"}`), Subject: aws.String("Fault on line 1")},
			mail: Mail{Subject: "Fault on line 1", Body: `{"id":"a-1","text":"Fault"}`}, id: "a-1"},
		{name: "plain text with an attribute", in: sns.PublishInput{Message: aws.String("Fault ü & more"), MessageAttributes: text("String", "a-2")},
			mail: Mail{Subject: "AWS Notification Message", Body: "Fault ü & more"}, id: "a-2"},
		{name: "by protocol", in: sns.PublishInput{MessageStructure: aws.String("json"), Message: aws.String(
			`{"default":"d","email":"Dear reader","lambda":"{\"id\":\"a-3\"}","sms":5}`)},
			mail: Mail{Subject: "AWS Notification Message", Body: "Dear reader"}, id: "a-3"},
		{name: "default for all", in: sns.PublishInput{MessageStructure: aws.String("json"), Message: aws.String(`{"default":"d"}`)},
			mail: Mail{Subject: "AWS Notification Message", Body: "d"}},
		{name: "longest", in: sns.PublishInput{Message: aws.String(strings.Repeat("%", maxMessage)), Subject: aws.String(strings.Repeat("s", 100))},
			mail: Mail{Subject: strings.Repeat("s", 100), Body: strings.Repeat("%", maxMessage)}},
		{name: "too long", in: sns.PublishInput{Message: aws.String(strings.Repeat("x", maxMessage+1))}, status: 400, code: "InvalidParameter", message: "Message too long"},
		{name: "too long with attributes", in: sns.PublishInput{Message: aws.String(strings.Repeat("x", maxMessage)), MessageAttributes: text("String", "y")}, status: 400, code: "InvalidParameter", message: "Message too long"},
		{name: "far too long", in: sns.PublishInput{Message: aws.String(strings.Repeat("x", maxSNSBody))}, status: 400, code: "InvalidParameter", message: "Message too long"},
		{name: "empty", in: sns.PublishInput{Message: aws.String("")}, status: 400, code: "InvalidParameter", message: "Empty message"},
		{name: "long subject", in: sns.PublishInput{Message: aws.String("x"), Subject: aws.String(strings.Repeat("s", 101))}, status: 400, code: "InvalidParameter", message: "Subject"},
		{name: "newline in subject", in: sns.PublishInput{Message: aws.String("x"), Subject: aws.String("a\nb")}, status: 400, code: "InvalidParameter", message: "Subject"},
		{name: "subject not ASCII", in: sns.PublishInput{Message: aws.String("x"), Subject: aws.String("Müller")}, status: 400, code: "InvalidParameter", message: "Subject"},
		{name: "empty subject", in: sns.PublishInput{Message: aws.String("x"), Subject: aws.String("")}, status: 400, code: "InvalidParameter", message: "Subject"},
		{name: "unknown topic", in: sns.PublishInput{Message: aws.String("x"), TopicArn: aws.String(arn + "2")}, status: 404, code: "NotFound", message: "Topic does not exist"},
		{name: "no ARN", in: sns.PublishInput{Message: aws.String("x"), TopicArn: aws.String("alerts")}, status: 400, code: "InvalidParameter", message: "TopicArn"},
		{name: "bad structure", in: sns.PublishInput{Message: aws.String("x"), MessageStructure: aws.String("xml")}, status: 400, code: "InvalidParameter", message: "MessageStructure"},
		{name: "structure not JSON", in: sns.PublishInput{Message: aws.String("x"), MessageStructure: aws.String("json")}, status: 400, code: "InvalidParameter", message: "failed to parse"},
		{name: "no default", in: sns.PublishInput{Message: aws.String(`{"default":1}`), MessageStructure: aws.String("json")}, status: 400, code: "InvalidParameter", message: "No default entry"},
		{name: "attribute without a value", in: sns.PublishInput{Message: aws.String("x"), MessageAttributes: text("String", "")}, status: 400, code: "ParameterValueInvalid", message: "non-empty"},
		{name: "attribute of no type", in: sns.PublishInput{Message: aws.String("x"), MessageAttributes: text("Date", "x")}, status: 400, code: "ParameterValueInvalid", message: "type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.TopicArn == nil {
				tc.in.TopicArn = &arn
			}
			mails, entries := len(c.Mails()), len(c.Journal())
			out, err := d.sns.Publish(testContext(t), &tc.in)
			if tc.status != 0 {
				wantError(t, err, tc.status, tc.code)
				if !strings.Contains(err.Error(), tc.message) {
					t.Errorf("error %v, want %s", err, tc.message)
				}
				if len(c.Mails()) != mails || len(c.Journal()) != entries {
					t.Error("a refused message was taken")
				}
				return
			}
			must.OK(t, err)
			if len(*out.MessageId) != 36 {
				t.Errorf("message id %q", *out.MessageId)
			}
			if got := c.Mails()[mails]; got.Subject != tc.mail.Subject || got.Body != tc.mail.Body || got.Time.IsZero() {
				t.Errorf("mail %+.200v", got)
			}
			e := c.Journal()[entries]
			var want []string
			if tc.id != "" {
				want = []string{tc.id}
			}
			if e.Kind != KindSNS || !slices.Equal(e.IDs, want) || e.Size != len(*tc.in.Message) {
				t.Errorf("journal %+v", e)
			}
		})
	}
	_, err := d.sns.GetTopicAttributes(testContext(t), &sns.GetTopicAttributesInput{TopicArn: &arn})
	wantError(t, err, 400, "InvalidAction")
}

// TestSNSEvent checks the event that the function gets, member by member.
func TestSNSEvent(t *testing.T) {
	c := startCloud(t, functionOptions(t, "note"))
	d := deviceClients(t, c)
	out, err := d.sns.Publish(testContext(t), &sns.PublishInput{
		TopicArn: aws.String(c.Endpoints().TopicARN), Subject: aws.String("Fault"), MessageStructure: aws.String("json"),
		Message: aws.String(`{"default":"d","lambda":"for the function"}`),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"line":  {DataType: aws.String("Number"), StringValue: aws.String("1")},
			"image": {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}},
		},
	})
	must.OK(t, err)
	publishAlert(t, c, "without a subject")
	list := waitForEvents(t, c, 2)
	r := list[0].Records[0]
	m := r.SNS
	if r.EventVersion != "1.0" || r.EventSource != "aws:sns" || !strings.HasPrefix(r.EventSubscriptionArn, c.Endpoints().TopicARN+":") ||
		m.MessageID != *out.MessageId || m.Type != "Notification" || m.TopicArn != c.Endpoints().TopicARN || m.SignatureVersion != "1" ||
		m.Subject != "Fault" || m.Message != "for the function" || m.Timestamp.IsZero() || m.Signature == "" || m.SigningCertURL == "" || m.UnsubscribeURL == "" {
		t.Errorf("record %+v", r)
	}
	attributes, err := json.Marshal(m.MessageAttributes)
	if want := `{"image":{"Type":"Binary","Value":"AQI="},"line":{"Type":"Number","Value":"1"}}`; err != nil || string(attributes) != want {
		t.Errorf("attributes %s", attributes)
	}
	if m := list[1].Records[0].SNS; m.Subject != "" || m.MessageAttributes == nil {
		t.Errorf("record without a subject %+v", m)
	}
}

package notifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/polly/types"
)

// ErrVoice means that the configured voice does not speak with the configured engine. It does not pass by itself.
var ErrVoice = errors.New("the voice and the engine do not go together")

const (
	voiceTimeout  = 5 * time.Second // Lambda gives a cold start 10 s
	maxVoicePages = 20
)

// CheckVoice asks Polly, until it has answered once, whether the voices speak with their engines. ErrVoice says that one does
// not. After any other error the check is to be repeated: alerts can be spoken meanwhile.
func (n *Notifier) CheckVoice(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.voiceChecked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, voiceTimeout)
	defer cancel()
	for _, v := range n.config.Voices {
		voice, err := n.findVoice(ctx, v.Name, types.Engine(v.Engine))
		if err == nil && voice == nil {
			return n.explainVoice(ctx, v)
		}
		if kindOf(err) == Configuration {
			// Without the permission to ask, the first synthesis shows whether they go together.
			n.log.WarnContext(ctx, "the voice cannot be checked", "error", err)
			break
		}
		if err != nil {
			return err
		}
		n.language = string(voice.LanguageCode)
	}
	n.voiceChecked = true
	return nil
}

// voiceLanguage is the language of the voice of VoiceId, as far as it is known.
func (n *Notifier) voiceLanguage() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.language
}

// explainVoice says what is wrong with a voice that its engine does not have.
func (n *Notifier) explainVoice(ctx context.Context, v Voice) error {
	wrong := fmt.Errorf("%w: VoiceId %q, Engine %q", ErrVoice, v.Name, v.Engine)
	voice, err := n.findVoice(ctx, v.Name, "")
	switch {
	case err != nil:
		return wrong
	case voice == nil:
		return fmt.Errorf("%w: Polly has no such voice in this region (names are case-sensitive)", wrong)
	default:
		return fmt.Errorf("%w: the voice's engines in this region are: %s", wrong, join(voice.SupportedEngines))
	}
}

// findVoice returns a voice if the engine has it, nil if not. An empty engine stands for any.
func (n *Notifier) findVoice(ctx context.Context, name string, engine types.Engine) (*types.Voice, error) {
	input := &polly.DescribeVoicesInput{Engine: engine}
	for range maxVoicePages {
		page, err := n.polly.DescribeVoices(ctx, input)
		if err != nil {
			return nil, fail(opVoices, err)
		}
		for i, v := range page.Voices {
			// The list is that of the engine already; an emulator may not filter, or not say the engines.
			speaks := engine == "" || len(v.SupportedEngines) == 0 || slices.Contains(v.SupportedEngines, engine)
			if string(v.Id) == name && speaks {
				return &page.Voices[i], nil
			}
		}
		if aws.ToString(page.NextToken) == "" {
			return nil, nil
		}
		input.NextToken = page.NextToken
	}
	return nil, fmt.Errorf("describe voices: the list has no end after %d pages", maxVoicePages)
}

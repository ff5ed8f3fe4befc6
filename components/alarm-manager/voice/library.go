package voice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/durable"
)

// Library is a source of clips that were made elsewhere, such as by Polly, and are kept in a folder: one of a text as a whole, or
// a phrase of a class of alarms. It works without the cloud.
type Library struct {
	Dir      string
	MaxBytes int64 // of all clips; those that were not heard for longest go first
}

const clipSuffix = ".wav"

// Name is for logs and conditions.
func (Library) Name() string { return "clips" }

// Clip returns the clip of the announcement's text, or else the phrase of its class. A damaged one is removed: it is fetched again.
func (l Library) Clip(_ context.Context, a Announcement) (Clip, error) {
	var damage error
	for _, name := range []string{textFile(a.Language, a.Text), phraseFile(a.Language, a.Class)} {
		clip, err := l.read(filepath.Join(l.Dir, name))
		if err == nil {
			return clip, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			damage = errors.Join(damage, err)
		}
	}
	return Clip{}, cmp.Or(damage, ErrNoClip)
}

func (l Library) read(path string) (Clip, error) {
	data, err := durable.ReadFile(path, maxWAV+int64(len(sumChunk)+sha256.Size))
	if err != nil && !errors.Is(err, durable.ErrDamaged) {
		return Clip{}, fmt.Errorf("read clip: %w", err)
	}
	clip := Clip{}
	if err == nil {
		err = checkSum(data)
	}
	if err == nil {
		clip, err = DecodeWAV(data)
	}
	if err != nil {
		return Clip{}, errors.Join(fmt.Errorf("read clip %s: %w", filepath.Base(path), err), os.Remove(path))
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now)
	return clip, nil
}

// PutText keeps the clip of a text.
func (l Library) PutText(language, text string, c Clip) error {
	return l.put(textFile(language, text), c)
}

// PutPhrase keeps the phrase of a class of alarms.
func (l Library) PutPhrase(language, class string, c Clip) error {
	return l.put(phraseFile(language, class), c)
}

// HasText reports whether there is a clip of a text.
func (l Library) HasText(language, text string) bool {
	_, err := os.Stat(filepath.Join(l.Dir, textFile(language, text)))
	return err == nil
}

func (l Library) put(name string, c Clip) error {
	var file bytes.Buffer
	if err := c.EncodeWAV(&file); err != nil {
		return err
	}
	sum := sha256.Sum256(file.Bytes())
	file.WriteString(sumChunk)
	file.Write(sum[:])
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return fmt.Errorf("keep clip: %w", err)
	}
	if err := l.prune(int64(file.Len())); err != nil {
		return fmt.Errorf("keep clip: %w", err)
	}
	if err := durable.WriteFileAtomic(filepath.Join(l.Dir, name), file.Bytes(), 0o600); err != nil {
		return fmt.Errorf("keep clip: %w", err)
	}
	return nil
}

// sumChunk begins the last chunk of a file, which has the SHA-256 of the rest. Other programs skip it.
const sumChunk = "sum \x20\x00\x00\x00"

// checkSum says whether a file is what was written. One of a version before 0.4 has no sum.
func checkSum(data []byte) error {
	at := len(data) - sha256.Size - len(sumChunk)
	if at < 0 || string(data[at:at+len(sumChunk)]) != sumChunk {
		return nil
	}
	if sum := sha256.Sum256(data[:at]); string(sum[:]) != string(data[at+len(sumChunk):]) {
		return errors.New("it is damaged")
	}
	return nil
}

// prune makes room for a clip. Phrases stay: without the cloud there is nothing else.
func (l Library) prune(size int64) error {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
	var clips []fs.FileInfo
	total := size
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.HasSuffix(entry.Name(), clipSuffix) {
			continue
		}
		total += info.Size()
		if strings.HasPrefix(entry.Name(), textPrefix) {
			clips = append(clips, info)
		}
	}
	slices.SortFunc(clips, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, clip := range clips {
		if total <= l.MaxBytes {
			return nil
		}
		if err := os.Remove(filepath.Join(l.Dir, clip.Name())); err != nil {
			return err
		}
		total -= clip.Size()
	}
	if total > l.MaxBytes {
		return fmt.Errorf("clips of %d bytes are more than the %d that there is room for", total, l.MaxBytes)
	}
	return nil
}

const textPrefix = "text-"

// textFile is the name of a text's file. Names are hashes: nothing in a text is a path. White space does not make another text,
// as the cloud speaks it with single spaces.
func textFile(language, text string) string {
	return textPrefix + hash(base(language), strings.Join(strings.Fields(text), " ")) + clipSuffix
}

func phraseFile(language, class string) string {
	return "phrase-" + hash(base(language), class) + clipSuffix
}

// base is a language without its region: a clip in en-GB will do for en-US.
func base(language string) string {
	name, _, _ := strings.Cut(language, "-")
	return strings.ToLower(cmp.Or(name, defaultLanguage))
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

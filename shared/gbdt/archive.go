package gbdt

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"edgepdm/shared/archive"
)

// Bounds of an archive.
const (
	maxMembers = 1 << 10 // of an archive, of any kind
	MaxFolds   = 100     // models of a k-fold training
	// An archive may unpack to so many times its size and so much more: tar pads with zeros, which take no space, and
	// models shrink to a half or a tenth. gzip itself reaches a thousand.
	maxUnpackRatio = 64
	minUnpackSize  = 1 << 20
	// What a file is said to unpack to is believed up to so many times the archive's size.
	usualUnpackRatio = 16
)

// The names that SageMaker's containers give to what they put into model.tar.gz.
const (
	SageMakerModel = "xgboost-model"
	foldPrefix     = SageMakerModel + "-" // and a number: the models of a k-fold training
)

// archiveMember is a file of an archive that may be a model.
type archiveMember struct {
	name string
	data []byte
}

// isPacked says whether a file of a kind is an archive or compressed.
func isPacked(kind string) bool {
	return kind == kindTar || kind == kindGzip || kind == kindZlib || kind == kindBzip2
}

// parsePacked reads the model of a model.tar.gz, of a tar, or of a file that is compressed alone.
func (l Limits) parsePacked(kind string, data []byte) (*Model, error) {
	in, err := l.decompress(kind, data)
	if err != nil {
		return nil, within(kind, err)
	}
	if head, err := in.Peek(tarMagicEnd); kind == kindTar || isTar(head) || err != nil && !errors.Is(err, io.EOF) {
		kind = map[string]string{kindGzip: "tar.gz", kindZlib: "tar.zlib", kindBzip2: "tar.bz2", kindTar: kindTar}[kind]
		return l.parseArchive(kind, in, usualUnpackRatio*int64(len(data)))
	}
	size := int64(0)
	if kind == kindGzip && len(data) > 4 { // its last field is the size
		size = min(int64(binary.LittleEndian.Uint32(data[len(data)-4:])), usualUnpackRatio*int64(len(data)))
	}
	content, err := readAll(in, size)
	if err != nil {
		return nil, within(kind, archiveError(err))
	}
	inner, err := sniff(content)
	if err == nil && isPacked(inner) {
		err = refuse(ErrFormat, "what it holds is packed once more")
	}
	var model *Model
	if err == nil {
		model, err = l.parseFile(inner, content)
	}
	if err != nil {
		return nil, within(kind, err)
	}
	model.Format = kind + "+" + model.Format
	return model, nil
}

// tarMagicEnd is where the magic of a tar's first header ends.
const tarMagicEnd = 262

// isTar says whether what begins with head is a tar, also one without files.
func isTar(head []byte) bool {
	return len(head) == tarMagicEnd && (string(head[257:262]) == "ustar" || len(bytes.Trim(head, "\x00")) == 0)
}

// decompress returns what is in a file, no more of it than is allowed.
func (l Limits) decompress(kind string, data []byte) (*bufio.Reader, error) {
	return l.inflate(kind, bytes.NewReader(data), int64(len(data)))
}

// inflate does that for a file of a size, as it is read.
func (l Limits) inflate(kind string, in io.Reader, size int64) (*bufio.Reader, error) {
	var err error
	switch kind {
	case kindGzip:
		in, err = gzip.NewReader(in)
	case kindZlib:
		in, err = zlib.NewReader(in)
	case kindBzip2:
		in = bzip2.NewReader(in)
	}
	if err != nil {
		return nil, archiveError(err)
	}
	return bufio.NewReader(archive.Bound(in, min(l.FileSize, minUnpackSize+maxUnpackRatio*size))), nil
}

// parseArchive reads the model in a tar: the file xgboost-model; or else the models xgboost-model-0, xgboost-model-1, … of a
// k-fold training, as one; or else the only file whose content looks like a model. Files in folders count if there is none
// at the top; files that begin with a dot never do, as for SageMaker's endpoint.
func (l Limits) parseArchive(kind string, in io.Reader, usual int64) (*Model, error) {
	members, err := l.unpack(in, usual)
	if err != nil {
		return nil, within(kind, err)
	}
	chosen, err := chooseMembers(members)
	if err != nil {
		return nil, within(kind, err)
	}
	folds := make([]*Model, len(chosen))
	left := l // the folds share the limits
	for i, member := range chosen {
		what, err := sniff(member.data)
		if err == nil && isPacked(what) {
			err = refuse(ErrFormat, "it is packed itself")
		}
		if err == nil {
			folds[i], err = left.parseFile(what, member.data)
		}
		if err != nil {
			return nil, within(member.name, err)
		}
		left.Trees, left.Nodes = left.Trees-folds[i].NumTrees, left.Nodes-folds[i].NumNodes
	}
	model := folds[0]
	if strings.HasPrefix(path.Base(chosen[0].name), foldPrefix) {
		if model, err = newFolds(folds, l); err != nil {
			return nil, within(kind, err)
		}
	}
	model.Format = kind + "+" + model.Format
	return model, nil
}

// chooseMembers returns the model, or the models of a k-fold training in their order.
func chooseMembers(members []archiveMember) ([]archiveMember, error) {
	var top, nested []archiveMember
	for _, m := range members {
		if strings.Contains(m.name, "/") {
			nested = append(nested, m)
		} else {
			top = append(top, m)
		}
	}
	chosen, err := chooseAmong(top)
	if chosen == nil && err == nil {
		chosen, err = chooseAmong(nested)
	}
	if chosen == nil && err == nil {
		err = refuse(ErrFormat, "it holds no file that is a model, such as %s", SageMakerModel)
	}
	return chosen, err
}

// chooseAmong returns none where there is no model.
func chooseAmong(members []archiveMember) ([]archiveMember, error) {
	var named, folds, others []archiveMember
	for _, m := range members {
		switch name := path.Base(m.name); {
		case name == SageMakerModel:
			named = append(named, m)
		case strings.HasPrefix(name, foldPrefix):
			folds = append(folds, m)
		case isModel(m.data):
			others = append(others, m)
		}
	}
	if len(named) > 0 {
		folds, others = nil, named
	}
	switch {
	case len(folds) > MaxFolds:
		return nil, refuse(ErrLimit, "%d models of a k-fold training, at most %d", len(folds), MaxFolds)
	case len(folds) > 0:
		return sortFolds(folds)
	case len(others) == 1:
		return others, nil
	case len(others) > 1:
		return nil, refuse(ErrFormat, "%d files in it could be the model (%.40q, %.40q, …); name it %s",
			len(others), others[0].name, others[1].name, SageMakerModel)
	}
	return nil, nil
}

// sortFolds orders the models of a k-fold training by their numbers, of which none may lack.
func sortFolds(folds []archiveMember) ([]archiveMember, error) {
	sorted := make([]archiveMember, len(folds))
	for _, m := range folds {
		text := strings.TrimPrefix(path.Base(m.name), foldPrefix)
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(folds) || strconv.Itoa(n) != text || path.Dir(m.name) != path.Dir(folds[0].name) {
			return nil, refuse(ErrInvalid, "%.40q is not one of the %d models of a k-fold training, which are counted from 0", m.name, len(folds))
		}
		sorted[n] = m
	}
	return sorted, nil // names come once only, so that each place is taken
}

// unpack reads the files of a tar. The header's word on a size is taken up to what is usual, beyond that memory is taken as
// the content comes.
func (l Limits) unpack(in io.Reader, usual int64) (members []archiveMember, err error) {
	err = archive.Walk(in, l.archive(), func(m archive.Member) error {
		content, err := readAll(m, min(m.Size, usual))
		members = append(members, archiveMember{m.Name, content})
		return err
	})
	return members, archiveError(err)
}

// archive bounds an archive.
func (l Limits) archive() archive.Limits {
	return archive.Limits{Entries: maxMembers, Bytes: l.FileSize}
}

// archiveError gives an error of reading an archive its kind.
func archiveError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, archive.ErrLimit):
		return refuse(ErrLimit, "%v", err)
	}
	return refuse(ErrInvalid, "%v", archive.Damaged("unpack", err))
}

package gbdt

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"
)

const (
	maxMembers = 1 << 10 // of an archive, of any kind
	maxFolds   = 100     // models of a k-fold training
	// An archive may unpack to so many times its size and so much more: tar pads with zeros, which take no space, and
	// models shrink to a half or a tenth. gzip itself reaches a thousand.
	maxUnpackRatio = 64
	minUnpackSize  = 1 << 20
)

// The names that SageMaker's containers give to what they put into model.tar.gz.
const (
	sageMakerModel = "xgboost-model"
	foldPrefix     = sageMakerModel + "-" // and a number: the models of a k-fold training
)

// archiveMember is a file of an archive that may be a model.
type archiveMember struct {
	name string
	data []byte
}

// parseArchive reads the model of a model.tar.gz, or of a tar: the file xgboost-model; or else the models xgboost-model-0,
// xgboost-model-1, … of a k-fold training, as one; or else the only file whose content looks like a model. Files that begin
// with a dot and files in folders are no models, as for SageMaker's endpoint.
func (l Limits) parseArchive(kind string, data []byte) (*Model, error) {
	members, err := l.unpack(kind, data)
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
		if err == nil && (what == kindTar || what == kindTarGzip) {
			err = refuse(ErrFormat, "it is an archive itself")
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
	if strings.HasPrefix(chosen[0].name, foldPrefix) {
		if model, err = newFolds(folds, l); err != nil {
			return nil, within(kind, err)
		}
	}
	model.Format = kind + "+" + model.Format
	return model, nil
}

// chooseMembers returns the model, or the models of a k-fold training in their order.
func chooseMembers(members []archiveMember) ([]archiveMember, error) {
	var folds, others []archiveMember
	for _, m := range members {
		if m.name == sageMakerModel {
			return []archiveMember{m}, nil
		}
		if strings.HasPrefix(m.name, foldPrefix) {
			folds = append(folds, m)
		} else if _, err := sniff(m.data); err == nil {
			others = append(others, m)
		}
	}
	switch {
	case len(folds) > maxFolds:
		return nil, refuse(ErrLimit, "%d models of a k-fold training, at most %d", len(folds), maxFolds)
	case len(folds) > 0:
		return sortFolds(folds)
	case len(others) == 1:
		return others, nil
	case len(others) > 1:
		return nil, refuse(ErrFormat, "%d files in it could be the model (%.40q, %.40q, …); name it %s",
			len(others), others[0].name, others[1].name, sageMakerModel)
	}
	return nil, refuse(ErrFormat, "it holds no file that is a model, such as %s", sageMakerModel)
}

// sortFolds orders the models of a k-fold training by their numbers, of which none may lack.
func sortFolds(folds []archiveMember) ([]archiveMember, error) {
	sorted := make([]archiveMember, len(folds))
	for _, m := range folds {
		text := strings.TrimPrefix(m.name, foldPrefix)
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(folds) || strconv.Itoa(n) != text {
			return nil, refuse(ErrInvalid, "%.40q is not one of the %d models of a k-fold training, which are counted from 0", m.name, len(folds))
		}
		sorted[n] = m
	}
	return sorted, nil // names come once only, so that each place is taken
}

// unpack reads the files at the top of an archive.
func (l Limits) unpack(kind string, data []byte) ([]archiveMember, error) {
	var in io.Reader = bytes.NewReader(data)
	if kind == kindTarGzip {
		unzip, err := gzip.NewReader(in)
		if err != nil {
			return nil, refuse(ErrInvalid, "gzip: %v", err)
		}
		in = unzip
	}
	bounded := &boundedReader{in: in, left: min(l.FileSize, minUnpackSize+maxUnpackRatio*int64(len(data)))}
	var members []archiveMember
	seen := make(map[string]bool)
	files := tar.NewReader(bounded)
	for range maxMembers {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			// The rest is padding; reading it makes gzip check its sum.
			_, err = io.Copy(io.Discard, bounded)
			return members, archiveError(err)
		}
		if err != nil {
			return nil, archiveError(err)
		}
		name := path.Clean(header.Name)
		if header.Typeflag != tar.TypeReg || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\") {
			continue
		}
		if seen[name] {
			return nil, refuse(ErrInvalid, "%.40q stands there twice", name)
		}
		seen[name] = true
		content, err := io.ReadAll(files) // takes memory as the content comes, not as the header says
		if err != nil {
			return nil, archiveError(err)
		}
		members = append(members, archiveMember{name, content})
	}
	return nil, refuse(ErrLimit, "more than %d members", maxMembers)
}

// archiveError gives an error of reading an archive its kind.
func archiveError(err error) error {
	var r *refusal
	if err == nil || errors.As(err, &r) {
		return err
	}
	return refuse(ErrInvalid, "damaged: %v", err)
}

// boundedReader fails when more is read than is left.
type boundedReader struct {
	in   io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// At the bound exactly, the end may follow.
		if n, err := b.in.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, refuse(ErrLimit, "it unpacks to more than is allowed")
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

package modelstore

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"edgepdm/shared/archive"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

// maxMembers bounds an archive's members, also those that are skipped.
const maxMembers = 64

func archiveLimits() archive.Limits {
	return archive.Limits{Entries: maxMembers, Bytes: envelope.MaxArchive, Strict: true}
}

// unpack writes the files of a model.tar.gz that keep wants into the folder dir, which exists, and returns them in the
// archive's order (promise M5). It accepts what SageMaker's containers and GNU tar write: regular files at the top, besides
// them folders, files in folders and files that begin with a dot, all of which are checked, counted and skipped. What the
// strict limits refuse gives an error that wraps archive.ErrInvalid. Any other error is one of reading r or of the disk. After
// an error the folder may hold some files.
//
// Files are new (an existing one is an error), mode 0600, and not yet synced.
func unpack(d disk.Disk, r io.Reader, dir string, limits archive.Limits, keep func(name string) bool) ([]envelope.ModelFile, error) {
	source := &sourceReader{r: r}
	files, err := unpackFrom(d, source, dir, limits, keep)
	if source.err != nil { // whatever came of it: the archive was not read to its end
		return nil, fmt.Errorf("read archive: %w", source.err)
	}
	return files, err
}

func unpackFrom(d disk.Disk, r io.Reader, dir string, limits archive.Limits, keep func(name string) bool) (files []envelope.ModelFile, err error) {
	compressed := bufio.NewReader(r) // gzip reads no byte too many from an io.ByteReader
	unzip, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %w", archive.ErrInvalid, err)
	}
	unzip.Multistream(false)
	err = archive.Walk(archive.Bound(unzip, limits.Size()), limits, func(m archive.Member) error {
		if strings.Contains(m.Name, "/") || strings.HasPrefix(m.Name, ".") || !keep(m.Name) {
			return nil
		}
		file, err := unpackFile(d, dir, m)
		files = append(files, file)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := compressed.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is something after the end of the gzip stream", archive.ErrInvalid)
	}
	return files, nil
}

func unpackFile(d disk.Disk, dir string, m archive.Member) (envelope.ModelFile, error) {
	if envelope.ReservedFile(m.Name) {
		return envelope.ModelFile{}, fmt.Errorf("%w: a file must not be named %s", archive.ErrInvalid, m.Name)
	}
	sum := sha256.New()
	size, err := d.Create(filepath.Join(dir, m.Name), io.TeeReader(m, sum))
	if broken, is := errors.AsType[*disk.ContentError](err); is {
		err = archive.Damaged(m.Name, broken.Err)
	} else if err != nil {
		err = fmt.Errorf("unpack %s: %w", m.Name, err)
	}
	return envelope.ModelFile{File: m.Name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}, err
}

// sourceReader remembers a failure to read, which is none of the archive.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// keepModel says which files are wanted when there is no manifest to name the model.
func keepModel(name string) bool {
	ext := filepath.Ext(name)
	return strings.HasPrefix(name, gbdt.SageMakerModel) || ext == ".ubj" || ext == ".json"
}

// chooseModel returns which file of an archive without a manifest is the model: xgboost-model, or the only *.ubj or *.json.
func chooseModel(files []envelope.ModelFile) (envelope.ModelFile, error) {
	var candidates []envelope.ModelFile
	folds := 0
	for _, f := range files {
		switch {
		case f.File == gbdt.SageMakerModel:
			return f, nil
		case strings.HasPrefix(f.File, gbdt.SageMakerModel+"-"):
			folds++
		case filepath.Ext(f.File) == ".ubj" || filepath.Ext(f.File) == ".json":
			candidates = append(candidates, f)
		}
	}
	switch {
	case len(candidates) == 1:
		return candidates[0], nil
	case len(candidates) > 1:
		return envelope.ModelFile{}, fmt.Errorf("%w: %d files could be the model (%s, %s …): name it %s", archive.ErrInvalid, len(candidates),
			candidates[0].File, candidates[1].File, gbdt.SageMakerModel)
	case folds > 0:
		return envelope.ModelFile{}, errFolds
	}
	return envelope.ModelFile{}, fmt.Errorf("%w: no file in it is the model: need %s, or one *.ubj or *.json", archive.ErrInvalid, gbdt.SageMakerModel)
}

// errFolds says that an archive is the model, for it holds those of a k-fold training.
var errFolds = errors.New("a k-fold training")

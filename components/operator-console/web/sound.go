package web

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"
)

// sound answers with the newest sound of the demo.
func (s *Server) sound(w http.ResponseWriter, r *http.Request) {
	file, at, err := newestSound(s.Sounds)
	if err != nil {
		http.Error(w, "there is no sound yet", http.StatusNotFound)
		s.Log.Debug("no sound", "error", err)
		return
	}
	defer func() { _ = file.Close() }()
	w.Header().Set("Content-Type", "audio/wav")
	http.ServeContent(w, r, "", at, file)
}

// newestSound opens the sound in a folder that was changed last. Names that end with ~ are of sounds before.
func newestSound(dir string) (file io.ReadSeekCloser, at time.Time, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, at, fmt.Errorf("open the folder of sounds: %w", err)
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, at, fmt.Errorf("list sounds: %w", err)
	}
	newest := ""
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(e.Name(), ".wav") || newest != "" && !info.ModTime().After(at) {
			continue
		}
		newest, at = e.Name(), info.ModTime()
	}
	if newest == "" {
		return nil, at, errors.New("the folder has no sound")
	}
	file, err = root.Open(newest)
	return file, at, err
}

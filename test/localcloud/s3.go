package localcloud

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// maxObject bounds what one request may upload.
const maxObject = 256 << 20

// objectStore is S3: gofakes3 in memory, with a layer in front for what it leaves out and our programs depend on:
// signatures, payload hashes, checksums, If-Match of GET and HEAD (with Range too), HEAD of a version, a default content
// type, metadata that an overwrite does not inherit, and answers that neither echo request headers such as the security
// token nor give the checksum of an object with a part of it.
//
// Still ignored or missing: If-Unmodified-Since, conditions of DELETE, COPY and CompleteMultipartUpload, If-Range,
// checksums of multipart objects other than SHA-256, and those of their GET, presigned URLs, chunk-signed uploads (refused),
// ACLs, tags, encryption, policies, lifecycle, and names of buckets in the host name.
type objectStore struct {
	backend memory
	fake    http.Handler
	uploads uploads
	journal *recorder
}

func newObjectStore(bucket string, journal *recorder, now func() time.Time) (*objectStore, error) {
	clock := clockOf(now)
	backend := newMemory(clock)
	if err := backend.CreateBucket(bucket); err != nil {
		return nil, fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	// The stack's buckets are versioned.
	v := gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}
	if err := backend.SetVersioningConfiguration(bucket, v); err != nil {
		return nil, fmt.Errorf("enable versions of bucket %s: %w", bucket, err)
	}
	fake := gofakes3.New(backend, gofakes3.WithTimeSource(clock), gofakes3.WithTimeSkewLimit(0))
	return &objectStore{backend: backend, fake: fake.Server(), uploads: uploads{byID: make(map[string]*partsOf)}, journal: journal}, nil
}

// clockOf makes gofakes3 use the cloud's clock.
type clockOf func() time.Time

func (c clockOf) Now() time.Time                  { return c().UTC() }
func (c clockOf) Since(t time.Time) time.Duration { return c().Sub(t) }

func (s *objectStore) service() service {
	denials := denialsAs("AccessDenied", "InvalidAccessKeyId", "ExpiredToken", "SignatureDoesNotMatch")
	denials[expiredToken].status = http.StatusBadRequest
	denials[clockSkewed].code = "RequestTimeTooSkewed"
	denials[wrongPayload] = refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The payload does not match its hash")
	return service{
		name: serviceS3, maxBody: maxObject, serve: s.serve, fail: failS3, denials: denials,
		tooLarge: refuse(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"),
		throttle: refuse(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."),
	}
}

func (s *objectStore) serve(w http.ResponseWriter, r *http.Request, body []byte) *apiError {
	if err := checkUpload(r, body); err != nil {
		return err
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	copied := r.Header.Get("X-Amz-Copy-Source") != ""
	q := r.Clone(r.Context())
	q.Body = io.NopCloser(bytes.NewReader(body))
	cleanRequest(q.Header)
	switch upload := query.Has("uploadId"); {
	case r.Method == http.MethodPost && key != "" && (upload || query.Has("uploads")):
		return s.serveUpload(w, q, bucket, key, body)
	case upload && r.Method == http.MethodDelete:
		s.uploads.end(query.Get("uploadId"))
	case upload && r.Method == http.MethodPut:
		if err := s.uploads.part(query, len(body), r.Header.Get("X-Amz-Checksum-Sha256")); err != nil {
			return err
		}
	}
	answer := &s3Answer{ResponseWriter: w, verified: verifiedOf(r), get: r.Method == http.MethodGet || r.Method == http.MethodHead}
	if answer.get && key != "" {
		answer.ifMatch = r.Header.Get("If-Match")
		answer.etag = func() string { return s.backend.etag(bucket, key) }
		if query.Has("versionId") {
			q.Method = http.MethodGet // for gofakes3 forgets the version of a HEAD; the server drops the body
		}
	}
	s.fake.ServeHTTP(answer, q)
	if ok := answer.status == 0 || answer.status == http.StatusOK; ok && key != "" && !copied && r.Method == http.MethodPut && !query.Has("uploadId") {
		s.record(key, q.Header.Get("Content-Type"), body)
	}
	answer.finish()
	return nil
}

func (s *objectStore) record(key, contentType string, body []byte) {
	kind := KindS3Put
	if strings.HasPrefix(contentType, "audio/") {
		kind = KindAudio
	}
	s.journal.add(kind, key, body)
}

// checkUpload refuses what gofakes3 would take wrongly.
func checkUpload(r *http.Request, body []byte) *apiError {
	switch {
	case strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-"):
		return refuse(http.StatusNotImplemented, "NotImplemented", "Chunk-signed uploads are not implemented")
	case r.Method != http.MethodPut:
		return nil
	}
	if v := r.Header.Get("If-None-Match"); v != "" && v != "*" {
		return refuse(http.StatusNotImplemented, "NotImplemented", "If-None-Match of a PUT must be *")
	}
	for name, h := range map[string]hash.Hash{
		"Crc32": crc32.NewIEEE(), "Crc32c": crc32.New(crc32.MakeTable(crc32.Castagnoli)),
		"Crc64nvme": crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)), "Sha1": sha1.New(), "Sha256": sha256.New(),
	} {
		want := r.Header.Get("X-Amz-Checksum-" + name)
		if want == "" {
			continue
		}
		h.Write(body)
		if base64.StdEncoding.EncodeToString(h.Sum(nil)) != want {
			return refuse(http.StatusBadRequest, "BadDigest", "The "+strings.ToUpper(name)+" you specified did not match the calculated checksum.")
		}
	}
	return nil
}

// verifiedOf returns the checksums that came with an upload, which S3 tells again.
func verifiedOf(r *http.Request) http.Header {
	told := make(http.Header)
	for name, values := range r.Header {
		if r.Method == http.MethodPut && strings.HasPrefix(name, "X-Amz-Checksum-") {
			told[name] = values
		}
	}
	return told
}

// cleanRequest leaves only the headers that S3 keeps with an object, for gofakes3 keeps all, and sets S3's default type.
func cleanRequest(h http.Header) {
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		return strings.HasPrefix(name, "X-Amz-") && !strings.HasPrefix(name, "X-Amz-Meta-") &&
			!strings.HasPrefix(name, "X-Amz-Checksum-") && name != "X-Amz-Copy-Source" && name != "X-Amz-Metadata-Directive"
	})
	if h.Get("Content-Type") == "" && h.Get("X-Amz-Copy-Source") == "" {
		h.Set("Content-Type", "binary/octet-stream")
	}
}

// s3Answer puts gofakes3's answers right on their way. If-Match is compared with the ETag that stands in the answer
// itself: the bytes that follow are of that object, whatever was written meanwhile.
type s3Answer struct {
	http.ResponseWriter
	get     bool
	ifMatch string
	etag    func() string // of the object as it is now
	status  int           // 0 until the header is written
	refused bool

	verified http.Header // checksums of an upload
}

func (a *s3Answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	h := a.Header()
	if a.ifMatch != "" && a.ifMatch != "*" && (status < http.StatusBadRequest || status == http.StatusRequestedRangeNotSatisfiable) {
		etag := h.Get("ETag")
		if etag == "" {
			etag = a.etag() // a condition comes before a range
		}
		if strings.Trim(a.ifMatch, `"`) != strings.Trim(etag, `"`) {
			a.refused, a.status = true, http.StatusPreconditionFailed
			clear(h)
			failS3(a.ResponseWriter, refuse(a.status, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"))
			return
		}
	}
	if status == http.StatusOK {
		maps.Copy(h, a.verified)
	}
	if status == http.StatusPartialContent {
		maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.HasPrefix(name, "X-Amz-Checksum-") })
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *s3Answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.refused {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// finish answers when gofakes3 left it to the server.
func (a *s3Answer) finish() {
	if a.status == 0 && !a.get {
		a.Header().Set("Content-Length", "0")
	}
	a.WriteHeader(http.StatusOK)
}

package localcloud

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
)

// leastPart is the least size of a part that is not the last one.
const leastPart = 5 << 20

// uploads are what S3 knows of uploads in several requests, and gofakes3 does not: the sizes of their parts, and of those with
// SHA-256 checksums these, which make the object's.
type uploads struct {
	mu   sync.Mutex
	byID map[string]*partsOf
}

type partsOf struct {
	checked bool // with SHA-256 checksums
	sizes   map[int]int
	sums    map[int]string
}

func (u *uploads) begin(id string, checked bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byID[id] = &partsOf{checked, make(map[int]int), make(map[int]string)}
}

func (u *uploads) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byID, id)
}

// part notes a part, whose checksum was verified.
func (u *uploads) part(query url.Values, size int, sum string) *apiError {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.byID[query.Get("uploadId")]
	if of == nil { // gofakes3 knows none, either
		return nil
	}
	if of.checked && sum == "" {
		return refuse(http.StatusBadRequest, "InvalidRequest", "The upload was created using the SHA256 checksum mode. The part has no such checksum.")
	}
	number, err := strconv.Atoi(query.Get("partNumber"))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidArgument", "Part number must be an integer")
	}
	of.sizes[number], of.sums[number] = size, sum
	return nil
}

// complete checks the parts that make an object, and returns the checksum of their checksums; "" without.
func (u *uploads) complete(id string, body []byte) (sum string, failed *apiError) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.byID[id]
	if of == nil {
		return "", nil
	}
	var asked struct {
		Part []struct {
			PartNumber     int
			ChecksumSHA256 string
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil {
		return "", refuse(http.StatusBadRequest, "MalformedXML", err.Error())
	}
	var all []byte
	for i, p := range asked.Part {
		if of.sizes[p.PartNumber] < leastPart && i < len(asked.Part)-1 {
			return "", refuse(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		}
		if !of.checked {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(p.ChecksumSHA256)
		if err != nil || p.ChecksumSHA256 == "" || p.ChecksumSHA256 != of.sums[p.PartNumber] {
			return "", refuse(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found, or its checksum is another")
		}
		all = append(all, raw...)
	}
	if of.checked {
		whole := sha256.Sum256(all)
		sum = fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(whole[:]), len(asked.Part))
	}
	return sum, nil
}

// serveUpload begins and completes uploads in several requests.
func (s *objectStore) serveUpload(w http.ResponseWriter, q *http.Request, bucket, key string, body []byte) *apiError {
	id := q.URL.Query().Get("uploadId")
	sum, failed := s.uploads.complete(id, body)
	if failed != nil {
		return failed
	}
	checked := q.Header.Get("X-Amz-Checksum-Algorithm") == "SHA256"
	q.Header.Del("X-Amz-Checksum-Algorithm")
	answer := httptest.NewRecorder()
	s.fake.ServeHTTP(answer, q)
	result := answer.Body.Bytes()
	switch {
	case answer.Code != http.StatusOK:
	case id == "":
		var created struct {
			UploadID string `xml:"UploadId"`
		}
		if err := xml.Unmarshal(result, &created); err != nil {
			return refuse(http.StatusInternalServerError, "InternalError", err.Error())
		}
		s.uploads.begin(created.UploadID, checked)
	default:
		s.uploads.end(id)
		if whole, contentType, err := s.backend.read(bucket, key); err == nil {
			s.record(key, contentType, whole)
		}
		if sum != "" {
			const end = "</CompleteMultipartUploadResult>"
			more := fmt.Sprintf("<ChecksumSHA256>%s</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType>%s", sum, end)
			result = bytes.Replace(result, []byte(end), []byte(more), 1)
		}
	}
	respond(w, answer.Code, "application/xml", result)
	return nil
}

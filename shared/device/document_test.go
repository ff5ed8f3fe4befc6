package device

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// aCA makes a CA, as text within a JSON string.
func aCA(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.OK(t, err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	must.OK(t, err)
	return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "\n", `\n`)
}

// answerOf is an answer with one core at one endpoint, "$" in it being a CA.
const answerOf = `{"GGGroups":[{"GGGroupId":"g","Cores":[{"thingArn":"a/core","Connectivity":[{"hostAddress":"h","portNumber":8883}]}],"CAs":["$"]}]}`

func TestAnswersThatNameNoCore(t *testing.T) {
	good := strings.Replace(answerOf, "$", aCA(t), 1)
	if cores, err := readDocument([]byte(good)); err != nil || len(cores) != 1 || cores[0].Thing != "core" || cores[0].Endpoints[0] != (Endpoint{"h", 8883}) {
		t.Fatalf("a good one: %+v, %v", cores, err)
	}
	for name, body := range map[string]string{
		"no JSON":           `<html>`,
		"empty":             `{}`,
		"no list":           `{"GGGroups":{}}`,
		"no addresses":      must.Replace(t, good, `[{"hostAddress":"h","portNumber":8883}]`, `[]`),
		"no CA":             strings.Replace(answerOf, "$", "none", 1),
		"port out of range": must.Replace(t, good, `8883`, `70000`),
		"no host":           must.Replace(t, good, `"h"`, `""`),
		"host with a path":  must.Replace(t, good, `"h"`, `"h/x"`),
	} {
		if cores, err := readDocument([]byte(body)); err == nil {
			t.Errorf("%s: %+v", name, cores)
		}
	}
}

// Whatever an answer says, the cores that are taken have addresses and CAs, and no more than are bounded.
func FuzzReadDocument(f *testing.F) {
	f.Add([]byte(strings.Replace(answerOf, "$", aCA(f), 1)))
	f.Add([]byte(`{"ggGroups":[null]}`))
	f.Add([]byte(strings.Repeat(`[`, 1000)))
	f.Fuzz(func(t *testing.T, body []byte) {
		cores, err := readDocument(body)
		if err != nil {
			return
		}
		endpoints := 0
		for _, c := range cores {
			if endpoints += len(c.Endpoints); len(c.Endpoints) == 0 || len(c.CAs) == 0 || len(c.CAs) > maxCAs {
				t.Errorf("%+v", c)
			}
		}
		if len(cores) == 0 || endpoints > maxEndpoints {
			t.Errorf("%d cores, %d endpoints", len(cores), endpoints)
		}
		if _, err := json.Marshal(cached{Format: 1, Cores: cores}); err != nil {
			t.Error(err)
		}
	})
}

package mqttsource

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"time"

	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

// siteWise reads what AWS IoT SiteWise's gateway publishes, the entries of BatchPutAssetPropertyValue:
// https://docs.aws.amazon.com/iot-sitewise/latest/APIReference/API_AssetPropertyValue.html. A tag is a property's alias, or
// <asset id>/<property id>.
type siteWise struct {
	env  *source.Env
	tags map[string]int
}

func newSiteWise(e *source.Env) *siteWise {
	d := &siteWise{env: e, tags: make(map[string]int, len(e.Tags))}
	for _, t := range e.Tags {
		d.tags[t.Address] = t.Index
	}
	return d
}

func (*siteWise) alive() []rows.Tag { return nil }

// property is an entry: the values of one property.
type property struct {
	Alias    string `json:"propertyAlias"`
	Asset    string `json:"assetId"`
	Property string `json:"propertyId"`
	Values   []struct {
		Value struct {
			Double  any `json:"doubleValue"`
			Integer any `json:"integerValue"`
			Boolean any `json:"booleanValue"`
		} `json:"value"`
		Timestamp struct {
			Seconds int64 `json:"timeInSeconds"`
			Nanos   int64 `json:"offsetInNanos"`
		} `json:"timestamp"`
		Quality any `json:"quality"` // GOOD, BAD or UNCERTAIN; GOOD where it is missing
	} `json:"propertyValues"`
	Entries []property `json:"entries"`
}

// decode reads an entry, a list of them, or an object with entries.
func (d *siteWise) decode(_ string, payload []byte, put func(rows.Sample)) error {
	var list []property
	if payload = bytes.TrimSpace(payload); len(payload) > 0 && payload[0] == '[' {
		if err := unmarshal(payload, &list); err != nil {
			return err
		}
	} else {
		var one property
		if err := unmarshal(payload, &one); err != nil {
			return err
		}
		list = append(one.Entries, one)
	}
	for _, p := range list {
		d.take(p, put)
	}
	return nil
}

// unmarshal passes over values whose type does not fit: they are missing then, and the others are there.
func unmarshal(payload []byte, into any) error {
	var odd *json.UnmarshalTypeError
	if err := json.Unmarshal(payload, into); err != nil && (!errors.As(err, &odd) || odd.Field == "") {
		return err
	}
	return nil
}

func (d *siteWise) take(p property, put func(rows.Sample)) {
	tag, ok := d.tags[p.Alias]
	if !ok {
		tag, ok = d.tags[p.Asset+"/"+p.Property]
	}
	if !ok {
		if len(p.Values) > 0 {
			d.env.Count(rows.ReasonNoTag, len(p.Values))
		}
		return
	}
	for _, v := range p.Values {
		s := rows.Sample{Tag: tag, Good: v.Quality == "GOOD" || v.Quality == nil}
		if v.Timestamp.Seconds > 0 {
			s.TS = time.Unix(v.Timestamp.Seconds, v.Timestamp.Nanos)
		}
		switch x := cmp.Or(v.Value.Double, v.Value.Integer, v.Value.Boolean).(type) {
		case float64:
			s.Value = x
		case bool:
			s.Value = truth(x)
		default: // a text, or a null
			if s.Good {
				d.env.Count(reasonType, 1)
			}
			s.Good = false
		}
		put(s)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

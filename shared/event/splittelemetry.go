package event

import "encoding/json"

// RawRow is a row of a batch as it stands there, unchecked.
type RawRow struct {
	Thing   string // "" if it has none
	Payload []byte // the message that it would be on the topic of its thing
}

// SplitTelemetryBatch takes a message of TopicTelemetryBatch apart, for those who need few of its rows.
func SplitTelemetryBatch(payload []byte) ([]RawRow, error) {
	var batch struct {
		V    int               `json:"v"`
		Rows []json.RawMessage `json:"rows"`
	}
	if err := decode(payload, &batch); err != nil {
		return nil, err
	}
	if err := checkVersion(batch.V); err != nil {
		return nil, err
	}
	rows := make([]RawRow, len(batch.Rows))
	for i, raw := range batch.Rows {
		var row struct {
			Thing string `json:"thing"`
		}
		_ = json.Unmarshal(raw, &row) // DecodeTelemetry says what is wrong with a row
		rows[i] = RawRow{row.Thing, raw}
	}
	return rows, nil
}

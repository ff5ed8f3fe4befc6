package event

import (
	"encoding/json"
	"strconv"
)

// PredictionBatch carries predictions for one or several things in one message.
type PredictionBatch struct {
	V           int          `json:"v"`
	Predictions []Prediction `json:"predictions"`
}

// BatchedPrediction is a decoded prediction of a batch, or why it is invalid.
type BatchedPrediction struct {
	Prediction
	Payload []byte // the message that it would be on the topic of its thing
	Err     error  // an *InvalidError
}

// DecodePredictionBatch reads a message of TopicPredictionBatch, see PredictionDecoder.
func DecodePredictionBatch(payload []byte) ([]BatchedPrediction, error) {
	var d PredictionDecoder
	return d.DecodeBatch(payload)
}

// decodePredictionBatch reads a batch in any spelling.
func decodePredictionBatch(payload []byte) ([]BatchedPrediction, error) {
	var batch struct {
		V           int               `json:"v"`
		Predictions []json.RawMessage `json:"predictions"`
	}
	if err := Unmarshal(payload, &batch); err != nil {
		return nil, jsonError(payload, err)
	}
	if err := checkVersion(batch.V); err != nil {
		return nil, err
	}
	predictions := make([]BatchedPrediction, len(batch.Predictions))
	for i, raw := range batch.Predictions {
		predictions[i].Payload = raw
		predictions[i].Prediction, predictions[i].Err = decodePrediction(raw)
	}
	return predictions, nil
}

// JoinPredictions makes a batch of the first of the encoded predictions, as many as a local message carries, at least one,
// and returns how many those are.
func JoinPredictions(predictions [][]byte) (batch []byte, taken int) {
	return join("predictions", predictions)
}

// JoinTelemetry likewise makes a batch of encoded rows.
func JoinTelemetry(rows [][]byte) (batch []byte, taken int) { return join("rows", rows) }

func join(member string, messages [][]byte) (batch []byte, taken int) {
	size := len(batchTail) + 32
	for _, m := range messages {
		size += len(m) + len(",")
	}
	batch = append(make([]byte, 0, min(size, Local.Limit())), `{"v":`+strconv.Itoa(Version)+`,"`+member+`":[`...)
	for _, m := range messages {
		if taken > 0 {
			if len(batch)+len(",")+len(m)+len(batchTail) > Local.Limit() {
				break
			}
			batch = append(batch, ',')
		}
		batch = append(batch, m...)
		taken++
	}
	return append(batch, batchTail...), taken
}

const batchTail = "]}"

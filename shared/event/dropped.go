package event

import "time"

// TopicDropped is where a core tells the cloud, once it reaches it again, what it had to drop meanwhile.
const TopicDropped = "pdm/v1/dropped"

// Dropped is a report of messages that were dropped on the site, as the disk had no room for them or they were too old.
type Dropped struct {
	V        int               `json:"v"`
	ID       string            `json:"id"`
	Since    time.Time         `json:"since"`    // the first of them
	TS       time.Time         `json:"ts"`       // of the report
	Messages map[string]uint64 `json:"messages"` // how many, by stream and reason, such as predictions.drop-oldest
}

// Sum returns how many messages were dropped in all.
func (d Dropped) Sum() (n uint64) {
	for _, m := range d.Messages {
		n += m
	}
	return n
}

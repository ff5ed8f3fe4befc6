package event

// PredictionDecoder reads predictions. It is for one goroutine, and keeps texts that repeat, so that they are in memory once.
type PredictionDecoder struct{ words words }

// Decode reads a message of a prediction topic. The error is an *InvalidError.
func (d *PredictionDecoder) Decode(payload []byte) (Prediction, error) {
	if err := Local.Check(payload); err != nil {
		return Prediction{}, err
	}
	var p Prediction
	s := scanner{text: payload, words: &d.words}
	if s.prediction(&p); !s.end() {
		return decodePrediction(payload)
	}
	return p, p.check()
}

// DecodeBatch reads a message of TopicPredictionBatch. One bad prediction does not spoil the others. Their payloads are parts of
// the message's.
func (d *PredictionDecoder) DecodeBatch(payload []byte) ([]BatchedPrediction, error) {
	if err := Local.Check(payload); err != nil {
		return nil, err
	}
	var v int
	var list []BatchedPrediction
	s := scanner{text: payload, words: &d.words}
	s.object(func(name []byte) {
		switch string(name) {
		case "v":
			v = s.int()
		case "predictions":
			s.odd = s.odd || list != nil
			list = make([]BatchedPrediction, 0, len(payload)/usualPrediction+1)
			s.array(func() {
				s.next()
				begin := s.at
				list = append(list, BatchedPrediction{})
				one := &list[len(list)-1]
				s.prediction(&one.Prediction)
				one.Payload = payload[begin:s.at:s.at]
			})
		default:
			s.odd = true
		}
	})
	if !s.end() {
		return decodePredictionBatch(payload)
	}
	if err := checkVersion(v); err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Err = list[i].check()
	}
	return list, nil
}

// usualPrediction is about how many bytes the shortest predictions have.
const usualPrediction = 500

// prediction reads a prediction.
func (s *scanner) prediction(p *Prediction) {
	s.object(func(name []byte) {
		switch string(name) {
		case "v":
			p.V = s.int()
		case "id":
			p.ID = s.string()
		case "thing":
			p.Thing = s.string()
		case "line":
			p.Line = s.word()
		case "epoch":
			p.Epoch = s.word()
		case "seq":
			p.Seq = s.uint64()
		case "ts":
			p.TS = s.time()
		case "model":
			s.modelRef(&p.Model)
		case "probability":
			p.Probability = s.float(64)
		case "label":
			p.Label = s.word()
		case "threshold":
			p.Threshold = s.float(64)
		case "latency_us":
			p.LatencyUS = s.int64()
		case "platform":
			p.Platform = s.word()
		case "text":
			p.Text = s.string()
		case "simulated":
			p.Simulated = s.bool()
		case "faulty":
			truth := s.bool()
			p.Faulty = &truth
		case "absent":
			p.Absent = s.int()
		case "missing":
			p.Missing = s.string()
		case "assembling":
			p.Assembling = s.bool()
		case "watched":
			p.Watched = s.watched()
		case "quality":
			s.odd = s.odd || p.Quality != nil
			p.Quality = s.quality()
		case "contributors":
			s.odd = s.odd || p.Contributors != nil
			p.Contributors = make([]Contributor, 0, MaxContributors)
			s.array(func() {
				p.Contributors = append(p.Contributors, Contributor{})
				s.contributor(&p.Contributors[len(p.Contributors)-1])
			})
		case "life":
			s.odd = s.odd || p.Life != nil
			p.Life = s.life()
		case "remaining":
			remaining := s.float(64)
			p.Remaining = &remaining
		default:
			s.odd = true
		}
	})
}

func (s *scanner) modelRef(m *ModelRef) {
	s.object(func(name []byte) {
		switch string(name) {
		case "version":
			m.Version = s.word()
		case "sha256":
			m.SHA256 = s.word()
		default:
			s.odd = true
		}
	})
}

func (s *scanner) watched() (w Watched) {
	s.object(func(name []byte) {
		sensor := s.words.of(name)
		x, err := ParseFloat(string(s.number()))
		if s.odd = s.odd || err != nil; s.odd {
			return
		}
		if w == nil {
			w = make(Watched)
		}
		w[sensor] = x
	})
	return w
}

func (s *scanner) quality() *Quality {
	q := new(Quality)
	s.object(func(name []byte) {
		switch string(name) {
		case "frozen":
			q.Frozen = s.list()
		case "outside":
			q.Outside = s.list()
		case "missing":
			q.Missing = s.list()
		case "more":
			q.More = s.int()
		default:
			s.odd = true
		}
	})
	return q
}

// list reads strings.
func (s *scanner) list() []string {
	list := []string{}
	s.array(func() { list = append(list, s.word()) })
	return list
}

func (s *scanner) contributor(c *Contributor) {
	s.object(func(name []byte) {
		switch string(name) {
		case "sensor":
			c.Sensor = s.word()
		case "name":
			c.Name = s.word()
		case "names":
			s.odd = s.odd || c.Names != nil
			c.Names = make(map[string]string)
			s.object(func(language []byte) { c.Names[s.words.of(language)] = s.word() })
		case "value":
			c.Value = s.float32()
		case "unit":
			c.Unit = s.word()
		case "low":
			c.Low = s.float32()
		case "high":
			c.High = s.float32()
		case "direction":
			c.Direction = Direction(s.word())
		case "share":
			c.Share = s.float(64)
		default:
			s.odd = true
		}
	})
}

func (s *scanner) float32() *float32 {
	x := float32(s.float(32))
	return &x
}

func (s *scanner) life() *Life {
	l := new(Life)
	s.object(func(name []byte) {
		switch string(name) {
		case "low":
			l.Low = s.float(64)
		case "median":
			l.Median = s.float(64)
		case "high":
			l.High = s.float(64)
		case "coverage":
			l.Coverage = s.float(64)
		case "unit":
			l.Unit = s.word()
		case "beyond":
			l.Beyond = s.bool()
		default:
			s.odd = true
		}
	})
	return l
}

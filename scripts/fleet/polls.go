package main

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/localcloud"
)

const (
	// peakWindow is that in which the busiest time is looked for: of 11 looks a second, chance alone makes one second in a thousand
	// have more than twice as many.
	peakWindow = 10
	aimPeak    = 2.0 // times the mean
	manifestAt = "models/fleet/" + envelope.EnvelopeFile
)

// pollsReport is how cores look for models.
type pollsReport struct {
	Cores   int          `json:"cores"`
	PollS   float64      `json:"poll_s"`
	Asked   int          `json:"asked"`   // looks of the power cut's first round that were real requests
	Answers int          `json:"answers"` // of them, that the cloud answered as it should
	Phases  []phaseStats `json:"phases"`
	Rollout rollout      `json:"rollout"`
}

// phaseStats are looks a second, real or simulated.
type phaseStats struct {
	Name  string  `json:"name"`
	Looks int     `json:"looks"`
	Mean  float64 `json:"mean"`
	Peak  float64 `json:"peak"` // in the busiest ten seconds
	Ratio float64 `json:"ratio"`
}

// core is a core's fetcher: its own schedule, and when it looks next.
type core struct {
	schedule fetcher.Schedule
	next     time.Duration
	started  bool // it has looked since the power cut
}

// queueOf is the cores by their next look.
type queueOf []*core

func (q queueOf) Len() int           { return len(q) }
func (q queueOf) Less(i, j int) bool { return q[i].next < q[j].next }
func (q queueOf) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queueOf) Push(x any)        { *q = append(*q, x.(*core)) }
func (q *queueOf) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// simulate lets all cores start at the same moment, as after a power cut, and look. The cloud is away between two times. look is called
// for the first look of each core.
func simulate(n int, poll, away, back, end time.Duration, random func() float64, look func() error) (counts []int, err error) {
	counts = make([]int, int(end/time.Second)+1)
	q := make(queueOf, n)
	for i := range q {
		q[i] = &core{schedule: fetcher.Schedule{Poll: poll, Rand: random}}
		q[i].next = q[i].schedule.First(true)
	}
	heap.Init(&q)
	for q[0].next < end {
		c := q[0]
		counts[int(c.next/time.Second)]++
		if !c.started {
			c.started = true
			if err := look(); err != nil {
				return counts, err
			}
		}
		if c.next >= away && c.next < back {
			c.next += c.schedule.Failed()
		} else {
			c.next += c.schedule.Next()
		}
		heap.Fix(&q, 0)
	}
	return counts, nil
}

// stats are those of a span of counts by the second.
func stats(name string, counts []int, from, to, poll time.Duration, cores int) phaseStats {
	s := phaseStats{Name: name, Mean: round(float64(cores)/poll.Seconds(), 2)}
	first, last := int(from/time.Second), min(int(to/time.Second), len(counts))
	window := 0
	for i := first; i < last; i++ {
		s.Looks += counts[i]
		window += counts[i]
		if i >= first+peakWindow {
			window -= counts[i-peakWindow]
		}
		s.Peak = max(s.Peak, float64(window)/peakWindow)
	}
	s.Ratio = round(s.Peak/s.Mean, 2)
	return s
}

// measurePolls lets ten thousand cores look for a model.
func (r *report) measurePolls(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cloud, err := localcloud.New(localcloud.Options{Dir: filepath.Join(dir, "cloud"), Publish: func(string, []byte) error { return nil }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close(context.WithoutCancel(ctx))) }()
	if err := cloud.Start(ctx); err != nil {
		return err
	}
	text := []byte("nobody has to understand it: it is known already")
	ends, client := cloud.Endpoints(), cloud.S3()
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(ends.Bucket), Key: aws.String(manifestAt), Body: bytes.NewReader(text)}); err != nil {
		return fmt.Errorf("publish a manifest: %w", err)
	}
	loader := &download.Downloader{Source: client}
	_, known, err := loader.Get(ctx, ends.Bucket, manifestAt, "", envelope.MaxEnvelope)
	if err != nil {
		return err
	}
	p := &pollsReport{Cores: o.cores, PollS: o.poll.Seconds()}
	r.Polls = p
	say(out, "%d cores start at the same moment, and look each %v of simulated time; the first look of each asks the cloud", o.cores, o.poll)
	away, back, end := 3*o.poll, 4*o.poll, 7*o.poll
	random := rand.New(rand.NewPCG(seed, seed)).Float64
	counts, err := simulate(o.cores, o.poll, away, back, end, random, func() error {
		p.Asked++
		_, _, err := loader.Get(ctx, ends.Bucket, manifestAt, known, envelope.MaxEnvelope)
		if !errors.Is(err, download.ErrUnchanged) {
			return fmt.Errorf("look at what is known: %w", err)
		}
		p.Answers++
		return nil
	})
	if err != nil {
		return err
	}
	p.Phases = []phaseStats{
		stats("after the power cut", counts, 0, 2*o.poll, o.poll, o.cores),
		stats("usual", counts, 2*o.poll, away, o.poll, o.cores),
		stats("while the cloud is away", counts, away, back, o.poll, o.cores),
		stats("after the outage", counts, back, end, o.poll, o.cores),
	}
	if p.Rollout, err = rollOut(ctx, cloud, o.cores, dir); err != nil {
		return err
	}
	p.print(out)
	return p.judge()
}

func (p *pollsReport) print(out io.Writer) {
	say(out, "\nlooks a second, on average and in the busiest %d seconds:", peakWindow)
	for _, s := range p.Phases {
		say(out, "  %-24s %7d looks, mean %6.2f, peak %6.2f: %.2f times", s.Name, s.Looks, s.Mean, s.Peak, s.Ratio)
	}
	say(out, "%d of %d first looks were answered by the cloud", p.Answers, p.Asked)
	p.Rollout.print(out)
}

// judge returns which aims were missed.
func (p *pollsReport) judge() error {
	var errs []error
	for _, s := range p.Phases {
		if s.Looks == 0 || s.Ratio > aimPeak {
			errs = append(errs, fmt.Errorf("%s: %d looks, the busiest time has %.2f times the mean, the aim is %.0f", s.Name, s.Looks, s.Ratio, aimPeak))
		}
	}
	if p.Asked != p.Cores || p.Answers != p.Asked {
		errs = append(errs, fmt.Errorf("%d of %d cores looked, and %d were answered", p.Asked, p.Cores, p.Answers))
	}
	return errors.Join(append(errs, p.Rollout.judge(p.Cores))...)
}

package voice

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	rtpRate    = 8000                  // samples a second of G.711
	rtpPacket  = 20 * time.Millisecond // packetization time, RFC 3551's default
	rtpSamples = rtpRate / 50
	rtpHeader  = 12
	rtpLate    = 200 * time.Millisecond // behind schedule: the machine slept, and the rest is sent at its own pace
)

// RTP is a sink that sends G.711 µ-law (payload type 0, RFC 3551) over RTP (RFC 3550) to paging speakers, in packets of
// 20 ms. The address is that of a multicast group, or of one speaker.
type RTP struct {
	address netip.AddrPort
	ttl     int
	link    string // network interface; "": the system chooses
	ssrc    uint32
	seq     uint16
	stamp   uint32    // of the next packet
	last    time.Time // when the last one was sent
}

// NewRTP returns a sink to an IPv4 address. ttl is how many routers multicast passes; link names a network interface, or is empty.
func NewRTP(address netip.AddrPort, ttl int, link string) *RTP {
	return &RTP{address: address, ttl: ttl, link: link, ssrc: rand.Uint32(), seq: uint16(rand.Uint32()), stamp: rand.Uint32()}
}

// Name is the address.
func (r *RTP) Name() string { return "rtp://" + r.address.String() }

// Play sends the clip at the pace at which it is heard. It is called by one goroutine at a time.
func (r *RTP) Play(ctx context.Context, clip Clip) error {
	conn, err := r.dial(ctx)
	if err != nil {
		return fmt.Errorf("open %s: %w", r.Name(), err)
	}
	defer func() { _ = conn.Close() }()
	samples := clip.Resampled(rtpRate).Samples
	if !r.last.IsZero() { // the clock of the stream goes on while nothing is sent: a receiver would take what follows for late
		r.stamp += uint32(max(time.Since(r.last)-rtpPacket, 0) / (time.Second / rtpRate))
	}
	packet := make([]byte, rtpHeader+rtpSamples)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next, first := time.Now(), true; len(samples) > 0; first = false {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		n := min(len(samples), rtpSamples)
		r.fill(packet, samples[:n], first)
		samples = samples[n:]
		if _, err := conn.Write(packet); err != nil {
			return fmt.Errorf("send to %s: %w", r.Name(), err)
		}
		r.last = time.Now()
		if next = next.Add(rtpPacket); time.Since(next) > rtpLate {
			next = time.Now()
		}
		timer.Reset(time.Until(next))
	}
	return nil
}

// fill makes the next packet. The first one of an announcement carries the marker bit: a speaker adjusts its buffer there.
func (r *RTP) fill(packet []byte, samples []int16, first bool) {
	const version, payloadPCMU, marker = 2 << 6, 0, 0x80
	packet[0], packet[1] = version, payloadPCMU
	if first {
		packet[1] |= marker
	}
	binary.BigEndian.PutUint16(packet[2:], r.seq)
	binary.BigEndian.PutUint32(packet[4:], r.stamp)
	binary.BigEndian.PutUint32(packet[8:], r.ssrc)
	body := packet[rtpHeader:]
	for i := range body {
		body[i] = ulawSilence
		if i < len(samples) {
			body[i] = ulaw(samples[i])
		}
	}
	r.seq++
	r.stamp += rtpSamples
}

func (r *RTP) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp4", r.address.String())
	if err != nil || !r.address.Addr().IsMulticast() {
		return conn, err
	}
	if err := r.route(ipv4.NewPacketConn(conn.(*net.UDPConn))); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// route sets how multicast leaves. The interface is looked up each time: it may come later than this program.
func (r *RTP) route(group *ipv4.PacketConn) error {
	if err := group.SetMulticastTTL(r.ttl); err != nil || r.link == "" {
		return err
	}
	link, err := net.InterfaceByName(r.link)
	if err != nil {
		return fmt.Errorf("find network interface %s: %w", r.link, err)
	}
	return group.SetMulticastInterface(link)
}

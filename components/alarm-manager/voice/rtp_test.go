package voice

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// heard is what a paging speaker makes of the packets that it receives until none comes.
type heard struct {
	codes []byte
	stamp uint32 // of the first packet
}

// listen receives one announcement, and checks each packet's header.
func listen(t *testing.T, conn net.PacketConn) (h heard) {
	t.Helper()
	b := make([]byte, 2000)
	var seq uint16
	var stamp, ssrc uint32
	for wait := 10 * time.Second; ; wait = time.Second {
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		n, _, err := conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return h
		}
		if err != nil {
			t.Fatal(err)
		}
		p := b[:n]
		if n != rtpHeader+rtpSamples || p[0] != 0x80 || p[1]&0x7F != 0 {
			t.Fatalf("packet of %d bytes begins with %x", n, p[:2])
		}
		thisSeq, thisStamp, thisSSRC := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
		if len(h.codes) > 0 && (thisSeq != seq+1 || thisStamp != stamp+rtpSamples || thisSSRC != ssrc) {
			t.Fatalf("packet %d at %d of %x follows %d at %d of %x", thisSeq, thisStamp, thisSSRC, seq, stamp, ssrc)
		}
		if marked := p[1]&0x80 != 0; marked != (len(h.codes) == 0) {
			t.Errorf("marker bit of packet %d is %v", len(h.codes)/rtpSamples, marked)
		}
		if len(h.codes) == 0 {
			h.stamp = thisStamp
		}
		seq, stamp, ssrc = thisSeq, thisStamp, thisSSRC
		h.codes = append(h.codes, p[rtpHeader:]...)
	}
}

// A receiver that rebuilds the sound from the packets has the clip, to one speaker and to a multicast group.
func TestRTP(t *testing.T) {
	clip := tone(22_050, 440, 10_000)
	clip.Samples = clip.Samples[:22_050*31/100] // 15 packets and a half
	want := clip.Resampled(rtpRate).Samples
	for name, open := range map[string]func(*testing.T) (net.PacketConn, *RTP){"speaker": openSpeaker, "group": openGroup} {
		t.Run(name, func(t *testing.T) {
			conn, sink := open(t)
			done := make(chan error, 1)
			go func() { done <- sink.Play(t.Context(), clip) }()
			h := listen(t, conn)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if len(h.codes) != 16*rtpSamples {
				t.Fatalf("received %d samples of %d", len(h.codes), len(want))
			}
			levels := ulawLevels()
			for i, code := range h.codes {
				sent := int16(0)
				if i < len(want) {
					sent = want[i]
				}
				if ulaw(int16(levels[code])) != ulaw(sent) && ulaw(sent) != ulawSilence {
					t.Fatalf("sample %d is %d, sent was %d", i, levels[code], sent)
				}
			}
		})
	}
}

func openSpeaker(t *testing.T) (net.PacketConn, *RTP) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, NewRTP(conn.LocalAddr().(*net.UDPAddr).AddrPort(), 1, "")
}

func openGroup(t *testing.T) (net.PacketConn, *RTP) {
	t.Helper()
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skipf("no loopback interface: %v", err)
	}
	group := net.IPv4(239, 255, 77, 78)
	conn, err := net.ListenMulticastUDP("udp4", loopback, &net.UDPAddr{IP: group})
	if err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := ipv4.NewPacketConn(conn).SetMulticastLoopback(true); err != nil {
		t.Skipf("no multicast here: %v", err)
	}
	port := conn.LocalAddr().(*net.UDPAddr).Port
	return conn, NewRTP(netip.AddrPortFrom(netip.AddrFrom4([4]byte(group.To4())), uint16(port)), 1, "lo")
}

func TestRTPNeedsItsInterface(t *testing.T) {
	sink := NewRTP(netip.MustParseAddrPort("239.1.1.1:5004"), 1, "no-such-link")
	if err := sink.Play(t.Context(), clipOfSilence()); err == nil {
		t.Error("an interface that does not exist is taken")
	}
}

// The clock of the stream goes on between two announcements (RFC 3550, 5.1): a receiver would take the second one for late.
func TestRTPClockGoesOn(t *testing.T) {
	conn, sink := openSpeaker(t)
	play := func() heard {
		done := make(chan error, 1)
		go func() { done <- sink.Play(t.Context(), clipOfSilence()) }()
		h := listen(t, conn) // ends a second after the last packet
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, begun := play(), time.Now()
	second := play()
	least, most := uint32(7700), uint32((time.Since(begun)+time.Second)/(time.Second/rtpRate))
	if gap := second.stamp - first.stamp - uint32(len(first.codes)); gap < least || gap > most {
		t.Errorf("the clock went on by %d between two announcements, want %d to %d", gap, least, most)
	}
}

func clipOfSilence() Clip { return Clip{Rate: rtpRate, Samples: make([]int16, 3*rtpSamples)} }

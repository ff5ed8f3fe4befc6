package ipc

const (
	slabSize  = 32 << 10 // bytes
	slabShare = 8        // a piece over slabSize/slabShare is allocated by itself
)

// slab hands out pieces of memory that are allocated many at a time. A piece is never handed out twice: the garbage
// collector frees a slab once all its pieces are unused.
type slab struct {
	free []byte
}

func (s *slab) take(n int) []byte {
	if n > slabSize/slabShare {
		return make([]byte, n)
	}
	if n > len(s.free) {
		s.free = make([]byte, slabSize)
	}
	piece := s.free[:n:n]
	s.free = s.free[n:]
	return piece
}

package alarms

import "math/bits"

// vote is a k-of-n vote with hysteresis (promise A1): of the last Window rows at least Votes must be at or above the raise
// level to raise the alarm, and at least Votes at or below the clear level to end it. Rows between the levels vote for
// neither.
type vote struct {
	high, low uint64 // the last rows' votes, the newest in bit 0
	raised    bool
}

// add takes the newest row and tells whether the alarm changes.
func (v *vote) add(probability, raise, clear float64, votes, window int) (changed bool) {
	mask := uint64(1)<<window - 1 // of all bits for window 64, as a shift by 64 gives 0
	v.high = (v.high<<1 | bit(probability >= raise)) & mask
	v.low = (v.low<<1 | bit(probability <= clear)) & mask
	side := v.high
	if v.raised {
		side = v.low
	}
	if bits.OnesCount64(side) < votes {
		return false
	}
	*v = vote{raised: !v.raised} // the votes are spent: the opposite needs votes of its own
	return true
}

// forget takes back the votes.
func (v *vote) forget() { *v = vote{raised: v.raised} }

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

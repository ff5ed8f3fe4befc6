package voice

import "math/bits"

const (
	ulawBias = 33 // of 14-bit values
	ulawClip = 8158
	// ulawSilence is the code of a sample of 0.
	ulawSilence = 0xFF
)

// ulaw returns a sample's code in G.711 µ-law (ITU-T G.711, table 2a): sign, exponent and mantissa of its 14 upper bits, inverted.
func ulaw(s int16) byte {
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = ^v, 0x80
	}
	v = min(v>>2, ulawClip) + ulawBias
	exponent := bits.Len(uint(v)) - 6 // v is between 2^5 and 2^13
	mantissa := byte(v>>(exponent+1)) & 0x0F
	return ^(sign | byte(exponent)<<4 | mantissa)
}

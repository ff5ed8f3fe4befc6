package gbdt

import "math"

// logf is the natural logarithm in float32 as the C library's logf gives it, which XGBoost calls for base scores: rounding
// math.Log's float64 differs from that in the last bit for one argument in 5,000. The algorithm and its constants, from Arm
// Optimized Routines, are those of glibc since 2.27 and of musl: x = 2^k z with z near 1, and ln x = k ln 2 + ln c + ln(z/c)
// with a table for c and a polynomial in z/c - 1. The conversions keep arm64 from fusing products and sums; the float32
// result is the same for every argument whether they are fused or not.
func logf(x float32) float32 {
	const (
		ln2 = 0x1.62e42fefa39efp-1
		c4  = -0x1.00ea348b88334p-2
		c3  = 0x1.5575b0be00b6ap-2
		c2  = -0x1.ffffef20a4123p-2
		low = 0x3f330000 // the bits of the least z
	)
	bits := math.Float32bits(x)
	switch {
	case x != x || x < 0:
		return float32(math.NaN())
	case x == 0:
		return float32(math.Inf(-1))
	case x == 1 || x > math.MaxFloat32:
		return x - 1
	case bits < 1<<23: // subnormal
		bits = math.Float32bits(x*(1<<23)) - 23<<23
	}
	offset := bits - low
	k := float64(int32(offset) >> 23)
	z := float64(math.Float32frombits(bits - offset&(0x1ff<<23)))
	inverse, log := logTable(offset >> 19)
	r := float64(z*inverse) - 1
	square := float64(r * r)
	high := float64(c4*square) + (float64(c3*r) + c2)
	return float32(float64(high*square) + (log + float64(k*ln2) + r))
}

// logTable returns 1/c and ln c for the interval of z that an offset's lowest four bits number.
func logTable(i uint32) (inverse, log float64) {
	entry := [16][2]float64{
		{0x1.661ec79f8f3bep+0, -0x1.57bf7808caadep-2}, {0x1.571ed4aaf883dp+0, -0x1.2bef0a7c06ddbp-2},
		{0x1.49539f0f010bp+0, -0x1.01eae7f513a67p-2}, {0x1.3c995b0b80385p+0, -0x1.b31d8a68224e9p-3},
		{0x1.30d190c8864a5p+0, -0x1.6574f0ac07758p-3}, {0x1.25e227b0b8eap+0, -0x1.1aa2bc79c81p-3},
		{0x1.1bb4a4a1a343fp+0, -0x1.a4e76ce8c0e5ep-4}, {0x1.12358f08ae5bap+0, -0x1.1973c5a611cccp-4},
		{0x1.0953f419900a7p+0, -0x1.252f438e10c1ep-5}, {0x1p+0, 0x0p+0},
		{0x1.e608cfd9a47acp-1, 0x1.aa5aa5df25984p-5}, {0x1.ca4b31f026aap-1, 0x1.c5e53aa362eb4p-4},
		{0x1.b2036576afce6p-1, 0x1.526e57720db08p-3}, {0x1.9c2d163a1aa2dp-1, 0x1.bc2860d22477p-3},
		{0x1.886e6037841edp-1, 0x1.1058bc8a07ee1p-2}, {0x1.767dcf5534862p-1, 0x1.4043057b6ee09p-2},
	}[i%16]
	return entry[0], entry[1]
}

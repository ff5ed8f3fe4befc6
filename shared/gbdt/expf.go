package gbdt

import "math"

// expf is e^x in float32 as the C library's expf gives it, which XGBoost calls: rounding math.Exp's float64 differs from
// that in the last bit for one argument in 1,700. The algorithm and its constants, from Arm Optimized Routines, are those of
// glibc since 2.27 and of musl: x = (k + r) ln 2 / 32 with whole k and |r| <= 1/2, and e^x = 2^(k/32) 2^(r/32) with a table
// for the first factor and a cubic for the second. All of it is in float64, so that one rounding is left to float32. Products
// are added with one rounding (FMA), as in the variant that glibc takes where the CPU can; without it 2 of all arguments give
// another float32. Every platform gives the same bits.
func expf(x float32) float32 {
	const (
		perLn2 = 32 * 0x1.71547652b82fep0 // 32 / ln 2
		shift  = 0x1.8p52                 // adding it leaves a whole number in the lowest bits
		c1     = 0x1.62e42ff0c52d6p-1 / 32
		c2     = 0x1.ebfce50fac4f3p-3 / 32 / 32
		c3     = 0x1.c6af84b912394p-5 / 32 / 32 / 32
	)
	switch {
	case x != x:
		return x
	case x > 0x1.62e42ep6: // ln of the largest float32
		return float32(math.Inf(1))
	case x < -0x1.9fe368p6: // ln of half the smallest
		return 0
	}
	shifted := math.FMA(perLn2, float64(x), shift)
	k := math.Float64bits(shifted)
	r := math.FMA(perLn2, float64(x), shift-shifted)
	scale := math.Float64frombits(math.Float64bits(exp2Table(k)) + k>>5<<52)
	high, low := math.FMA(c3, r, c2), math.FMA(c1, r, 1)
	return float32(math.FMA(high, float64(r*r), low) * scale)
}

// exp2Table returns 2^((k mod 32)/32), rounded to nearest.
func exp2Table(k uint64) float64 {
	return [32]float64{
		1.0, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237,
		1.0905077326652577, 1.1143867425958924, 1.1387886347566916, 1.1637248587775775,
		1.189207115002721, 1.215247359980469, 1.241857812073484, 1.2690509571917332,
		1.2968395546510096, 1.3252366431597413, 1.3542555469368927, 1.383909881963832,
		1.4142135623730951, 1.4451808069770467, 1.4768261459394993, 1.5091644275934228,
		1.5422108254079407, 1.5759808451078865, 1.6104903319492543, 1.645755478153965,
		1.681792830507429, 1.718619298122478, 1.7562521603732995, 1.7947090750031072,
		1.8340080864093424, 1.8741676341103, 1.9152065613971474, 1.9571441241754002,
	}[k%32]
}

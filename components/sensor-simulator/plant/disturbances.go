package plant

import (
	"math"
	"math/rand/v2"
)

// disturbances are the weather, the mains and the factory that takes the air. No fault reaches them.
type disturbances struct {
	ambient  float64        // °C
	humidity float64        // % relative
	baro     float64        // mbar
	supply   float64        // mains voltage, relative to nominal
	take     float64        // all lines' demand at 7 bar, m³/min
	shares   [lines]float64 // how it divides

	roughness float64        // logarithm of how much rougher than usual the machine runs
	weather   float64        // °C away from the day's curve
	activity  float64        // m³/min away from the shift's usual demand
	sway      [lines]float64 // logarithm of how much more than usual a line takes
	pause     float64        // what is left of a pause in production, s
	calm      float64        // what the demand is multiplied by: falls to nearly nothing in a pause
}

func newDisturbances() disturbances {
	return disturbances{supply: 1, baro: 1008, calm: 1}
}

const (
	pauseEvery = 2.5 * 3600 // mean time between pauses in production, s
	pauseMean  = 15 * 60    // s
)

// shiftDemand returns the usual demand at a time of day, m³/min at 7 bar. A new load profile has a third shift.
func shiftDemand(hour, load float64) float64 {
	switch hour = math.Mod(hour, 24); {
	case hour < 6 || hour >= 22:
		return 2.6 + 5.9*load
	case hour < 14:
		return 10.5 - load
	default:
		return 9 + load
	}
}

// advance moves the disturbances on by dt seconds, to hour of a day (24 and more are the days after). load is the strength of
// LoadProfile.
func (s *disturbances) advance(dt, hour float64, b build, load float64, r *rand.Rand) {
	s.weather = wander(s.weather, 1.5, dt, 6*3600, r)
	s.activity = wander(s.activity, 1, dt, 12*60, r)
	s.roughness = wander(s.roughness, 0.1, dt, 15*60, r)
	s.supply = 1 + wander(s.supply-1, 0.008, dt, 20*60, r)
	s.baro = 1008 + wander(s.baro-1008, 4, dt, 12*3600, r)

	day := math.Sin(2 * math.Pi * (hour - 9) / 24) // highest at 15:00
	s.ambient = b.climate + 5*day + s.weather
	s.humidity = clamp(52-14*day-1.5*s.weather, 15, 98)

	s.pause -= dt
	if r.Float64() < dt/pauseEvery && s.pause <= 0 {
		s.pause = pauseMean * (0.5 + r.Float64())
	}
	calm := 1.
	if s.pause > 0 {
		calm = 0.06
	}
	s.calm = approach(s.calm, calm, dt, 90)
	s.take = clamp(b.demand*shiftDemand(hour, load)+s.activity, 0.8, 13.5) * s.calm

	sum := 0.
	for i := range s.shares {
		s.sway[i] = wander(s.sway[i], 0.1, dt, 40*60, r)
		s.shares[i] = b.shares[i] * math.Exp(s.sway[i]+load*loadShares[i])
		sum += s.shares[i]
	}
	for i := range s.shares {
		s.shares[i] /= sum
	}
}

// demanded returns what the consumers of a line take at 7 bar, m³/min.
func (s *disturbances) demanded(line int) float64 { return s.take * s.shares[line] }

// wander moves an Ornstein-Uhlenbeck process with standard deviation sd and time constant tau on by dt seconds: noise
// with a memory, whose spread does not depend on the step.
func wander(x, sd, dt, tau float64, r *rand.Rand) float64 {
	keep := math.Exp(-dt / tau)
	return x*keep + sd*math.Sqrt(1-keep*keep)*r.NormFloat64()
}

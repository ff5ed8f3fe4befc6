package plant

import "math"

// The operating states. Which one a machine is in follows from the pressure, as in a real load/unload control.
const (
	StateStopped   = "stopped"   // the motor stands; the receiver feeds the lines
	StateStarting  = "starting"  // the motor runs up, unloaded
	StateLoaded    = "loaded"    // it delivers air
	StateUnloading = "unloading" // the inlet has just closed, the vessel blows down
	StateIdle      = "idle"      // it runs without delivering
)

const (
	lines    = 4
	bearings = 6
	bands    = 8 // of vibration, upwards in frequency

	ratedSpeed = 2970. // rpm
	ratedPower = 82.   // loaded at 7 bar, kW
	ratedFlow  = 15.2  // free air, m³/min
	volume     = 16.   // receiver and pipes, m³
	loadBelow  = 6.6   // bar(g)
	idleAbove  = 7.4   // bar(g)

	startTime  = 12.      // s
	unloadTime = 25.      // s
	idleTime   = 4 * 60.  // without demand until the motor stops, s
	memory     = 60 * 60. // of the rolling histograms and rates, s
)

// conditions are what acts on the process from outside.
type conditions struct {
	*disturbances
	*build
	altered
	wear float64
	harm harm
}

// process is the machine's physical state. It holds no pointers: a copy is a snapshot.
type process struct {
	state   string
	inState float64 // s

	receiver float64 // bar(g)
	vessel   float64 // separator vessel, bar(g)
	speed    float64 // rpm
	valve    float64 // inlet valve, 0 closed … 1 open

	oil, airEnd, winding, cabinet, aftercooler float64           // °C
	bearing                                    [bearings]float64 // °C

	starts, cycles float64 // motor starts and load cycles, per hour, over the memory
	histograms     [histograms]histogram
}

func newProcess() process {
	p := process{
		state: StateLoaded, receiver: 7, vessel: 7.2, speed: ratedSpeed, valve: 1,
		oil: 68, airEnd: 80, winding: 75, cabinet: 30, aftercooler: 30,
	}
	for i := range p.bearing {
		p.bearing[i] = 65
	}
	return p
}

// advance moves the process on by dt seconds. Each quantity relaxes towards what the others demand, in closed form, so
// that it stays stable however long dt is.
func (p *process) advance(dt float64, c conditions) {
	decay := math.Exp(-dt / memory)
	p.starts *= decay
	p.cycles *= decay
	p.control(dt)
	p.drive(dt, c)
	p.heat(dt, c)
	p.record(dt, c)
}

// control is the compressor's controller.
func (p *process) control(dt float64) {
	p.inState += dt
	low, high := p.receiver < loadBelow, p.receiver > idleAbove
	switch {
	case p.state == StateStopped && low:
		p.enter(StateStarting)
		p.starts += 3600 / memory
	case p.state == StateStarting && p.inState >= startTime,
		(p.state == StateIdle || p.state == StateUnloading) && low:
		p.enter(StateLoaded)
		p.cycles += 3600 / memory
	case p.state == StateLoaded && high:
		p.enter(StateUnloading)
	case p.state == StateUnloading && p.inState >= unloadTime:
		p.enter(StateIdle)
	case p.state == StateIdle && p.inState >= idleTime:
		p.enter(StateStopped)
	}
}

func (p *process) enter(state string) { p.state, p.inState = state, 0 }

// drive moves motor, valve and air.
func (p *process) drive(dt float64, c conditions) {
	speed, valve, vessel := ratedSpeed*(1-0.004*p.valve), 0., 1.4
	switch p.state {
	case StateStopped:
		speed, vessel = 0, 0
	case StateLoaded:
		valve, vessel = 1, p.receiver+0.25+0.15*c.wear
	}
	p.speed = approach(p.speed, speed, dt, 4)
	p.valve = approach(p.valve, valve, dt, 1.5)
	p.vessel = approach(p.vessel, vessel, dt, 8)

	out := 0.
	for i := range lines {
		out += p.lineFlow(i, c)
	}
	p.receiver = clamp(p.receiver+(p.flow(c)-out)*dt/60/volume, 0, 7.8)
}

// flow returns the air delivered, m³/min.
func (p *process) flow(c conditions) float64 {
	return ratedFlow * p.valve * p.running() * (1 - 0.02*c.wear)
}

// lineFlow returns what a line takes, its leak included, m³/min. Consumers and leaks take less at a lower pressure.
func (p *process) lineFlow(line int, c conditions) float64 {
	return (c.demanded(line) + c.harm.leak[line]) * p.receiver / 7
}

// running returns the speed relative to its rating.
func (p *process) running() float64 { return p.speed / ratedSpeed }

// power returns the motor's electrical power, kW.
func (p *process) power(c conditions) float64 {
	drag := 0.
	for _, d := range c.harm.damage {
		drag += 0.03 * d
	}
	shaft := p.running() * (22 + 60*p.valve*(0.4+0.6*p.vessel/7.3)) * (1 + 0.02*c.wear + drag + 0.06*(c.thickness()-1))
	if p.state == StateStarting {
		shaft += 35 * (1 - p.running())
	}
	return 0.4 + shaft*c.friction
}

// fan returns the cooler fan's speed, 0…1.
func (p *process) fan() float64 {
	return clamp((p.oil-62)/20, 0, 1) * min(1, p.running())
}

// heat moves the temperatures.
func (p *process) heat(dt float64, c conditions) {
	load := p.power(c) / ratedPower
	open := 1 - c.harm.blocked
	thicker := c.thickness() - 1
	effectiveness := (0.62 + 0.38*p.fan()) * (1 - 0.1*c.wear) * c.cooling * open / (1 + 0.15*thicker)
	oil, slow := max(58, c.ambient+33*load/effectiveness), 9*60. // the thermostat holds 58 °C
	if p.running() < 0.1 {
		oil, slow = c.ambient, 70*60
	}
	p.oil = approach(p.oil, oil, dt, slow)
	p.airEnd = approach(p.airEnd, p.oil+15*p.valve*p.running()*(1+0.2*thicker), dt, 60)
	p.cabinet = approach(p.cabinet, c.ambient+8*load/(open*open), dt, 10*60)
	p.winding = approach(p.winding, p.cabinet+48*load*load, dt, 16*60)
	p.aftercooler = approach(p.aftercooler, c.ambient+9*p.flow(c)/ratedFlow/open, dt, 3*60)
	for i := range p.bearing {
		warm := 0.75*p.oil + 0.25*c.ambient + p.running()*(4+1.5*float64(i%3)+6*load+28*c.harm.damage[i]+5*thicker)
		p.bearing[i] = approach(p.bearing[i], warm, dt, 10*60)
	}
}

// bandGain is how strongly damage shows in each band: the rolling elements ring in the upper ones.
var bandGain = [bands]float64{0.1, 0.2, 0.5, 1.0, 1.6, 2.2, 2.4, 1.8}

// bandLevel and bearingLevel give a sound machine's vibration at full load, mm/s.
var (
	bandLevel    = [bands]float64{0.90, 0.60, 0.45, 0.35, 0.28, 0.22, 0.16, 0.10}
	bearingLevel = [bearings]float64{1.0, 0.8, 1.2, 1.1, 0.7, 1.3}
)

// vibration returns the level of each band at each bearing, mm/s.
func (p *process) vibration(c conditions) [bearings][bands]float64 {
	moved := p.running() * p.running() * (0.55 + 0.45*p.valve) * (1 + 0.2*c.wear) * math.Exp(c.roughness)
	var level [bearings][bands]float64
	damped := dampedBy(c.newOil)
	for i := range level {
		hurt := 0.
		if damage := c.harm.felt(i); damage > 0 {
			hurt = math.Pow(damage, 1.3)
		}
		for k := range level[i] {
			level[i][k] = moved * bearingLevel[i] * bandLevel[k] * c.vibration[i][k] * (1 + bandGain[k]*hurt) * damped[k]
		}
	}
	return level
}

// dampedBy returns what remains of each band in oil of a strength: a thicker film damps the upper ones.
func dampedBy(oil float64) (remains [bands]float64) {
	for k := range remains {
		remains[k] = 1
		if oil != 0 {
			remains[k] = math.Exp(-0.3 * thickening * oil * float64(k) / (bands - 1))
		}
	}
	return remains
}

// felt returns the damage that a bearing vibrates with: its own or, weaker, a neighbour's.
func (h *harm) felt(bearing int) float64 {
	felt := h.damage[bearing]
	if bearing > 0 {
		felt = max(felt, 0.3*h.damage[bearing-1])
	}
	if bearing < bearings-1 {
		felt = max(felt, 0.3*h.damage[bearing+1])
	}
	return felt
}

// rms returns the overall level of some bands, mm/s.
func rms(level [bands]float64) float64 {
	sum := 0.
	for _, v := range level {
		sum += v * v
	}
	return math.Sqrt(sum)
}

// approach relaxes x towards target over dt with time constant tau, all in seconds.
func approach(x, target, dt, tau float64) float64 {
	return target + (x-target)*math.Exp(-dt/tau)
}

func clamp(x, low, high float64) float64 { return min(max(x, low), high) }

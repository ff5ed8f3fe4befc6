package plant

import "math"

// driveSensors are those of motor and mains.
func driveSensors() []sensor {
	var s []sensor
	phase := [3]string{"l1", "l2", "l3"}
	for i, name := range phase {
		unequal := 1 + 0.006*float64(i-1)
		s = append(s, sensor{name: "motor_current_" + name, unit: "A", step: 0.1, noise: 0.2, spread: 0.012, gap: gapRate,
			value: func(o *observation) float64 { return o.current * unequal }})
	}
	for _, name := range phase {
		s = append(s, sensor{name: "motor_voltage_" + name, unit: "V", step: 0.1, noise: 0.8, gap: gapRate,
			value: func(o *observation) float64 { return 400 * o.supply }})
	}
	s = append(s,
		sensor{name: "motor_power", unit: "kW", step: 0.1, noise: 0.2, spread: 0.01, gap: gapRate,
			value: func(o *observation) float64 { return o.kW }},
		sensor{name: "motor_power_factor", step: 0.01, noise: 0.008, gap: gapRate,
			value: func(o *observation) float64 { return o.factor }},
		sensor{name: "motor_speed", unit: "rpm", step: 1, spread: 0.001, gap: gapRate,
			value: func(o *observation) float64 { return o.speed }},
		sensor{name: "motor_torque", unit: "Nm", step: 0.1, noise: 1, spread: 0.01, gap: gapRate,
			value: func(o *observation) float64 {
				if o.running() < 0.02 {
					return 0
				}
				return 9550 * 0.94 * o.kW / max(o.speed, 300)
			}},
	)
	for i, name := range [3]string{"u", "v", "w"} {
		s = append(s, sensor{name: "winding_temp_" + name, unit: "°C", step: 0.1, noise: 0.9, gap: gapRate,
			value: func(o *observation) float64 { return o.winding + 1.2*float64(i-1) }})
	}
	return append(s, sensor{name: "heatsink_temp", unit: "°C", step: 0.1, noise: 0.8, gap: gapRate,
		value: func(o *observation) float64 { return o.cabinet + 0.25*(o.winding-o.cabinet) }})
}

// pressureSensors are those of the air path and the oil circuit.
func pressureSensors() []sensor {
	s := []sensor{
		{name: "inlet_filter_dp", unit: "mbar", step: 0.1, noise: 0.4, spread: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return (8 + 22*o.wear) * math.Pow(o.air/ratedFlow, 1.8) }},
		{name: "vessel_pressure", unit: "bar", step: 0.01, noise: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return o.vessel }},
		{name: "separator_dp", unit: "bar", step: 0.001, noise: 0.008, gap: gapRate,
			value: func(o *observation) float64 { return (0.15 + 0.25*o.wear) * o.air / ratedFlow }},
		{name: "discharge_pressure", unit: "bar", step: 0.01, noise: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return max(o.receiver*o.valve, o.vessel-0.1) }},
		{name: "receiver_pressure", unit: "bar", step: 0.01, noise: 0.02, gap: gapRate,
			value: func(o *observation) float64 { return o.receiver }},
	}
	for i := range lines {
		s = append(s, sensor{name: numbered("line_pressure", i), unit: "bar", step: 0.01, noise: 0.04, gap: gapRate,
			value: func(o *observation) float64 { return o.linePressure(i) }})
	}
	return append(s,
		sensor{name: "dryer_dp", unit: "bar", step: 0.001, noise: 0.006, gap: gapRate,
			value: func(o *observation) float64 {
				taken := (o.flows[0] + o.flows[1] + o.flows[2] + o.flows[3]) / ratedFlow
				return (0.12 + 0.1*o.wear) * taken * taken
			}},
		sensor{name: "oil_pressure", unit: "bar", step: 0.01, noise: 0.04, gap: gapRate,
			value: func(o *observation) float64 { // hot oil is thin
				return o.running() * (0.9 + 0.55*o.vessel) * (1 - 0.006*(o.oil-68))
			}},
		sensor{name: "oil_filter_dp", unit: "bar", step: 0.001, noise: 0.02, gap: gapRate,
			value: func(o *observation) float64 {
				return o.running() * (0.3 + 0.5*o.wear + 0.15*o.damage()) * (1 - 0.008*(o.oil-68))
			}},
		sensor{name: "control_air_pressure", unit: "bar", step: 0.01, noise: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return min(6, o.receiver) }},
		sensor{name: "ambient_pressure", unit: "mbar", step: 0.1, noise: 1, gap: gapRate,
			value: func(o *observation) float64 { return o.baro }},
	)
}

// temperatureSensors are those of disturbances, air and oil.
func temperatureSensors() []sensor {
	celsius := func(name string, value func(o *observation) float64) sensor {
		return sensor{name: name, unit: "°C", step: 0.1, noise: 0.7, gap: gapRate, below: true, value: value}
	}
	s := []sensor{
		celsius("ambient_temp", func(o *observation) float64 { return o.ambient }),
		celsius("inlet_temp", func(o *observation) float64 { return 0.7*o.ambient + 0.3*o.cabinet }),
		celsius("airend_temp_1", func(o *observation) float64 { return o.airEnd }),
		celsius("airend_temp_2", func(o *observation) float64 { return o.airEnd - 2 }),
		celsius("oil_temp", func(o *observation) float64 { return o.oil }),
		celsius("oil_return_temp", func(o *observation) float64 { return o.oil - (1-o.harm.blocked)*(5+9*o.fan()) }),
		celsius("aftercooler_temp", func(o *observation) float64 { return o.aftercooler }),
		celsius("cabinet_temp", func(o *observation) float64 { return o.cabinet }),
		celsius("exhaust_temp", func(o *observation) float64 { return o.ambient + 0.35*(o.oil-o.ambient)*(0.5+0.5*o.fan()) }),
		celsius("dew_point", func(o *observation) float64 { return 3 + 0.45*(o.aftercooler-30) + 2*o.wear }),
	}
	s[len(s)-1].gap = 0.04 // an analyser, which rinses itself from time to time
	return s
}

// airSensors are those of the air that leaves, and of the leaks it leaves by.
func airSensors() []sensor {
	s := []sensor{{name: "air_flow", unit: "m³/min", step: 0.01, noise: 0.1, spread: 0.01, gap: gapRate,
		value: func(o *observation) float64 { return o.air }}}
	for i := range lines {
		s = append(s, sensor{name: numbered("line_flow", i), unit: "m³/min", step: 0.01, noise: 0.05, spread: 0.02, gap: gapRate,
			value: func(o *observation) float64 { return o.flows[i] }})
	}
	for i := range lines {
		s = append(s, sensor{name: numbered("leak_noise", i), unit: "dB", step: 0.1, noise: 1.5, gap: 0.01,
			value: func(o *observation) float64 { return o.leakNoise(i) }})
	}
	return s
}

// machineSensors are positions, analysers and counters.
func machineSensors() []sensor {
	return []sensor{
		{name: "inlet_valve_pos", unit: "%", step: 0.1, noise: 0.5, gap: gapRate,
			value: func(o *observation) float64 { return 100 * o.valve }},
		{name: "blowoff_valve_pos", unit: "%", step: 0.1, noise: 0.5, gap: gapRate,
			value: func(o *observation) float64 {
				if o.state == StateUnloading {
					return 100 * (1 - o.valve)
				}
				return 0
			}},
		{name: "thermostat_pos", unit: "%", step: 0.1, noise: 1, gap: gapRate,
			value: func(o *observation) float64 { return 100 * clamp((o.oil-55)/15, 0, 1) }},
		{name: "fan_speed", unit: "%", step: 0.1, noise: 2, gap: gapRate,
			value: func(o *observation) float64 { return 100 * o.fan() }},
		{name: "humidity", unit: "%", step: 0.1, noise: 1.5, gap: gapRate,
			value: func(o *observation) float64 { return o.humidity }},
		{name: "oil_particles", unit: "1/ml", step: 1, spread: 0.17, gap: 0.05,
			value: func(o *observation) float64 { return 140 + 100*o.wear + 400*o.damage() }},
		{name: "oil_carryover", unit: "mg/m³", step: 0.01, noise: 0.12, gap: 0.05,
			value: func(o *observation) float64 { return 1.2 + 0.9*o.wear + 0.03*max(0, o.oil-70) }},
		{name: "motor_starts", unit: "1/h", step: 0.01, gap: gapRate,
			value: func(o *observation) float64 { return o.starts }},
		{name: "load_cycles", unit: "1/h", step: 0.01, gap: gapRate,
			value: func(o *observation) float64 { return o.cycles }},
	}
}

package plant

import (
	"fmt"
	"math"
	"strings"
)

// driveSensors are those of motor and mains.
func driveSensors() []sensor {
	var s []sensor
	phase := [3]string{"l1", "l2", "l3"}
	for i, name := range phase {
		unequal := 1 + 0.006*float64(i-1)
		s = append(s, sensor{name: "motor_current_" + name,
			en: "motor current " + strings.ToUpper(name), de: "Motorstrom " + strings.ToUpper(name), group: "motor_current",
			unit: "A", step: 0.1, noise: 0.2, spread: 0.012, gap: gapRate,
			value: func(o *observation) float64 { return o.current * unequal }})
	}
	for _, name := range phase {
		s = append(s, sensor{name: "motor_voltage_" + name,
			en: "motor voltage " + strings.ToUpper(name), de: "Motorspannung " + strings.ToUpper(name), group: "motor_voltage",
			unit: "V", step: 0.1, noise: 0.8, gap: gapRate,
			value: func(o *observation) float64 { return 400 * o.supply }})
	}
	s = append(s,
		sensor{name: "motor_power", en: "motor power", de: "Motorleistung", unit: "kW", step: 0.1, noise: 0.2, spread: 0.01, gap: gapRate,
			value: func(o *observation) float64 { return o.kW }},
		sensor{name: "motor_power_factor", en: "power factor of the motor", de: "Leistungsfaktor des Motors", step: 0.01, noise: 0.008, gap: gapRate,
			value: func(o *observation) float64 { return o.factor }},
		sensor{name: "motor_speed", en: "motor speed", de: "Motordrehzahl", unit: "rpm", step: 1, spread: 0.001, gap: gapRate,
			value: func(o *observation) float64 { return o.speed }},
		sensor{name: "motor_torque", en: "motor torque", de: "Motordrehmoment", unit: "Nm", step: 0.1, noise: 1, spread: 0.01, gap: gapRate,
			value: func(o *observation) float64 {
				if o.running() < 0.02 {
					return 0
				}
				return 9550 * 0.94 * o.kW / max(o.speed, 300)
			}},
	)
	for i, name := range [3]string{"u", "v", "w"} {
		s = append(s, sensor{name: "winding_temp_" + name,
			en: "winding temperature " + strings.ToUpper(name), de: "Wicklungstemperatur " + strings.ToUpper(name), group: "winding_temp",
			unit: "°C", step: 0.1, noise: 0.9, gap: gapRate,
			value: func(o *observation) float64 { return o.winding + 1.2*float64(i-1) }})
	}
	return append(s, sensor{name: "heatsink_temp", en: "heat sink temperature", de: "Kühlkörpertemperatur",
		unit: "°C", step: 0.1, noise: 0.8, gap: gapRate,
		value: func(o *observation) float64 { return o.cabinet + 0.25*(o.winding-o.cabinet) }})
}

// pressureSensors are those of the air path and the oil circuit.
func pressureSensors() []sensor {
	s := []sensor{
		{name: "inlet_filter_dp", en: "pressure drop of the inlet filter", de: "Druckverlust des Ansaugfilters",
			unit: "mbar", step: 0.1, noise: 0.4, spread: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return (8 + 22*o.wear) * math.Pow(o.air/ratedFlow, 1.8) }},
		{name: "vessel_pressure", en: "separator vessel pressure", de: "Druck im Abscheidebehälter", unit: "bar", step: 0.01, noise: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return o.vessel }},
		{name: "separator_dp", en: "pressure drop of the oil separator", de: "Druckverlust des Ölabscheiders",
			unit: "bar", step: 0.001, noise: 0.008, gap: gapRate,
			value: func(o *observation) float64 { return (0.15 + 0.25*o.wear) * o.air / ratedFlow }},
		{name: "discharge_pressure", en: "discharge pressure", de: "Enddruck", unit: "bar", step: 0.01, noise: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return max(o.receiver*o.valve, o.vessel-0.1) }},
		{name: "receiver_pressure", en: "receiver pressure", de: "Behälterdruck", unit: "bar", step: 0.01, noise: 0.02, gap: gapRate,
			value: func(o *observation) float64 { return o.receiver }},
	}
	for i := range lines {
		s = append(s, sensor{name: numbered("line_pressure", i),
			en: fmt.Sprintf("pressure of air line %d", i+1), de: fmt.Sprintf("Druck in Luftleitung %d", i+1),
			unit: "bar", step: 0.01, noise: 0.04, gap: gapRate,
			value: func(o *observation) float64 { return o.linePressure(i) }})
	}
	return append(s,
		sensor{name: "dryer_dp", en: "pressure drop of the dryer", de: "Druckverlust des Trockners", unit: "bar", step: 0.001, noise: 0.006, gap: gapRate,
			value: func(o *observation) float64 {
				taken := (o.flows[0] + o.flows[1] + o.flows[2] + o.flows[3]) / ratedFlow
				return (0.12 + 0.1*o.wear) * taken * taken
			}},
		sensor{name: "oil_pressure", en: "oil pressure", de: "Öldruck", unit: "bar", step: 0.01, noise: 0.04, gap: gapRate,
			value: func(o *observation) float64 { // hot oil is thin
				return o.running() * (0.9 + 0.55*o.vessel) * (1 - 0.006*(o.oil-68)) * (1 + 0.25*(o.thickness()-1))
			}},
		sensor{name: "oil_filter_dp", en: "pressure drop of the oil filter", de: "Druckverlust des Ölfilters",
			unit: "bar", step: 0.001, noise: 0.02, gap: gapRate,
			value: func(o *observation) float64 {
				return o.running() * (0.3 + 0.5*o.wear + 0.15*o.damage()) * (1 - 0.008*(o.oil-68)) * o.thickness()
			}},
		sensor{name: "control_air_pressure", en: "control air pressure", de: "Steuerluftdruck", unit: "bar", step: 0.01, noise: 0.03, gap: gapRate,
			value: func(o *observation) float64 { return min(6, o.receiver) }},
		sensor{name: "ambient_pressure", en: "ambient pressure", de: "Umgebungsdruck", unit: "mbar", step: 0.1, noise: 1, gap: gapRate,
			value: func(o *observation) float64 { return o.baro }},
	)
}

// temperatureSensors are those of disturbances, air and oil.
func temperatureSensors() []sensor {
	celsius := func(name, en, de string, value func(o *observation) float64) sensor {
		return sensor{name: name, en: en, de: de, unit: "°C", step: 0.1, noise: 0.7, gap: gapRate, below: true, value: value}
	}
	s := []sensor{
		celsius("ambient_temp", "ambient temperature", "Umgebungstemperatur", func(o *observation) float64 { return o.ambient }),
		celsius("inlet_temp", "inlet temperature", "Ansaugtemperatur", func(o *observation) float64 { return 0.7*o.ambient + 0.3*o.cabinet }),
		celsius("airend_temp_1", "air end temperature 1", "Verdichtertemperatur 1", func(o *observation) float64 { return o.airEnd }),
		celsius("airend_temp_2", "air end temperature 2", "Verdichtertemperatur 2", func(o *observation) float64 { return o.airEnd - 2 }),
		celsius("oil_temp", "oil temperature", "Öltemperatur", func(o *observation) float64 { return o.oil }),
		celsius("oil_return_temp", "oil return temperature", "Ölrücklauftemperatur",
			func(o *observation) float64 { return o.oil - (1-o.harm.blocked)*(5+9*o.fan()) }),
		celsius("aftercooler_temp", "aftercooler temperature", "Nachkühlertemperatur", func(o *observation) float64 { return o.aftercooler }),
		celsius("cabinet_temp", "cabinet temperature", "Gehäusetemperatur", func(o *observation) float64 { return o.cabinet }),
		celsius("exhaust_temp", "temperature of the cooling air", "Kühlluft-Austrittstemperatur",
			func(o *observation) float64 { return o.ambient + 0.35*(o.oil-o.ambient)*(0.5+0.5*o.fan()) }),
		celsius("dew_point", "dew point", "Taupunkt", func(o *observation) float64 { return 3 + 0.45*(o.aftercooler-30) + 2*o.wear }),
	}
	s[2].group, s[3].group = "airend_temp", "airend_temp"
	s[len(s)-1].gap = 0.04 // an analyser, which rinses itself from time to time
	return s
}

// airSensors are those of the air that leaves, and of the leaks it leaves by.
func airSensors() []sensor {
	s := []sensor{{name: "air_flow", en: "air flow", de: "Volumenstrom", unit: "m³/min", step: 0.01, noise: 0.1, spread: 0.01, gap: gapRate,
		value: func(o *observation) float64 { return o.air }}}
	for i := range lines {
		s = append(s, sensor{name: numbered("line_flow", i),
			en: fmt.Sprintf("flow of air line %d", i+1), de: fmt.Sprintf("Volumenstrom in Luftleitung %d", i+1),
			unit: "m³/min", step: 0.01, noise: 0.05, spread: 0.02, gap: gapRate,
			value: func(o *observation) float64 { return o.flows[i] }})
	}
	for i := range lines {
		s = append(s, sensor{name: numbered("leak_noise", i),
			en: fmt.Sprintf("leak noise at air line %d", i+1), de: fmt.Sprintf("Leckgeräusch an Luftleitung %d", i+1),
			unit: "dB", step: 0.1, noise: 1.5, gap: 0.01,
			value: func(o *observation) float64 { return o.leakNoise(i) }})
	}
	return s
}

// machineSensors are positions, analysers and counters.
func machineSensors() []sensor {
	return []sensor{
		{name: "inlet_valve_pos", en: "inlet valve position", de: "Stellung des Ansaugventils", unit: "%", step: 0.1, noise: 0.5, gap: gapRate,
			value: func(o *observation) float64 { return 100 * o.valve }},
		{name: "blowoff_valve_pos", en: "blow-off valve position", de: "Stellung des Abblaseventils", unit: "%", step: 0.1, noise: 0.5, gap: gapRate,
			value: func(o *observation) float64 {
				if o.state == StateUnloading {
					return 100 * (1 - o.valve)
				}
				return 0
			}},
		{name: "thermostat_pos", en: "thermostat position", de: "Stellung des Thermostatventils", unit: "%", step: 0.1, noise: 1, gap: gapRate,
			value: func(o *observation) float64 { return 100 * clamp((o.oil-55)/15, 0, 1) }},
		{name: "fan_speed", en: "fan speed", de: "Lüfterdrehzahl", unit: "%", step: 0.1, noise: 2, gap: gapRate,
			value: func(o *observation) float64 { return 100 * o.fan() }},
		{name: "humidity", en: "air humidity", de: "Luftfeuchte", unit: "%", step: 0.1, noise: 1.5, gap: gapRate,
			value: func(o *observation) float64 { return o.humidity }},
		{name: "oil_particles", en: "particles in the oil", de: "Partikel im Öl", unit: "1/ml", step: 1, spread: 0.17, gap: 0.05,
			value: func(o *observation) float64 {
				return 140*math.Exp(-cleaning*math.Abs(o.newOil)) + 100*o.wear + 400*o.damage()
			}},
		{name: "oil_carryover", en: "oil carry-over", de: "Restölgehalt der Luft", unit: "mg/m³", step: 0.01, noise: 0.12, gap: 0.05,
			value: func(o *observation) float64 {
				return (1.2 + 0.9*o.wear + 0.03*max(0, o.oil-70)) * (1 - 0.25*(o.thickness()-1))
			}},
		{name: "motor_starts", en: "motor starts", de: "Motorstarts", unit: "1/h", step: 0.01, gap: gapRate,
			value: func(o *observation) float64 { return o.starts }},
		{name: "load_cycles", en: "load cycles", de: "Lastwechsel", unit: "1/h", step: 0.01, gap: gapRate,
			value: func(o *observation) float64 { return o.cycles }},
	}
}

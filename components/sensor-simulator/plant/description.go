package plant

import "edgepdm/shared/modelstore/envelope"

// groupNames are how people call the groups of sensors, and which value a group has: by the group's name.
func groupNames() map[string]groupName {
	names := map[string]groupName{
		"motor_current": {"motor current", "Motorstrom", envelope.GroupMean},
		"motor_voltage": {"motor voltage", "Motorspannung", envelope.GroupMean},
		"winding_temp":  {"winding temperature", "Wicklungstemperatur", envelope.GroupMean},
		"airend_temp":   {"air end temperature", "Verdichtertemperatur", envelope.GroupMean},
	}
	for b := range bearings {
		name := nameOf(b)
		names[name.bands()] = groupName{"strongest vibration band of the " + name.en, "stärkstes Schwingungsband im " + name.de, envelope.GroupMax}
	}
	for h := range histograms {
		a := axis(h)
		names[a.name] = groupName{"distribution of the " + a.en, "Verteilung: " + a.de, ""}
	}
	return names
}

type groupName struct{ en, de, value string }

// Description says how people call the sensors, in English and German, in which units they measure, and which of them tell of
// one thing: for the manifest of a model that is trained on them.
func Description() envelope.Description {
	d := envelope.Description{Display: make(map[string]envelope.Display)}
	names := groupNames()
	places := make(map[string]int)
	for _, s := range sensorTable() {
		d.Display[s.name] = display(s.en, s.de, s.unit)
		if s.group == "" {
			continue
		}
		at, known := places[s.group]
		if !known {
			name := names[s.group]
			unit := s.unit
			if name.value == "" {
				unit = ""
			}
			at = len(d.Groups)
			places[s.group] = at
			d.Groups = append(d.Groups, envelope.Group{Name: s.group, Value: name.value})
			d.Display[s.group] = display(name.en, name.de, unit)
		}
		d.Groups[at].Features = append(d.Groups[at].Features, s.name)
	}
	return d
}

func display(en, de, unit string) envelope.Display {
	return envelope.Display{Name: en, Names: map[string]string{"de": de}, Unit: unit}
}

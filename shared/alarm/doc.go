// Package alarm manages alarms as ISA-18.2 and IEC 62682 have it, under the names of OPC UA Part 9 where it has one: what is observed
// becomes an alarm (votes, delays), people acknowledge, shelve and take out of service, causes suppress their consequences, and
// floods are summed up.
//
// A System is given observations, commands and ticks, each with the time, and returns changes: events for the list and the audit,
// of which some are announced. It has no goroutine, no file and no clock of its own.
package alarm

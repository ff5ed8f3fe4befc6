// Package voice speaks alarms on the factory floor: a queue by priority, sources that turn a text into sound, and sinks that
// make it heard. It knows nothing of Greengrass and of alarm states: the alarm manager says what is to be spoken, and when it
// is to be quiet. It is no life-safety system: nobody may depend on it for an evacuation (EN 54-16, NFPA 72).
//
// One announcement is spoken at a time. One of higher priority interrupts it; what was interrupted is spoken from its start
// afterwards. An announcement with Repeat is spoken until Silence is called with its key. Nothing here makes a caller wait: a
// sink that hangs or fails is reported, and holds up neither an alarm nor another sink.
package voice

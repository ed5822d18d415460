package blindspot

import "github.com/gatewatch/gatewatch/detector/alert"

// Advice says of a cause in plain words what happened and what to do.
func Advice(cause alert.Cause) string {
	switch cause {
	case alert.Lag:
		return "Telemetry was read later than blind_spots.lag allows: alerts of this time came late, none is missing. " +
			"Look for sinks that hold detection up, then at the processor; if it comes again, give gatewatch more cores or instances."
	case alert.DecodeErrors:
		return "Records could not be read, and what they told was not judged. " +
			"Look at the reasons in the dead letters; usually a gateway has changed the form of its logs. Replay the records once they can be read."
	case alert.Eviction:
		return "Entities without suspicion were forgotten to stay within limits: slow misuse by one of them can have been missed. " +
			"Find the flood of new entities in the traffic; if they are rightful, raise limits.entities and limits.memory."
	case alert.LateEvents:
		return "Events came too late for rules that mean the order of events, and these left them out. " +
			"Find the gateway or shipper that delays its telemetry, or raise engine.disorder."
	case alert.BackPressure:
		return "Detection waited for a sink or for the place of the state. Telemetry stayed in Kafka and was judged afterwards: alerts came late. " +
			"Repair the destination, or make room on the disk."
	case alert.Restart:
		return "gatewatch was not running. What happened meanwhile was read afterwards, so alerts came late; " +
			"none is missing unless there is a blind spot of cause retention."
	case alert.Retention:
		return "Kafka deleted records before they were read: nothing is known of them. " +
			"Lengthen the topic's retention beyond the longest time that gatewatch may be away or behind; replay this time from another copy of the logs."
	}
	return ""
}

// Package detector is the engine: it orders events, keeps what is known of every entity and raises alerts.
//
// Events come in batches, one after another for each partition ([Engine.Push]). The engine puts them into event-time order
// behind a watermark, splits them by entity to lanes, and applies them to every rule that watches the entity
// ([Engine.Advance]). A lane is a fixed hash range of entities; one goroutine at a time works on it.
//
// Time comes from events alone. The outcome depends on the events and their order in each partition, and on nothing else:
// not on how they are cut into batches, on the number of lanes or workers, or on when Advance is called.
//
// Every detection stands in a file of its own, and larger ones in several: distinct, rate, travel, simultaneous, offhours, newvalue,
// workflow, sequence, enumeration, inventory, contract (with presented, for what several requests show together), risk.
package detector

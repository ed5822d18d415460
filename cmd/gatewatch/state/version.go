package state

// Version identifies a version of an alert: what is raised again after a restart is recognised by it.
type Version struct {
	ID      string
	Version int
}

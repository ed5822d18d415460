package detector

// drop takes leave of an entity that is taken out of its table.
func (l *lane) drop(groupIndex int, n *entity) {
	l.stats.bytes[groupIndex] -= int64(n.bytes)
	l.dropped(groupIndex, n)
}

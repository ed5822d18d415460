package disk

import (
	"strconv"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// About returns what was noted when the folder was made.
func (s *Store) About() state.About {
	return state.About{Format: strconv.Itoa(s.header.Format), Made: s.header.Created, By: s.header.Version}
}

package rules

import (
	"encoding/binary"
	"slices"
)

// step moves the runs of one workflow, which are sorted; moved is false when neither they nor the start allow the step.
func (f *flow) step(runs []int16, sym uint8) (after []int16, moved bool) {
	for _, run := range runs {
		if to := f.next[run][sym]; to != none {
			moved, run = true, to
		}
		if !f.over(run) {
			after = append(after, run)
		}
	}
	if begun := f.next[0][sym]; begun != none {
		moved = true
		if !f.over(begun) {
			after = append(f.furthest(after, begun), begun)
		}
	}
	slices.Sort(after)
	return slices.Compact(after), moved
}

// furthest makes room for the run just begun: it returns the others that have come furthest. Of those that are equally far
// the later state is kept, for no better reason than that one must be.
func (f *flow) furthest(runs []int16, begun int16) []int16 {
	runs = slices.DeleteFunc(runs, func(run int16) bool { return run == begun })
	slices.SortFunc(runs, func(a, b int16) int {
		if d := f.distance[b] - f.distance[a]; d != 0 {
			return d
		}
		return int(b) - int(a)
	})
	runs = slices.Compact(runs)
	return runs[:min(len(runs), f.most-1)]
}

// choose finds how many runs at once are followed: two, or more where two would not do. Two do not when a workflow begins
// over and over with its own steps, so that the run which is really under way could be forgotten for others.
func (f *flow) choose() error {
	for f.most = 2; f.most <= maxRuns; f.most++ {
		faithful, err := f.faithful()
		if faithful || err != nil {
			return err
		}
	}
	return errManyStates
}

// maxRuns is how many runs of one workflow can be followed at once. No workflow that a person would write needs three.
const maxRuns = 6

// faithful reports whether a session that does nothing but this workflow, once, always keeps its run. It follows all such
// sessions at once.
func (f *flow) faithful() (bool, error) {
	type session struct {
		runs []int16
		at   int16 // where it really is
	}
	list := []session{{}}
	known := map[string]bool{}
	for i := 0; i < len(list); i++ {
		for sym, to := range f.next[list[i].at] {
			if to == none || f.over(to) {
				continue
			}
			runs, _ := f.step(list[i].runs, uint8(sym))
			if !slices.Contains(runs, to) {
				return false, nil
			}
			if key := string(appendRuns(nil, append(slices.Clip(runs), to))); !known[key] {
				known[key] = true
				list = append(list, session{runs, to})
			}
		}
		if len(list) > 4*maxStates {
			return false, errManyStates
		}
	}
	return true, nil
}

func appendRuns(b []byte, runs []int16) []byte {
	b = binary.AppendUvarint(b, uint64(len(runs)))
	for _, run := range runs {
		b = binary.AppendUvarint(b, uint64(run))
	}
	return b
}

package arena

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func TestWhatIsKeptStays(t *testing.T) {
	var a Arena
	for round := range 3 {
		var texts []string
		var lists [][]string
		var attributes [][]event.Attribute
		for i := range 5000 {
			b := append(a.Reserve(100), fmt.Sprintf("text %d of round %d", i, round)...)
			texts = append(texts, a.CommitString(b))
			copy(a.Reserve(50)[:50], bytes.Repeat([]byte("!"), 50)) // reserved and not committed
			lists = append(lists, a.Strings([]string{texts[i], "x"}))
			attributes = append(attributes, a.Attributes([]event.Attribute{{Key: "k", Value: texts[i]}}))
		}
		for i := range texts {
			want := fmt.Sprintf("text %d of round %d", i, round)
			if texts[i] != want || !slices.Equal(lists[i], []string{want, "x"}) || attributes[i][0].Value != want {
				t.Fatalf("%q, %q, %q, want %q", texts[i], lists[i], attributes[i], want)
			}
		}
		if a.Used() == 0 {
			t.Error("nothing used")
		}
		a.Reset()
		if a.Used() != 0 {
			t.Errorf("%d bytes used after Reset", a.Used())
		}
	}
}

func TestCopyIsPaddedWithZeros(t *testing.T) {
	var a Arena
	for range 3 {
		got := a.Copy([]byte("abc"), 8)
		if string(got) != "abc" || !bytes.Equal(got[:11], []byte("abc\x00\x00\x00\x00\x00\x00\x00\x00")) {
			t.Fatalf("%q with %q behind", got, got[3:11])
		}
		a.Copy(bytes.Repeat([]byte("x"), 100), 0)
		a.Reset()
	}
}

func TestListsCannotGrowIntoOneAnother(t *testing.T) {
	var a Arena
	first, second := a.Strings([]string{"a"}), a.Strings([]string{"b"})
	_ = append(first, "c")
	if second[0] != "b" {
		t.Error("appending to one list changed the next")
	}
}

func TestHugeMemoryIsGivenBack(t *testing.T) {
	var a Arena
	a.Copy(make([]byte, 64<<20), 0)
	for range 1000 {
		a.Copy(make([]byte, 100<<10), 0)
	}
	a.Reset()
	kept := 0
	for _, c := range a.chunks {
		kept += cap(c)
	}
	if kept > maxKept {
		t.Errorf("%d bytes kept, the limit is %d", kept, maxKept)
	}
}

func TestWarmArenaDoesNotAllocate(t *testing.T) {
	var a Arena
	text := make([]byte, 1000)
	list := []string{"a", "b"}
	if n := testing.AllocsPerRun(20, func() {
		a.Reset()
		for range 500 {
			a.Copy(text, 8)
			a.Strings(list)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

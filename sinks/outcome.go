package sinks

import (
	"errors"
	"fmt"
	"time"
)

// outcome is a Deliver error in the form that a line acts on.
type outcome struct {
	refused []Refusal
	retry   []int // rising
	after   time.Duration
	err     error // why retry is not empty, or why the batch is to be split
	split   bool  // the batch was refused as a whole
}

// judge turns the error of a delivery of n alerts into an outcome.
func judge(err error, n int) outcome {
	if err == nil {
		return outcome{}
	}
	if partial, ok := errors.AsType[*PartialError](err); ok {
		return judgePartial(partial, n)
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		if n > 1 {
			return outcome{split: true, err: refused}
		}
		return outcome{refused: []Refusal{{Index: 0, Err: refused}}}
	}
	o := outcome{retry: make([]int, n), err: err}
	for i := range o.retry {
		o.retry[i] = i
	}
	if retry, ok := errors.AsType[*RetryError](err); ok {
		o.after = retry.After
	}
	return o
}

// judgePartial drops what a faulty sink says of alerts that it was not given or named twice. A refusal wins over a retry.
func judgePartial(e *PartialError, n int) outcome {
	o := outcome{after: e.After, err: e.Err}
	again := make([]bool, n)
	for _, i := range e.Retry {
		if i >= 0 && i < n {
			again[i] = true
		}
	}
	refused := make([]bool, n)
	for _, r := range e.Refused {
		if r.Index < 0 || r.Index >= n || refused[r.Index] {
			continue
		}
		refused[r.Index], again[r.Index] = true, false
		o.refused = append(o.refused, r)
	}
	for i, yes := range again {
		if yes {
			o.retry = append(o.retry, i)
		}
	}
	if len(o.retry) > 0 && o.err == nil {
		o.err = fmt.Errorf("%d of %d alerts not delivered", len(o.retry), n)
	}
	return o
}

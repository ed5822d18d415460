// Package window holds what happened to one entity within the last stretch of event time: sliding counts, sums and counts
// of different values.
//
// A window at time now with width w covers the half-open interval (now-w, now]. Times are Unix milliseconds. All windows
// accept late values as long as the interval still covers them, none reads a clock, and none is safe for concurrent use.
// Each is exact up to a bound and says so when it no longer is. Each has a versioned binary form.
//
// [Touched] alone is no window: it remembers values for months, by days.
package window

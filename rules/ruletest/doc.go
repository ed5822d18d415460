// Package ruletest runs the tests that stand in rule files, on the engine and the decoder of the service.
//
// The notation is that of [rules.Test]. A test's requests are written as canonical JSON, decoded, given their place and applied
// in the order of their times; then everything ends, as if nothing would ever come again. [Run] judges what was raised. When an
// alert is missing it runs the traffic once more and looks at what the rule knew, to tell how close it was.
package ruletest

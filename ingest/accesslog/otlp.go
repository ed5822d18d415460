package accesslog

type otlpWriter struct{}

var otlp = definition{name: "otlp"}

func (d *Decoder) telemetry(end, records int, kind envelope) int { return end }

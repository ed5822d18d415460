package accesslog

type otlpWriter struct{}

func (d *Decoder) telemetry(end, records int, kind envelope) int { return end }

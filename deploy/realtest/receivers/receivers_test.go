package receivers

import (
	_ "github.com/gatewatch/gatewatch/sinks/datadog"
	_ "github.com/gatewatch/gatewatch/sinks/splunk"
	_ "github.com/gatewatch/gatewatch/sinks/syslog"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/extension/ackextension"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/datadogreceiver"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/syslogreceiver"
	_ "go.opentelemetry.io/collector/component/componenttest"
	_ "go.opentelemetry.io/collector/consumer/consumertest"
	_ "go.opentelemetry.io/collector/receiver/receivertest"
)

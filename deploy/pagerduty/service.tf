# A PagerDuty service for gatewatch's alerts, and its integration key. Give it an escalation policy of yours.

variable "escalation_policy" {
  type        = string
  description = "Id of the escalation policy that the service uses"
}

resource "pagerduty_service" "gatewatch" {
  name                    = "API misuse (gatewatch)"
  escalation_policy       = var.escalation_policy
  auto_resolve_timeout    = "null" # gatewatch resolves
  acknowledgement_timeout = "null"
  alert_creation          = "create_alerts_and_incidents"

  incident_urgency_rule {
    type    = "constant"
    urgency = "severity_based"
  }
}

resource "pagerduty_service_integration" "gatewatch" {
  name    = "gatewatch"
  type    = "events_api_v2_inbound_integration"
  service = pagerduty_service.gatewatch.id
}

output "routing_key" {
  value     = pagerduty_service_integration.gatewatch.integration_key
  sensitive = true
}

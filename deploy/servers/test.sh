#!/bin/bash
# Runs gatewatch's tests against real servers: Apache Kafka, ClickHouse, the engine of a current ClickHouse, OpenSearch, rsyslog, NGINX.
#
#   deploy/servers/test.sh [ARGUMENT OF go test]…      for instance -v, or -run Restart
#
# Whatever is missing is installed (Debian, root) or fetched to ~/.cache; what cannot be had fails, nothing is skipped. The
# tests start servers of their own on free ports of 127.0.0.1 and stop them; on failure the servers' files are kept. One
# fills a small disk, which it mounts: a container needs CAP_SYS_ADMIN for that.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

# Everything that the tests write, so that what a crashed test left running can be found.
dir=$(mktemp -d "${TMPDIR:-/tmp}/gatewatch-servers-XXXXXX")
export TMPDIR=$dir

# Prints nothing: go test's summary stays last.
cleanup() {
	local status=$? pid
	while read -r pid; do
		if [ -e "${pid%/pid}/server.properties" ]; then "$here/kafka.sh" stop "${pid%/pid}"; fi
		if [ -e "${pid%/pid}/opensearch.yml" ]; then "$here/opensearch.sh" stop "${pid%/pid}"; fi
		if [ -e "${pid%/pid}/config.xml" ]; then "$here/clickhouse.sh" stop "${pid%/pid}"; fi
		if [ -e "${pid%/pid}/gatewatch.yaml" ] && grep -qF "${pid%/pid}/" "/proc/$(cat "$pid")/cmdline"; then kill -9 "$(cat "$pid")"; fi
		if grep -qF "$dir/" "/proc/$(cat "$pid")/cmdline"; then kill "$(cat "$pid")"; fi # rsyslog, NGINX, the service behind it
	done < <(find "$dir" -name pid -type f) >/dev/null 2>&1
	awk -v dir="$dir/" 'index($2, dir) == 1 {print $2}' /proc/mounts | xargs --no-run-if-empty umount --lazy >/dev/null 2>&1 || true
	if [ $status -eq 0 ]; then rm -rf "$dir"; fi
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Here rather than in the tests, whose time is limited.
"$here/kafka.sh" install
"$here/chdb.sh" >/dev/null
"$here/clickhouse.sh" install
"$here/opensearch.sh" install
"$here/../endtoend/run.sh" install

# One package after the other: each wants both cores.
GATEWATCH_REAL=1 go test -count=1 -p 1 -timeout 10m "$@" ./deploy/realtest/...

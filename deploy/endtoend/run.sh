#!/bin/bash
# gatewatch from end to end, with real servers: read it from top to bottom, it is the integration guide.
#
#   callers → NGINX → a small service
#               ↓ access log
#             rsyslog → Kafka → gatewatch → rsyslog over TLS
#                                         → ClickHouse
#
#   deploy/endtoend/run.sh             install what is missing (Debian, root), then show everything within a minute
#   deploy/endtoend/run.sh install     only install
#
# The configuration files beside this script are those of a real installation, with real paths and ports; "place" below is all
# that changes in them. What runs here stays in one temporary folder, on free ports of 127.0.0.1, and is gone at the end. When
# something fails the folder is kept, and its name is said.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
deploy=$(dirname "$here")

# ---------------------------------------------------------------------------------------------------------------------------
# Install. NGINX is the gateway; rsyslog ships its log (rsyslog-kafka) and receives the alerts (rsyslog-gnutls); jq reads
# alerts. Kafka comes from Maven Central, ClickHouse from Debian.

install_packages() {
	local missing=()
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx)
	[ -x /usr/sbin/rsyslogd ] || missing+=(rsyslog)
	ls /usr/lib/*/rsyslog/omkafka.so >/dev/null 2>&1 || missing+=(rsyslog-kafka)
	ls /usr/lib/*/rsyslog/lmnsd_gtls.so >/dev/null 2>&1 || missing+=(rsyslog-gnutls)
	for tool in curl jq openssl; do command -v $tool >/dev/null || missing+=($tool); done
	if [ ${#missing[@]} -gt 0 ]; then
		command -v apt-get >/dev/null || { echo "missing: ${missing[*]}. Install them, then try again." >&2 && exit 1; }
		echo "installing ${missing[*]}" >&2
		export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # RUNLEVEL=1 keeps packages from starting services
		apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
			{ apt-get update >&2 && apt-get install -y --no-install-recommends "${missing[@]}" >&2; }
	fi
	"$deploy/servers/kafka.sh" install
	"$deploy/servers/clickhouse.sh" install
}

command -v go >/dev/null || { echo "missing: go. Install Go 1.26, then try again." >&2 && exit 1; }
install_packages
case ${1:-} in
install) exit ;;
'') ;;
*) sed -n '8,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
PATH=$PATH:/usr/sbin

# ---------------------------------------------------------------------------------------------------------------------------
# A place for everything.

dir=$(mktemp -d "${TMPDIR:-/tmp}/gatewatch-endtoend-XXXXXX")
chmod 755 "$dir" # NGINX's worker is another user
mkdir -p "$dir"/{bin,etc,nginx,ship,receive,gatewatch,log/{nginx,gatewatch},lib/{rsyslog,gatewatch}}

# Ports below those that systems give to outgoing connections, twenty in a row that nobody listens on.
free_ports() {
	local base offset
	for _ in $(seq 100); do
		base=$((10000 + RANDOM % 22000))
		for offset in $(seq 0 19); do
			if (exec 3<>"/dev/tcp/127.0.0.1/$((base + offset))") 2>/dev/null; then continue 2; fi
		done
		echo "$base"
		return
	done
	echo "no twenty free ports in a row" >&2
	return 1
}
kafka=$(free_ports) # kafka.sh takes ten of them
clickhouse=$((kafka + 10)) clickhouse_http=$((kafka + 11))
gateway=$((kafka + 12)) service=$((kafka + 13)) syslog=$((kafka + 14)) metrics=$((kafka + 15))

# place FILE TO copies a configuration file and puts this run's paths and ports in the place of the usual ones.
place() {
	sed -e "s|/etc/gatewatch/|$dir/etc/|g" -e "s|/var/log/|$dir/log/|g" -e "s|/var/lib/|$dir/lib/|g" -e "s|/run/nginx/|$dir/nginx/|g" \
		-e "s|:9092|:$kafka|" -e "s|:9000|:$clickhouse|" -e "s|:8080|:$gateway|" -e "s|:8081|:$service|" \
		-e "s|:6514|:$syslog|" -e "s|\"6514\"|\"$syslog\"|" -e "s|:9095|:$metrics|" "$1" >"$2"
}

say() { printf '\n[%2d s] %s\n' "$SECONDS" "$*"; }

# wait_for SECONDS WHAT COMMAND… waits until the command succeeds.
wait_for() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $deadline ]; then
			echo "FAILED: waited in vain for $what" >&2
			return 1
		fi
		sleep 0.1
	done
}

# launch NAME COMMAND… starts a server whose folder is $dir/NAME. What it prints goes to NAME/output, its process id to NAME/pid.
launch() {
	local name=$1
	shift
	"$@" >>"$dir/$name/output" 2>&1 </dev/null &
	echo $! >"$dir/$name/pid"
}

# end NAME stops a server, by force when it takes longer than five seconds.
end() {
	local pid
	pid=$(cat "$dir/$1/pid" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null || return 0
	for _ in $(seq 50); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
}

cleanup() {
	local status=$? name
	trap '' INT TERM
	for name in gatewatch nginx ship receive service; do end $name; done
	"$deploy/servers/kafka.sh" stop "$dir/kafka" || true
	if [ -d "$dir/clickhouse" ]; then "$deploy/servers/clickhouse.sh" stop "$dir/clickhouse" || true; fi
	if [ $status -eq 0 ]; then
		rm -rf "$dir"
	else
		for name in gatewatch nginx ship receive; do tail -n 15 -v "$dir/$name/output" 2>/dev/null || true; done >&2
		echo "FAILED with status $status. Everything that ran is stopped; its files are in $dir" >&2
	fi
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---------------------------------------------------------------------------------------------------------------------------
# 1. The servers. Kafka gets the topic when the first record comes; make it yourself where that is not allowed.

say "1. Kafka, ClickHouse, and gatewatch built"
(cd "$deploy/.." && go build -o "$dir/bin/" ./cmd/gatewatch ./deploy/endtoend/service) &
build=$!
KAFKA_PARTITIONS=3 "$deploy/servers/kafka.sh" start "$dir/kafka" "$kafka"
"$deploy/servers/clickhouse.sh" start "$dir/clickhouse" "$clickhouse"
wait $build

# ---------------------------------------------------------------------------------------------------------------------------
# 2. The service, and NGINX in front of it. nginx.conf has the log format and says who may be believed about who calls.

say "2. NGINX in front of a small service"
mkdir "$dir/service"
launch service "$dir/bin/service" "127.0.0.1:$service"
place "$here/nginx.conf" "$dir/nginx/nginx.conf"
launch nginx nginx -p "$dir/nginx" -e "$dir/log/nginx/error.log" -c "$dir/nginx/nginx.conf" -g "daemon off;"

# read_profiles ADDRESS USER ID… reads profiles, one after the other, as a user with a token and the mobile application's key.
# Every address of 127.0.0.0/8 is this machine, so that callers can have addresses of their own.
read_profiles() {
	local address=$1 user=$2
	shift 2
	printf "url = http://127.0.0.1:$gateway/users/%s/profile\n" "$@" |
		curl --silent --show-error --fail --interface "$address" \
			-H "X-Api-Key: demo-key-mobile-app" -H "Authorization: Bearer demo-$user" -A "shop-app/3.2" --config - >/dev/null
}
wait_for 10 "NGINX and the service" read_profiles 127.0.1.1 alice 1
tail -n 1 "$dir/log/nginx/api.json"

# ---------------------------------------------------------------------------------------------------------------------------
# 3. The shipper: rsyslog follows the access log and puts each line into Kafka.

say "3. rsyslog ships the access log to Kafka"
place "$here/rsyslog-ship.conf" "$dir/ship/rsyslog.conf"
launch ship rsyslogd -n -i NONE -f "$dir/ship/rsyslog.conf"
in_kafka() { timeout 5 kcat -b "127.0.0.1:$kafka" -C -t gateway-access -e -q 2>/dev/null; }
in_kafka_as_many_as_in_log() { [ "$(in_kafka | wc -l)" -ge "$(wc -l <"$dir/log/nginx/api.json")" ]; }
wait_for 20 "the first line in Kafka" in_kafka_as_many_as_in_log

# ---------------------------------------------------------------------------------------------------------------------------
# 4. The receiver of the alerts: rsyslog over TLS, and both sides show a certificate of one authority.

say "4. rsyslog waits for alerts over TLS"
(
	cd "$dir/etc"
	key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
	openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -days 30 -subj "/CN=end-to-end CA" 2>/dev/null
	for name in receiver gatewatch; do
		openssl req -new "${key[@]}" -keyout $name.key -out $name.csr -subj "/CN=$name" 2>/dev/null
		openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $name.pem \
			-extfile <(echo "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1") 2>/dev/null
	done
)
place "$deploy/syslog/gatewatch.conf" "$dir/receive/rsyslog.conf"
launch receive rsyslogd -n -i NONE -f "$dir/receive/rsyslog.conf"

# ---------------------------------------------------------------------------------------------------------------------------
# 5. gatewatch, with the rules that it ships. Secrets come from the environment or from files. The privacy key keeps tokens
#    from being found by guessing.

say "5. gatewatch reads from Kafka"
place "$here/gatewatch.yaml" "$dir/gatewatch/gatewatch.yaml"
GATEWATCH_PRIVACY_KEY=$(openssl rand -hex 32)
export GATEWATCH_PRIVACY_KEY CLICKHOUSE_PASSWORD=gatewatch-test # clickhouse.sh has made this user
start_gatewatch() { launch gatewatch "$dir/bin/gatewatch" run --config "$dir/gatewatch/gatewatch.yaml"; }
ready() { curl --silent --fail "http://127.0.0.1:$metrics/readyz"; }
metric() { curl --silent --fail "http://127.0.0.1:$metrics/metrics" | awk -v name="$1" '$1 == name {print int($2)}'; }
start_gatewatch
wait_for 20 "gatewatch" ready

# ---------------------------------------------------------------------------------------------------------------------------
# 6. What alerts look like where they arrive: lines of JSON in rsyslog's file, rows in ClickHouse.

in_rsyslog() { jq -r '"\(.id) \(.version) \(.rule.id) \(.entity.id)"' "$dir/log/gatewatch/alerts.jsonl" 2>/dev/null | sort -u; }
query() { curl --silent --show-error --fail "http://127.0.0.1:$clickhouse_http/?user=gatewatch&password=$CLICKHOUSE_PASSWORD" --data-binary "$1"; }
in_clickhouse() {
	query "SELECT id, version, rule_id, entity_id FROM gatewatch.alerts FINAL FORMAT TabSeparated" | tr '\t' ' ' | sort -u
}
# raised RULE ENTITY: the same alert stands in both places, with the same id and version.
raised() { comm -12 <(in_rsyslog) <(in_clickhouse) | grep -q " $1 $2\$"; }
same_alerts() { [ -n "$(in_rsyslog)" ] && [ "$(in_rsyslog)" = "$(in_clickhouse)" ]; }
show() { jq -r 'select(.rule.id == "'"$1"'" and .entity.id == "'"$2"'") | "  \(.state) \(.rule.severity): \(.summary)\n    id \(.id), version \(.version)"' "$dir/log/gatewatch/alerts.jsonl"; }

say "6. Ordinary calls: four users read their own profile and those of some friends"
for round in 1 2 3; do
	number=0
	for user in alice bob carol dave; do
		number=$((number + 1))
		read_profiles "127.0.1.$number" $user $number $number $((number + round)) $((number + 4))
	done
done

say "   Misuse: mallory's own valid token reads 60 users' profiles"
read_profiles 127.0.2.1 mallory $(seq 1001 1060)
wait_for 20 "the alert about mallory in rsyslog and ClickHouse" raised profile-enumeration-user mallory
show profile-enumeration-user mallory

# ---------------------------------------------------------------------------------------------------------------------------
# 7. gatewatch is killed in the middle of the next misuse, and nothing is lost. eve reads 41 profiles, one more than the rule
#    allows within a minute: 20 before the kill, 21 while gatewatch is down. If a single call were lost, nothing would be raised.

say "7. eve reads 20 profiles, gatewatch is killed, eve reads 21 more"
events=$(metric gatewatch_engine_events_total)
read_profiles 127.0.2.2 eve $(seq 2001 2020)
more_events() { [ "$(metric gatewatch_engine_events_total)" -gt "$events" ]; }
wait_for 20 "some of eve's calls in gatewatch" more_events
{ kill -9 "$(cat "$dir/gatewatch/pid")" && wait "$(cat "$dir/gatewatch/pid")" || true; } 2>/dev/null # bash would say "Killed"
read_profiles 127.0.2.2 eve $(seq 2021 2041)
wait_for 20 "all calls in Kafka" in_kafka_as_many_as_in_log
if in_rsyslog | grep -q " eve$"; then echo "FAILED: eve was reported before the limit was reached" >&2 && exit 1; fi

say "   gatewatch starts again"
start_gatewatch
wait_for 30 "the alert about eve in rsyslog and ClickHouse" raised profile-enumeration-user eve
show profile-enumeration-user eve

# ---------------------------------------------------------------------------------------------------------------------------
# 8. Both places hold the same alerts, and nobody else was reported.

say "8. What arrived"
wait_for 20 "the same alerts in rsyslog and ClickHouse" same_alerts
echo "id version rule entity, in rsyslog's file and in ClickHouse:"
in_clickhouse
if in_clickhouse | grep -E ' (alice|bob|carol|dave)$'; then echo "FAILED: somebody ordinary was reported" >&2 && exit 1; fi
if [ -s "$dir/log/gatewatch/dead-letters.jsonl" ]; then
	echo "FAILED: gatewatch could not read some lines:" >&2
	head -n 3 "$dir/log/gatewatch/dead-letters.jsonl" >&2
	exit 1
fi
if grep -rqs demo- "$dir/log" "$dir/lib"; then echo "FAILED: a token or key stands in a log" >&2 && exit 1; fi

# SIGTERM is how gatewatch is stopped rightly: it ends with status 0 when everything is delivered.
kill "$(cat "$dir/gatewatch/pid")"
wait "$(cat "$dir/gatewatch/pid")"
rm "$dir/gatewatch/pid"
say "Done: $(wc -l <"$dir/log/nginx/api.json") calls, $(in_rsyslog | wc -l) versions of alerts, the same in both places."

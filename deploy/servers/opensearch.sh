#!/bin/bash
# Runs a real OpenSearch node for tests: OpenSearch 2.19 without plugins, on Java 17 or newer.
#
#   opensearch.sh install             fetch the node, install Java and Maven where they are missing (Debian, root)
#   opensearch.sh start [DIR [PORT]]  install, start, wait until it answers, print its address (default port 19200)
#   opensearch.sh kill [DIR]          end it as a power cut would (kill -9) and leave it down
#   opensearch.sh status [DIR]        print its address; exit status 1 when it does not run
#   opensearch.sh stop [DIR]          stop it and wait; DIR is left for inspection
#
# DIR (default $GATEWATCH_SERVERS/opensearch-data) holds all that the node writes; delete it for an empty node. The node itself
# is kept in $GATEWATCH_SERVERS (default ~/.cache/gatewatch-servers). It listens on 127.0.0.1 only: PORT speaks HTTP without
# credentials, PORT+1 is for other nodes. It takes requests of 1 MB at most, so that larger ones have to be divided.
#
# Read at each start: OPENSEARCH_HEAP (512m).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=${GATEWATCH_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatewatch-servers}
# Named after what it is made of, so that another version never mixes with this one.
jars=$servers/opensearch-$(cat "$here"/opensearch/{pom.xml,OpenSearchNode.java} | cksum | cut -d' ' -f1)
heap=${OPENSEARCH_HEAP:-512m}

usage() {
	sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

java_version() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }

install_tools() {
	local missing=()
	[ "$(java_version || true)" -ge 17 ] 2>/dev/null || missing+=(default-jre-headless)
	command -v mvn >/dev/null || missing+=(maven)
	[ ${#missing[@]} -gt 0 ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "missing: ${missing[*]}. Install Java 17 and Maven, then try again." >&2
		exit 1
	fi
	echo "installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
		{ apt-get update >&2 && apt-get install -y --no-install-recommends "${missing[@]}" >&2; }
}

install_node() {
	install_tools
	[ -d "$jars" ] && return
	echo "fetching OpenSearch to $jars" >&2
	local new=$jars.new.$$
	mkdir -p "$new"
	mvn -B -q -Dstyle.color=never -f "$here/opensearch/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$new" >&2
	java -cp "$new/*" org.eclipse.jdt.internal.compiler.batch.Main -17 -proc:none -nowarn \
		-cp "$(printf '%s:' "$new"/*.jar)" -d "$new" "$here/opensearch/OpenSearchNode.java" >&2
	mv -T "$new" "$jars" 2>/dev/null || rm -rf "$new" # another start may have been faster
}

write_config() {
	cat >"$dir/opensearch.yml" <<-YAML
		cluster.name: gatewatch-test
		node.name: node-1
		path.data: $dir/data
		path.logs: $dir/logs
		network.host: 127.0.0.1
		http.port: $port
		transport.port: $((port + 1))
		transport.type: netty4
		http.type: netty4
		discovery.type: single-node
		http.max_content_length: 1mb
		# A test machine's disk may be nearly full.
		cluster.routing.allocation.disk.threshold_enabled: false
	YAML
}

address() { echo "127.0.0.1:$(sed -n 's/^http.port: //p' "$dir/opensearch.yml")"; }

# A process id may have been given to another program since.
running() { [ -s "$dir/pid" ] && ps -ww -o args= -p "$(cat "$dir/pid")" | grep -qF "OpenSearchNode $dir"; }

start() {
	if running; then
		address
		return
	fi
	install_node
	[ -e "$dir/opensearch.yml" ] || write_config
	# A session of its own: Ctrl-C in the caller's terminal must not reach it, and it must not hold the caller's pipe open.
	# For so short a life, a compiler that optimises costs more than it gains.
	setsid java "-Xmx$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$here/opensearch/log4j2.properties" -cp "$jars:$jars/*" \
		OpenSearchNode "$dir" >>"$dir/server.log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	wait_ready
}

# A node answers before it has recovered its indices.
recovered() {
	{ exec 3<>"/dev/tcp/${1/://}"; } 2>/dev/null || return 1
	printf 'GET /_cluster/health?wait_for_status=yellow&timeout=1s HTTP/1.0\r\n\r\n' >&3
	timeout 5 grep -qE '"status":"(green|yellow)"' <&3
}

wait_ready() {
	local at deadline=$((SECONDS + 90))
	at=$(address)
	while [ $SECONDS -lt $deadline ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; do
		if (recovered "$at"); then
			echo "$at"
			return
		fi
		sleep 0.1
	done
	echo "opensearch did not start; the end of $dir/server.log:" >&2
	tail -n 20 "$dir/server.log" >&2
	exit 1
}

end() { # SIGNAL SECONDS
	running || return 0
	local deadline=$((SECONDS + $2))
	kill "-$1" "$(cat "$dir/pid")"
	while running && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
	! running
}

stop() {
	end TERM 30 || end KILL 10
	rm -f "$dir/pid"
}

[ $# -ge 1 ] && [ $# -le 3 ] || usage
dir=${2:-$servers/opensearch-data} port=${3:-19200}
case $1 in
install) install_node && exit ;;
start) mkdir -p "$dir" ;;
kill | status | stop) [ -d "$dir" ] || { [ "$1" != status ] && exit 0 || exit 1; } ;;
*) usage ;;
esac
dir=$(cd "$dir" && pwd)
case $1 in
start) start ;;
kill) end KILL 10 ;;
status) running && address ;;
stop) stop ;;
esac

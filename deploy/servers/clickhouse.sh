#!/bin/bash
# Runs a ClickHouse server for tests: the one that Debian packages (18.16), which speaks the native protocol.
#
#   clickhouse.sh install             install it when it is missing (Debian, root)
#   clickhouse.sh start [DIR [PORT]]  install, start, wait until it answers, print its address (default port 19000)
#   clickhouse.sh status [DIR]        print its address; exit status 1 when it does not run
#   clickhouse.sh stop [DIR]          stop it and wait; DIR is left for inspection
#
# DIR (default $GATEWATCH_SERVERS/clickhouse-data, in ~/.cache/gatewatch-servers) holds all that the server writes; delete
# it for an empty server. It listens on 127.0.0.1 only: PORT speaks the native protocol, PORT+1 HTTP.
# Users: default without a password; gatewatch with the password gatewatch-test.
set -euo pipefail

usage() {
	sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

install_server() {
	command -v clickhouse-server >/dev/null && return
	if ! command -v apt-get >/dev/null; then
		echo "missing: clickhouse-server. Install it, then try again." >&2
		exit 1
	fi
	echo "installing clickhouse-server" >&2
	export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # RUNLEVEL=1 keeps the package from starting a service
	apt-get install -y --no-install-recommends clickhouse-server >&2 ||
		{ apt-get update >&2 && apt-get install -y --no-install-recommends clickhouse-server >&2; }
}

write_config() {
	cat >"$dir/config.xml" <<-XML
		<yandex>
		  <logger><level>warning</level><log>$dir/server.log</log><errorlog>$dir/server.err.log</errorlog></logger>
		  <listen_host>127.0.0.1</listen_host>
		  <tcp_port>$port</tcp_port>
		  <http_port>$((port + 1))</http_port>
		  <max_connections>256</max_connections>
		  <mark_cache_size>67108864</mark_cache_size>
		  <path>$dir/data/</path>
		  <tmp_path>$dir/data/tmp/</tmp_path>
		  <users_config>$dir/users.xml</users_config>
		  <default_profile>default</default_profile>
		  <default_database>default</default_database>
		  <timezone>UTC</timezone>
		</yandex>
	XML
	local open='<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>'
	cat >"$dir/users.xml" <<-XML
		<yandex>
		  <profiles><default><max_memory_usage>2000000000</max_memory_usage></default></profiles>
		  <users>
		    <default><password></password>$open</default>
		    <gatewatch><password>gatewatch-test</password>$open</gatewatch>
		  </users>
		  <quotas><default></default></quotas>
		</yandex>
	XML
}

running() {
	local pid
	pid=$(cat "$dir/pid" 2>/dev/null) && grep -qa clickhouse-server "/proc/$pid/cmdline" 2>/dev/null # not another with its old id
}

answers() {
	{ exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))"; } 2>/dev/null || return 1
	printf 'GET /ping HTTP/1.0\r\n\r\n' >&3
	grep -q '^Ok\.' <&3
}

status() {
	running || return 1
	echo "127.0.0.1:$(sed -n 's/.*<tcp_port>\(.*\)<.*/\1/p' "$dir/config.xml")"
}

start() {
	if status; then return; fi
	install_server
	mkdir -p "$dir/data/tmp"
	write_config
	# The server must not keep the caller's pipe open.
	setsid clickhouse-server --config-file="$dir/config.xml" >"$dir/console.log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	for _ in $(seq 300); do
		if (answers); then
			status
			return
		fi
		running || break
		sleep 0.1
	done
	echo "clickhouse did not start; the end of its log:" >&2
	tail -n 20 "$dir/console.log" "$dir/server.err.log" >&2 || true
	exit 1
}

stop() {
	running || return 0
	local pid
	pid=$(cat "$dir/pid")
	kill "$pid"
	for _ in $(seq 100); do
		running || break
		sleep 0.1
	done
	if running; then kill -9 "$pid"; fi
	rm -f "$dir/pid"
}

[ $# -ge 1 ] && [ $# -le 3 ] || usage
dir=${2:-${GATEWATCH_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatewatch-servers}/clickhouse-data}
port=${3:-19000}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
case $1 in
install) install_server ;;
start) start ;;
status) status ;;
stop) stop ;;
*) usage ;;
esac

#!/bin/bash
# Runs a real Kafka broker for tests: Apache Kafka 4 in KRaft mode, one node, on Java 17 or newer.
#
#   kafka.sh install             fetch the broker, install Java, Maven and kcat where they are missing (Debian, root)
#   kafka.sh start [DIR [PORT]]  install, start, wait until it answers, print its address (default port 19092)
#   kafka.sh restart [DIR]       stop it and start it again over the same data
#   kafka.sh kill [DIR]          end it as a power cut would (kill -9) and leave it down
#   kafka.sh status [DIR]        print its address; exit status 1 when it does not run
#   kafka.sh stop [DIR]          stop it and wait; DIR is left for inspection
#
# DIR (default $GATEWATCH_SERVERS/kafka-data) holds all that the broker writes; delete it for an empty broker. The
# broker itself is kept in $GATEWATCH_SERVERS (default ~/.cache/gatewatch-servers). It listens on 127.0.0.1 only:
#   PORT    plaintext           PORT+2  SASL                 PORT+4  SASL over TLS
#   PORT+1  the controller      PORT+3  TLS                  PORT+5  TLS with a client certificate
#   PORT+6, PORT+7  plaintext for clients behind a proxy: they are told to connect to PORT+8 and PORT+9, where nothing
#                   listens until a test starts a proxy to PORT+6 or PORT+7
# SASL: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, user gatewatch, password gatewatch-test. Certificates: DIR/tls/ca.pem
# signs the broker's; DIR/tls/client.pem and client.key are a client's.
#
# Read once, when DIR is new: KAFKA_PARTITIONS (12) of a topic made without saying, KAFKA_AUTO_CREATE (true).
# Read at each start: KAFKA_HEAP (512m).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=${GATEWATCH_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatewatch-servers}
# Named after the pom, so that another version never mixes with this one.
jars=$servers/kafka-$(cksum <"$here/kafka/pom.xml" | cut -d' ' -f1)
heap=${KAFKA_HEAP:-512m}
java=(java "-Xmx$heap" -XX:+UseSerialGC "-Dlog4j2.configurationFile=$here/kafka/log4j2.properties" -cp "$jars/*")

usage() {
	sed -n '2,21s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

java_version() { java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }

install_tools() {
	local missing=()
	[ "$(java_version || true)" -ge 17 ] 2>/dev/null || missing+=(default-jre-headless)
	command -v mvn >/dev/null || missing+=(maven)
	command -v kcat >/dev/null || missing+=(kcat)
	command -v openssl >/dev/null || missing+=(openssl)
	[ ${#missing[@]} -gt 0 ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "missing: ${missing[*]}. Install Java 17, Maven, kcat and openssl, then try again." >&2
		exit 1
	fi
	echo "installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
		{ apt-get update >&2 && apt-get install -y --no-install-recommends "${missing[@]}" >&2; }
}

install_broker() {
	install_tools
	[ -d "$jars" ] && return
	echo "fetching Kafka to $jars" >&2
	local new=$jars.new.$$
	mkdir -p "$new"
	mvn -B -q -Dstyle.color=never -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$new" >&2
	mv -T "$new" "$jars" 2>/dev/null || rm -rf "$new" # another start may have been faster
}

make_certificates() {
	mkdir -p "$dir/tls"
	(
		cd "$dir/tls"
		local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes) log=openssl.log
		openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -days 3650 -subj "/CN=gatewatch test CA" 2>$log
		for name in server client; do
			openssl req -new "${key[@]}" -keyout $name.key -out $name.csr -subj "/CN=$name" 2>>$log
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out $name.pem \
				-extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") 2>>$log
		done
		cat server.key server.pem ca.pem >server.keystore.pem
	)
}

write_config() {
	local at=127.0.0.1 listeners advertised
	listeners="PLAINTEXT://$at:$port,CONTROLLER://$at:$((port + 1)),SASL_PLAINTEXT://$at:$((port + 2))"
	listeners+=",SSL://$at:$((port + 3)),SASL_SSL://$at:$((port + 4)),MUTUAL://$at:$((port + 5))"
	advertised="${listeners/CONTROLLER:\/\/$at:$((port + 1)),/},PROXY1://$at:$((port + 8)),PROXY2://$at:$((port + 9))"
	listeners+=",PROXY1://$at:$((port + 6)),PROXY2://$at:$((port + 7))"
	cat >"$dir/server.properties" <<-PROPERTIES
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@$at:$((port + 1))
		controller.listener.names=CONTROLLER
		listeners=$listeners
		advertised.listeners=$advertised
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,MUTUAL:SSL,PROXY1:PLAINTEXT,PROXY2:PLAINTEXT
		inter.broker.listener.name=PLAINTEXT
		log.dirs=$dir/data

		num.partitions=${KAFKA_PARTITIONS:-12}
		auto.create.topics.enable=${KAFKA_AUTO_CREATE:-true}
		# Records that gatewatch must refuse have to get as far as gatewatch.
		message.max.bytes=16777216

		# One node, and tests that do not want to wait.
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=1000
		broker.session.timeout.ms=2000
		broker.heartbeat.interval.ms=500
		log.cleaner.backoff.ms=1000

		ssl.keystore.type=PEM
		ssl.keystore.location=$dir/tls/server.keystore.pem
		ssl.truststore.type=PEM
		ssl.truststore.location=$dir/tls/ca.pem
		listener.name.mutual.ssl.client.auth=required
	PROPERTIES
	local mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512 modules=org.apache.kafka.common.security listener
	for listener in sasl_plaintext sasl_ssl; do
		cat >>"$dir/server.properties" <<-PROPERTIES
			listener.name.$listener.sasl.enabled.mechanisms=$mechanisms
			listener.name.$listener.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required user_gatewatch="gatewatch-test";
			listener.name.$listener.scram-sha-256.sasl.jaas.config=$modules.scram.ScramLoginModule required;
			listener.name.$listener.scram-sha-512.sasl.jaas.config=$modules.scram.ScramLoginModule required;
		PROPERTIES
	done
}

prepare() {
	[ -e "$dir/formatted" ] && return
	make_certificates
	write_config
	local user='[name=gatewatch,password=gatewatch-test]'
	"${java[@]}" kafka.tools.StorageTool format --config "$dir/server.properties" --cluster-id Z2F0ZXdhdGNoLXRlc3QtMQ \
		--add-scram "SCRAM-SHA-256=$user" --add-scram "SCRAM-SHA-512=$user" >"$dir/format.log" 2>&1 || {
		cat "$dir/format.log" >&2
		exit 1
	}
	touch "$dir/formatted"
}

address() { sed -n 's/^listeners=PLAINTEXT:\/\/\([^,]*\),.*/\1/p' "$dir/server.properties"; }

# A process id may have been given to another program since.
running() { [ -s "$dir/pid" ] && ps -ww -o args= -p "$(cat "$dir/pid")" | grep -qF "kafka.Kafka $dir/"; }

start() {
	if running; then
		address
		return
	fi
	install_broker
	prepare
	# A session of its own: Ctrl-C in the caller's terminal must not reach it, and it must not hold the caller's pipe open.
	setsid "${java[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/server.log" 2>&1 </dev/null &
	echo $! >"$dir/pid"
	wait_ready
}

# A broker that was restarted answers before it leads its partitions.
leads() {
	local listing
	listing=$(timeout 5 kcat -b "$1" -L -m 2 2>&1) && ! grep -qE ' 0 brokers:|leader -1' <<<"$listing"
}

wait_ready() {
	local to deadline=$((SECONDS + 60))
	to=$(address)
	while [ $SECONDS -lt $deadline ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; do
		if leads "$to"; then
			echo "$to"
			return
		fi
		sleep 0.1
	done
	echo "kafka did not start; the end of $dir/server.log:" >&2
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

[ $# -ge 1 ] || usage
dir=${2:-$servers/kafka-data} port=${3:-19092}
case $1 in
install) install_broker && exit ;;
start | restart) mkdir -p "$dir" ;;
kill | status | stop) [ -d "$dir" ] || { [ "$1" != status ] && exit 0 || exit 1; } ;;
*) usage ;;
esac
dir=$(cd "$dir" && pwd)
case $1 in
start) start ;;
restart) stop && start ;;
kill) end KILL 10 ;;
status) running && address ;;
stop) stop ;;
esac

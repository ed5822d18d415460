#!/bin/bash
# Prints the path of libchdb.so, the ClickHouse engine of today as a library, and fetches it through npm when it is missing.
#
#   chdb.sh    needs npm, x86-64 and glibc; downloads 167 MB once and keeps 560 MB in $GATEWATCH_SERVERS
#              (default ~/.cache/gatewatch-servers)
set -euo pipefail

version=26.5.3
servers=${GATEWATCH_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatewatch-servers}
dir=$servers/chdb-$version

if [ ! -f "$dir/libchdb.so" ]; then
	if ! command -v npm >/dev/null; then
		echo "missing: npm. Install it (Debian: apt-get install npm), then try again." >&2
		exit 1
	fi
	echo "fetching libchdb.so $version to $dir" >&2
	mkdir -p "$servers"
	new=$(mktemp -d "$dir.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	npm pack --silent "@chdb/lib-linux-x64-gnu@$version" --pack-destination "$new" >&2
	tar -xzf "$new"/*.tgz -C "$new" --strip-components=1 package/libchdb.so
	rm -f "$new"/*.tgz
	mv -T "$new" "$dir" 2>/dev/null || true # another run may have been faster
fi
echo "$dir/libchdb.so"

#!/bin/sh
# Prepares Elasticsearch 8 or later, or OpenSearch 2.7 or later, for gatewatch. It may be run again.
#
#   ELASTIC_URL=https://elastic.example.com:9200 CURL_OPTIONS='--user elastic' ./setup.sh elasticsearch
#   ELASTIC_URL=https://search.example.com:9200 CURL_OPTIONS='--user admin' ./setup.sh opensearch
#
# CURL_OPTIONS are what curl needs to be let in: --user NAME (it asks for the password), --cacert FILE, --config FILE.
set -eu
cd "$(dirname "$0")/${1:?say elasticsearch or opensearch}"

# shellcheck disable=SC2086 # several options
put() {
	echo "PUT $1"
	curl --fail-with-body --silent --show-error ${CURL_OPTIONS:-} --request PUT --header 'Content-Type: application/json' \
		--data "@$2" "${ELASTIC_URL:?}$1"
	echo
}

case $1 in
elasticsearch)
	put /_ilm/policy/gatewatch lifecycle-policy.json
	put /_ingest/pipeline/gatewatch ingest-pipeline.json
	put /_component_template/gatewatch component-template.json
	put /_index_template/gatewatch index-template.json
	;;
opensearch)
	put /_plugins/_ism/policies/gatewatch state-policy.json
	put /_index_template/gatewatch index-template.json
	put /_plugins/_security/api/roles/gatewatch role.json
	;;
esac

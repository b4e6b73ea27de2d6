#!/usr/bin/env bash
# Leases a browser, reads a page's title in it and gives the browser back, with gRPC calls alone: title.sh [URL]
#
# `grpcurl -plaintext -d JSON HOST:PORT METHOD` can stand for call.py. For a command of one's own in a leased
# browser there is `berth lease -- COMMAND`.
set -euo pipefail
url=${1:-https://example.com}
here=$(dirname "$0")
call() { "${PYTHON:-python3}" "$here/call.py" "berth.v1.$@"; }
field() { "${PYTHON:-python3}" -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."): value = value[key]
print(value)' "$1"; }

# call.py exits with 100 and the gRPC code. RESOURCE_EXHAUSTED is 8, and says when to come back.
until=$((SECONDS + 60))
until lease=$(call LeaseService/Acquire '{"ttl": "60s"}'); do
  code=$?
  if ((code != 108 || SECONDS >= until)); then
    echo "$lease" >&2
    exit 1
  fi
  retry=$(field retry_seconds <<<"$lease")
  echo "every browser is taken; again in $retry s" >&2
  sleep "$retry"
done
id=$(field lease.id <<<"$lease")
trap 'call LeaseService/Release "{\"leaseId\": \"$id\"}" | field lease.endReason >&2' EXIT

navigate=$(printf '{"page": {"leaseId": "%s"}, "url": "%s"}' "$id" "$url")
call PageService/Navigate "$navigate" | field result.page.title

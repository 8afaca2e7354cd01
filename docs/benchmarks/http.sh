#!/usr/bin/env bash
# PUT and GET over HTTP against three local nodes, at 1 and 64 connections, beside the disk's own
# fdatasync. Prints the median of three runs of each. Needs wrk, curl and python3.
#
#   docs/benchmarks/http.sh [path of the binary]
#
# Everything runs on this machine, the load generator too, so read the numbers as ratios of one run.
set -euo pipefail
binary=${1:-target/release/steadfast}
seconds=${SECONDS_PER_RUN:-3}
work=$(mktemp -d)
pids=()
stop() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT

http() { echo "127.0.0.1:$((27300 + $1))"; }
peer() { echo "127.0.0.1:$((27400 + $1))"; }
for node in 1 2 3; do
    "$binary" start --data "$work/$node" --http "$(http $node)" --peer "$(peer $node)" \
        2>"$work/$node.log" &
    pids+=($!)
done
for node in 1 2 3; do
    until curl -sf -o /dev/null "http://$(http $node)/livez"; do sleep 0.1; done
done
"$binary" -q cluster init --endpoint "http://$(http 1)" \
    --node "$(peer 1)" --node "$(peer 2)" --node "$(peer 3)" >/dev/null
leader=$(curl -s -o /dev/null -D - "http://$(http 1)/v1/kv/x" | tr -d '\r' |
    awk '/^steadfast-leader/ { print $2 }')
url=http://$(http "$leader")

cat >"$work/put.lua" <<'LUA'
local value = string.rep("x", 256)
request = function() return wrk.format("PUT", "/v1/kv/k" .. math.random(100000), nil, value) end
LUA
cat >"$work/get.lua" <<'LUA'
request = function() return wrk.format("GET", "/v1/kv/k" .. math.random(100000)) end
LUA
counter() { curl -s "$url/metrics" | awk -v name="steadfast_$1_total" '$1 == name { print $2 }'; }
mutations() { curl -s "$url/metrics" | awk '/^steadfast_shard_mutations\{/ { print $2 }'; }
# Prints "requests/s p50 p99" of one run.
run() {
    wrk -t1 -c"$2" -d"${seconds}s" --latency -s "$work/$1.lua" "$url" | awk '
        $1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 } $1 == "Requests/sec:" { rate = $2 }
        END { print rate, p50, p99 }'
}
median() { sort -n | sed -n 2p; }

python3 - "$work" <<'PY'
import os, sys, time
file = os.open(os.path.join(sys.argv[1], "probe"), os.O_RDWR | os.O_CREAT)
os.write(file, bytes(64 << 20)); os.fsync(file)
times = []
for i in range(1000):
    os.pwrite(file, b"x" * 4096, 4096 * i)
    start = time.perf_counter(); os.fdatasync(file); times.append(time.perf_counter() - start)
times.sort()
print(f"fdatasync of 4 KiB in a zero-filled file: p50 {times[500] * 1e6:.0f} us, p99 {times[990] * 1e6:.0f} us")
PY
run put 64 >/dev/null
for load in "put 64" "get 64" "put 1" "get 1"; do
    syncs=$(counter log_syncs) written=$(mutations)
    # shellcheck disable=SC2086
    result=$(for _ in 1 2 3; do run $load; done | median)
    line="$load connections: $result (requests/s, p50, p99)"
    if [ "$load" = "put 64" ]; then
        line="$line, $(awk -v s=$(($(counter log_syncs) - syncs)) -v w=$(($(mutations) - written)) \
            'BEGIN { printf "%.3f fdatasync per acknowledged write", s / w }')"
    fi
    echo "$line"
done

#!/usr/bin/env bash
# steadfast beside etcd, in one run on one machine: PUT and linearizable GET of 256-byte values over the HTTP
# API of each, three nodes each, all on loopback and on one disk. Prints medians of several rounds and ratios.
#
#   docs/benchmarks/etcd.sh [path of the binary]        ROUNDS=5 SECONDS_PER_RUN=4 SHARDS=6
#
# Needs etcd and etcdctl (Debian: etcd-server, etcd-client), wrk, curl and python3.
#
#   a        one shard, so one leader has all of the load, as in etcd; wrk asks the leader, 64 connections
#   b        SHARDS shards, leaders spread; one wrk for each node, with keys of shards that it leads; 63 connections
#   c        as b, but each wrk asks for any key, so two requests of three are forwarded
#   single   as a, with one connection
#
# etcd has one leader, and is asked there in a, b and single, which is its best case. In c it is asked through
# all of its nodes too. Rounds of the two take turns, so that both see the same machine. A run in which any
# request was refused or failed is thrown away and the script ends.
set -euo pipefail
binary=${1:-target/release/steadfast}
rounds=${ROUNDS:-5}
seconds=${SECONDS_PER_RUN:-4}
shards_many=${SHARDS:-6}
keys=10000
work=$(mktemp -d)
pids=()
stop() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
for tool in etcd etcdctl wrk curl python3 "$binary"; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: see the head of $0" >&2; exit 2; }
done

# --- etcd ------------------------------------------------------------------------------------
etcd_http() { echo "127.0.0.1:$((28300 + $1))"; }
etcd_peer() { echo "127.0.0.1:$((28400 + $1))"; }
members=$(for node in 1 2 3; do printf 'n%d=http://%s,' "$node" "$(etcd_peer "$node")"; done)
for node in 1 2 3; do
    etcd --name "n$node" --data-dir "$work/etcd-$node" --initial-cluster "${members%,}" \
        --listen-peer-urls "http://$(etcd_peer $node)" \
        --initial-advertise-peer-urls "http://$(etcd_peer $node)" \
        --listen-client-urls "http://$(etcd_http $node)" \
        --advertise-client-urls "http://$(etcd_http $node)" >"$work/etcd-$node.log" 2>&1 &
    pids+=($!)
done

# --- steadfast: cluster 1 has one shard, cluster 2 has many ------------------------------------
http() { echo "127.0.0.1:$((27000 + 100 * $1 + $2))"; }
peer() { echo "127.0.0.1:$((27010 + 100 * $1 + $2))"; }
for cluster in 1 2; do
    shards=$([ $cluster = 1 ] && echo 1 || echo "$shards_many")
    for node in 1 2 3; do
        "$binary" start --data "$work/$cluster-$node" --http "$(http $cluster $node)" \
            --peer "$(peer $cluster $node)" 2>"$work/$cluster-$node.log" &
        pids+=($!)
    done
    for node in 1 2 3; do
        until curl -sf -o /dev/null "http://$(http $cluster $node)/livez"; do sleep 0.1; done
    done
    "$binary" -q cluster init --endpoint "http://$(http $cluster 1)" --shards "$shards" \
        --node "$(peer $cluster 1)" --node "$(peer $cluster 2)" --node "$(peer $cluster 3)" >/dev/null
    "$binary" -q cluster wait --for healthy --endpoint "http://$(http $cluster 1)" >/dev/null
done
# Leaders move to whom the map prefers once that node has been stable for five seconds.
sleep 8

etcd_leader() {
    for node in 1 2 3; do
        ETCDCTL_API=3 etcdctl --endpoints "$(etcd_http $node)" endpoint status 2>/dev/null |
            awk -F', ' -v node="$node" '$5 == "true" { print node }'
    done
}
until [ -n "$(etcd_leader)" ]; do sleep 0.2; done
etcd_url=http://$(etcd_http "$(etcd_leader)")
led_by() { # cluster, key: who leads the key's shard
    curl -s -o /dev/null -D - "http://$(http "$1" 1)/v1/kv/$2" | tr -d '\r' |
        awk 'tolower($1) == "steadfast-leader:" { print $2 }'
}
one_url=http://$(http 1 "$(led_by 1 k)")
# Tags, `{t17}` hashes as `t17`, by the node that leads their shard.
for tag in $(seq 1 120); do echo "$(led_by 2 "%7Bt$tag%7Dk") t$tag"; done >"$work/tags"
for node in 1 2 3; do awk -v n=$node '$1 == n { print $2 }' "$work/tags" >"$work/tags-$node"; done
awk '{ print $2 }' "$work/tags" >"$work/tags-any"

# --- load: requests are made before the clock runs, so that wrk costs both alike --------------
cat >"$work/load.lua" <<'LUA'
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
   local out = {}
   for i = 1, #text, 3 do
      local a, b, c = text:byte(i, i + 2)
      local n = a * 65536 + (b or 0) * 256 + (c or 0)
      local quad = {}
      for shift = 3, 0, -1 do
         local six = math.floor(n / 64 ^ shift) % 64
         quad[#quad + 1] = alphabet:sub(six + 1, six + 1)
      end
      if not b then quad[3] = "=" end
      if not c then quad[4] = "=" end
      out[#out + 1] = table.concat(quad)
   end
   return table.concat(out)
end
local requests, turn, fill = {}, 0, false
function init(args)
   local product, method, count, tags_file = args[1], args[2], tonumber(args[3]), args[4]
   fill = method == "fill"
   local tags = {}
   if tags_file then for tag in io.lines(tags_file) do tags[#tags + 1] = tag end end
   local value = string.rep("x", 256)
   local value64 = base64(value)
   math.randomseed(os.time())
   for i = 1, count do
      local key = #tags > 0 and ("{" .. tags[i % #tags + 1] .. "}k" .. i) or ("k" .. i)
      local write = method ~= "get"
      if product == "etcd" then
         local body = '{"key":"' .. base64(key) .. '"' .. (write and ',"value":"' .. value64 .. '"}' or "}")
         requests[i] = wrk.format("POST", write and "/v3/kv/put" or "/v3/kv/range", nil, body)
      else
         local path = "/v1/kv/" .. key:gsub("{", "%%7B"):gsub("}", "%%7D")
         requests[i] = wrk.format(write and "PUT" or "GET", path, nil, write and value or nil)
      end
   end
end
function request()
   turn = turn + 1
   return requests[fill and (turn - 1) % #requests + 1 or math.random(#requests)]
end
LUA
# One wrk: url, connections, seconds, then what load.lua takes. Prints "requests/s p50us p99us".
one() {
    local url=$1 connections=$2 time=$3
    shift 3
    wrk -t1 -c"$connections" -d"${time}s" --latency -s "$work/load.lua" "$url" -- "$@" | awk '
        function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? t * 1000 : t * 1000000 }
        $1 == "50%" { p50 = us($2) } $1 == "99%" { p99 = us($2) } $1 == "Requests/sec:" { rate = $2 }
        /Non-2xx|Socket errors/ { print "refused or failed: " $0 >"/dev/stderr"; bad = 1 }
        END { if (bad) exit 1; printf "%.0f %.0f %.0f\n", rate, p50, p99 }'
}
# Three at once, one for each node: rates add up, of the latencies the worst is taken.
three() { # etcd|steadfast, method, own|any
    local node url tags parts=()
    for node in 1 2 3; do
        if [ "$1" = etcd ]; then url=http://$(etcd_http $node) tags=
        else url=http://$(http 2 $node) tags=$work/tags-$([ "$3" = own ] && echo $node || echo any); fi
        # shellcheck disable=SC2086
        one "$url" 21 "$seconds" "$1" "$2" "$keys" $tags >"$work/part-$node" &
        parts+=($!)
    done
    for part in "${parts[@]}"; do wait "$part"; done
    cat "$work"/part-? | awk '{ rate += $1; if ($2 > p50) p50 = $2; if ($3 > p99) p99 = $3 }
        END { printf "%.0f %.0f %.0f\n", rate, p50, p99 }'
}

echo "filling" >&2
one "$etcd_url" 64 8 etcd fill $keys >/dev/null
one "$one_url" 64 4 steadfast fill $keys >/dev/null
for node in 1 2 3; do one "http://$(http 2 $node)" 64 4 steadfast fill $keys "$work/tags-$node" >/dev/null; done
one "http://$(http 2 1)" 64 4 steadfast fill $keys "$work/tags-any" >/dev/null

for round in $(seq 1 "$rounds"); do
    echo "round $round of $rounds" >&2
    for method in put get; do
        echo "$method a etcd $(one "$etcd_url" 64 "$seconds" etcd $method $keys)"
        echo "$method a steadfast $(one "$one_url" 64 "$seconds" steadfast $method $keys)"
        echo "$method b steadfast $(three steadfast $method own)"
        echo "$method c etcd $(three etcd $method any)"
        echo "$method c steadfast $(three steadfast $method any)"
        echo "$method single etcd $(one "$etcd_url" 1 "$seconds" etcd $method $keys)"
        echo "$method single steadfast $(one "$one_url" 1 "$seconds" steadfast $method $keys)"
    done
done >"$work/results"

python3 - "$work/results" <<'PY'
import statistics, sys
runs = {}
for line in open(sys.argv[1]):
    method, case, product, rate, p50, p99 = line.split()
    runs.setdefault((method, case, product), []).append((float(rate), float(p50), float(p99)))
mid = {k: tuple(statistics.median(column) for column in zip(*v)) for k, v in runs.items()}
print("| | etcd req/s | p50, p99 (ms) | steadfast req/s | p50, p99 (ms) | ratio |")
print("|---|--:|--:|--:|--:|--:|")
for method in ("put", "get"):
    for case in ("a", "b", "c", "single"):
        ours = mid[method, case, "steadfast"]
        theirs = mid[method, "a" if case == "b" else case, "etcd"]
        if case == "c":  # against its best
            theirs = max(theirs, mid[method, "a", "etcd"])
        print(f"| {method.upper()} {case} | {theirs[0]:,.0f} | {theirs[1] / 1e3:.2f}, {theirs[2] / 1e3:.2f} "
              f"| {ours[0]:,.0f} | {ours[1] / 1e3:.2f}, {ours[2] / 1e3:.2f} | {ours[0] / theirs[0]:.1f} |")
print()
for key, values in sorted(runs.items()):
    print(*key, "requests/s by round:", *(f"{rate:.0f}" for rate, _, _ in values))
PY

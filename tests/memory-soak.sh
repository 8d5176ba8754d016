#!/usr/bin/env bash
# The mix of tests/tests/soak.rs on a whole server under valgrind: tasks that are completed, closed early and aborted,
# clients that leave, operators that cancel, kill and restart; for SECONDS_OF_SOAK seconds (60 unless told). No wait here
# is as short as those of the soak, which valgrind is too slow for. Fails on an invalid access, or when the server does
# not end well.
set -euo pipefail
cd "$(dirname "$0")/.."

port=${PORT:-19650} # and the one after it
folder=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

cat >"$folder/troupe.toml" <<TOML
[server]
listen = ["127.0.0.1:$port"]
write_idle_timeout = "10m"
max_wait_time = "10m"
[admin]
listen = "127.0.0.1:$((port + 1))"
[php]
threads = 4
[php.ini]
display_errors = "0"
max_execution_time = "0"
[[site]]
name = "soak"
root = "$PWD/tests/php/soak"
[[site.background]]
name = "worker"
script = "$PWD/tests/php/soak/worker.php"
num = 2
max_queue = 16
intensity = 1000
TOML

cargo build --release --workspace
USE_ZEND_ALLOC=0 valgrind --error-exitcode=77 --num-callers=20 "--suppressions=$PWD/tests/memory.supp" \
  target/release/troupe run --config "$folder/troupe.toml" >"$folder/log" 2>&1 &
server=$!
until curl -s -o /dev/null "http://127.0.0.1:$port/nothing"; do
  kill -0 "$server" || { cat "$folder/log"; exit 1; }
  sleep 1
done

admin() {
  curl -s --max-time 60 "http://127.0.0.1:$((port + 1))$1" "${@:2}"
}

end=$((SECONDS + ${SECONDS_OF_SOAK:-60}))
senders=()
for sender in 1 2 3; do
  while [ $SECONDS -lt $end ]; do
    # Whose task an operator ends gets an exception, and a 500.
    curl -s --max-time 300 "http://127.0.0.1:$port/page.php?sender=$sender"
  done >/dev/null &
  senders+=($!)
done
while [ $SECONDS -lt $end ]; do
  admin /metrics >/dev/null
  # A client that leaves; what it had sent is cancelled.
  curl -s --max-time 3 "http://127.0.0.1:$port/page.php?sender=9" >/dev/null || true
  case $((RANDOM % 3)) in
  0) admin /nodes/site:soak:background:worker:1/kill -X POST >/dev/null ;;
  1) admin /nodes/site:soak:background:worker/restart -X POST >/dev/null ;;
  2)
    task=$(admin /tree | grep -o 'site:soak:tasks:[0-9]*' | head -n 1 || true)
    [ -z "$task" ] || admin "/nodes/$task/cancel" -X POST >/dev/null
    ;;
  esac
done
wait "${senders[@]}" || true

kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
grep 'ERROR SUMMARY' "$folder/log"
[ "$status" -eq 0 ] || { cat "$folder/log" >&2; exit "$status"; }

#!/usr/bin/env bash
# Runs PHP under valgrind: no invalid access, no use of what was never set. PHP's own allocator is off
# (USE_ZEND_ALLOC=0), so that valgrind sees every block a request uses.
#
#   tests/memory.sh          requests of every kind, classic and by a worker; CYCLES says how many of each (1000
#                            unless told); more find no more, they take longer
#   tests/memory.sh stress   the whole server: a background worker that publishes, eight readers, restarts at
#                            random, for TROUPE_STRESS seconds (60 unless told)
set -euo pipefail
cd "$(dirname "$0")/.."

valgrind=(valgrind --quiet --error-exitcode=1 --num-callers=20 "--suppressions=$PWD/tests/memory.supp")
export USE_ZEND_ALLOC=0

# The path of a test's binary.
binary() {
  cargo test --release "$@" --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/deps\/[^"]*\)".*/\1/p'
}

case ${1:-cycles} in
cycles)
  cycle=$(binary -p troupe-sapi --test cycle)
  cd sapi
  TROUPE_CYCLES=${CYCLES:-1000} "${valgrind[@]}" "$cycle"
  ;;
stress)
  cargo build --release --workspace
  stress=$(binary --workspace --test background_workers)
  wrapped=$(mktemp)
  trap 'rm -f "$wrapped"' EXIT
  printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${valgrind[*]@Q}" "$PWD/target/release/troupe" >"$wrapped"
  chmod +x "$wrapped"
  TROUPE_BIN=$wrapped TROUPE_STRESS=${TROUPE_STRESS:-60} "$stress" --nocapture --exact stress::stress
  ;;
*)
  echo "usage: tests/memory.sh [stress]" >&2
  exit 2
  ;;
esac

#!/usr/bin/env bash
# Serves requests of every kind, classic and by a worker, under valgrind: no invalid access, no use of what was
# never set. PHP's own allocator is off (USE_ZEND_ALLOC=0), so that valgrind sees every block a request uses.
# CYCLES says how many requests of each kind (1000 unless told); more find no more, they take longer.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$(cargo test --release -p troupe-sapi --test cycle --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\/cycle-[^"]*\)".*/\1/p')

cd sapi
USE_ZEND_ALLOC=0 TROUPE_CYCLES=${CYCLES:-1000} valgrind --quiet --error-exitcode=1 --num-callers=20 \
  --suppressions=../tests/memory.supp "$binary"

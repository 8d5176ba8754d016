#!/usr/bin/env bash
# Looks for memory errors in background workers and tasks under valgrind: no invalid access, no use of what was
# never set, with tasks that are completed, cancelled and aborted, by functions and by objects. PHP's own allocator
# is off (USE_ZEND_ALLOC=0), so that valgrind sees every block.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$(cargo test --release -p troupe-sapi --test background --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\/background-[^"]*\)".*/\1/p')

cd sapi
USE_ZEND_ALLOC=0 valgrind --quiet --error-exitcode=1 --num-callers=20 --suppressions=../tests/memory.supp \
  "$binary" --test-threads 1

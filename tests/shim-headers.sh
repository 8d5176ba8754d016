#!/usr/bin/env bash
# Does the C shim compile against the PHPs that are supported, but not built here?
#
#   tests/shim-headers.sh
#
# Takes the headers of PHP 8.4 and 8.5 from Debian's later suites, unpacked into the cache folder and
# fetched anew after a week. A PHP whose headers can't be had is skipped, and said to be; 8.4 has to
# be there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=php-src-build/debian.sh
. php-src-build/debian.sh
cache=$(realpath -m "${TROUPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe}")
log=$cache/shim-headers.log

main() {
  local failed=0 result
  mkdir -p "$cache/headers"
  # two runs at once would unpack into one folder
  exec {lock}>>"$cache/headers/lock"
  flock "$lock"
  : >"$log"
  for php in 8.4 8.5; do
    result=0
    check "$php" || result=$?
    if [ "$result" -eq 1 ] || { [ "$result" -eq 2 ] && [ "$php" = 8.4 ]; }; then failed=1; fi
  done
  exit "$failed"
}

# Returns 0 when the shim compiles, 1 when it does not, 2 when there are no headers.
check() {
  local php=$1 dir=$cache/headers/$1 include file status=0
  if [ -z "$(find "$dir/version" -mtime -7 2>/dev/null)" ] && ! fetch_headers "$php" "$dir"; then
    echo "PHP $php: SKIPPED, no php$php-dev could be had from the system's Debian mirror (see $log)"
    return 2
  fi
  include=$(echo "$dir"/usr/include/php/20*)
  # Debian's headers are searched as system headers, so that only our own warnings count.
  for file in sapi/shim/*.c; do
    cc -fsyntax-only -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
      -D_GNU_SOURCE -DZEND_ENABLE_STATIC_TSRMLS_CACHE=1 -DTROUPE_VERSION='"0"' -DTROUPE_SOFTWARE='"Troupe/0"' \
      -isystem "$include" -isystem "$include/main" -isystem "$include/TSRM" -isystem "$include/Zend" \
      -isystem "$include/ext" "$file" || status=1
  done
  if [ "$status" -eq 0 ]; then
    echo "PHP $(cat "$dir/version"): the shim compiles"
  else
    echo "PHP $(cat "$dir/version"): the shim does not compile"
  fi
  return "$status"
}

fetch_headers() {
  local php=$1 dir=$2 version
  {
    open_suites || return 1
    rm -rf "$dir"
    version=$(debian_binary "php$php-dev" "$dir") || return 1
    as_configured_by_us "$dir"/usr/include/php/20*/main/php_config.h || return 1
  } 2>>"$log"
  echo "$version" >"$dir/version"
}

# Once a run, and only when something has to be fetched.
suites_open=no
open_suites() {
  if [ "$suites_open" = no ]; then
    debian_open "$cache/apt/headers" deb trixie trixie-security forky sid experimental || return 1
    suites_open=yes
  fi
}

# Debian configures PHP without threads: the copy gets what php-src-build/configure.flags would have given.
as_configured_by_us() {
  sed -i -E \
    -e 's|^/\* #undef (ZTS\|ZEND_MAX_EXECUTION_TIMERS) \*/|#define \1 1|' \
    -e 's|^#define ZEND_SIGNALS 1|/* #undef ZEND_SIGNALS */|' "$1"
  grep -q '^#define ZTS 1' "$1"
}

main

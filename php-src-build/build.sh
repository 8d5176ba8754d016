#!/usr/bin/env bash
# Makes sure that there is a ZTS PHP to build Troupe against, and prints its prefix.
#
#   PREFIX=$(php-src-build/build.sh [--update | --tests])
#
# A finished build is found again at once; --update looks for a newer PHP first; --tests makes sure
# that PHP's own tests are kept with it as well. The prefix is the only line on standard output;
# progress and errors go to standard error.
#
# A build is named by its PHP version and a hash of that version, configure.flags and compile.sh
# (and of what the environment changes), and lies in the cache folder. Its stamp .complete is written
# last: a folder without it is rubbish from a build that did not end well.
#
# Environment:
#   TROUPE_CACHE           the cache folder (default: $XDG_CACHE_HOME/troupe or ~/.cache/troupe)
#   TROUPE_PHP_SOURCE      build from this tarball or folder, not from a downloaded source
#   TROUPE_PHP_CONFIG      build nothing, use the installed ZTS PHP of this php-config
#   TROUPE_PHP_EXTENSIONS  extra extensions (default: "apcu igbinary redis"; empty: none)
#   CC, CFLAGS, ...        as for any configure script
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(realpath -m "${TROUPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe}")
# shellcheck source=php-src-build/progress.sh
. "$here/progress.sh"
# shellcheck source=php-src-build/debian.sh
. "$here/debian.sh"
# shellcheck source=php-src-build/source.sh
. "$here/source.sh"

# A make that called us hands down its options, and a user's PHP its settings: neither is for PHP's build.
unset MAKEFLAGS MFLAGS MAKELEVEL PHPRC PHP_INI_SCAN_DIR

main() {
  case "$*" in
    "" | --update | --tests) ;;
    *) die "unknown arguments: $* (usage: build.sh [--update | --tests])" ;;
  esac
  if [ -n "${TROUPE_PHP_CONFIG-}" ]; then
    [ -z "${TROUPE_PHP_SOURCE-}" ] || die "TROUPE_PHP_SOURCE and TROUPE_PHP_CONFIG are both set: which of them is meant?"
    check_php "$TROUPE_PHP_CONFIG"
    "$TROUPE_PHP_CONFIG" --prefix
    return
  fi
  case $cache in
    *[[:space:]]*) die "PHP can't be built below a folder with a space in its name: set TROUPE_CACHE, not $cache" ;;
  esac
  identify_given_source

  local prefix=""
  if [ "${1-}" != --update ]; then prefix=$(newest_build); fi
  if [ -z "$prefix" ] || ! extensions_current "$prefix" || lacks_tests "$prefix" "$@"; then
    mkdir -p "$cache"
    log=$cache/php-build.log scratch=$cache/scratch
    take_lock
    if [ "${1-}" != --update ]; then prefix=$(newest_build); fi # another run may just have finished
    "$here/packages.sh" "$here/packages.debian"
    : >"$log"
    if [ -z "$prefix" ]; then build_php; fi
    if ! extensions_current "$prefix"; then build_extensions "$prefix"; fi
    if lacks_tests "$prefix" "$@"; then refetch_phpt "$prefix"; fi
    rm -rf "$scratch"
  fi
  echo "$prefix"
}

# What sets a build apart from the default one of the same version; empty for the default one.
given_source="" given_version=""
identify_given_source() {
  local source=${TROUPE_PHP_SOURCE-}
  [ -n "$source" ] || return 0
  [ -e "$source" ] || die "TROUPE_PHP_SOURCE: there is no $source"
  TROUPE_PHP_SOURCE=$(realpath "$source")
  given_version=$(given_source_version "$TROUPE_PHP_SOURCE" 2>/dev/null) || true
  [ -n "$given_version" ] || die "TROUPE_PHP_SOURCE: $source is not a PHP source tree (no main/php_version.h in it)"
  check_version "$given_version"
  given_source=$(given_source_identity "$TROUPE_PHP_SOURCE")
}

check_version() {
  case $1 in
    8.[2-5].*) ;;
    *) die "PHP $1 is not supported, only 8.2 to 8.5 are" ;;
  esac
}

prefix_of() {
  local compiler="${CC-}${CXX-}${CPPFLAGS-}${CFLAGS-}${CXXFLAGS-}${LDFLAGS-}" hash
  hash=$({
    echo "$1"
    cat "$here/configure.flags" "$here/compile.sh"
    if [ -n "$given_source$compiler" ]; then echo "$given_source$compiler"; fi
  } | sha256sum)
  echo "$cache/php-$1-${hash:0:16}"
}

# Prints the prefix of the newest finished build that today's flags would make again, if there is one.
newest_build() {
  local version
  for version in $(printf '%s\n' "$cache"/php-*/.complete |
    sed -n 's|.*/php-\(.*\)-[0-9a-f]\{16\}/\.complete$|\1|p' | sort -Vru); do
    if { [ -z "$given_version" ] || [ "$version" = "$given_version" ]; } && is_usable "$(prefix_of "$version")"; then
      prefix_of "$version"
      return
    fi
  done
}

# A build that was good may no longer start, when the system's libraries have changed under it.
is_usable() { [ -e "$1/.complete" ] && "$1/bin/php" -n -v >/dev/null 2>&1; }

# One build at a time: a second one waits for the first and finds its result.
take_lock() {
  local lock began=$SECONDS
  exec {lock}>>"$cache/lock"
  if ! flock -n "$lock"; then
    say "another build runs in $cache (process $(cat "$cache/lock")); waiting for it"
    until flock -w 15 "$lock"; do say "    $(elapsed $((SECONDS - began)))  still waiting"; done
  fi
  echo $$ >"$cache/lock"
}

# Fetches the source, and builds it unless that very version is there; sets prefix.
build_php() {
  local version
  rm -rf "$scratch"
  mkdir "$scratch"
  say "PHP: finding a source (log: $log)"
  run_steps "$log" fetch_source "$cache" "$scratch/php"
  sed -n '/is listed, but could not be had$/s/^/  note: /p' "$log" >&2
  version=$(version_of "$scratch/php")
  check_version "$version"
  prefix=$(prefix_of "$version")
  if is_usable "$prefix"; then return; fi

  say "PHP $version: building $prefix (10 to 20 minutes, once)"
  rm -rf "$prefix"
  run_steps "$log" "$here/compile.sh" "$scratch/php" "$prefix" "$here/configure.flags"
  check_php "$prefix/bin/php-config"
  touch "$prefix/.complete"
  keep_phpt "$prefix"
}

# Tells how far the compiler is: the Makefile has one rule for each file.
step_detail() {
  if [ "$1" = compile ]; then
    echo "$(grep -c -e '--mode=compile' "$2") of $(grep -c -e '--mode=compile' "$scratch/php/Makefile") files"
  fi
}

extensions_stamp() {
  { cat "$here/extensions.sh"; echo "${TROUPE_PHP_EXTENSIONS-default}"; } | sha256sum
}

extensions_current() { [ "$(cat "$1/.extensions" 2>/dev/null)" = "$(extensions_stamp)" ]; }

build_extensions() {
  say "PHP extensions for $1"
  run_steps "$log" "$here/extensions.sh" "$1" "$cache" "$scratch/extensions"
  extensions_stamp >"$1/.extensions"
}

phpt_stamp() { sha256sum <"$here/phpt.sh"; }
lacks_tests() { [ "${2-}" = --tests ] && [ "$(cat "$1/.phpt" 2>/dev/null)" != "$(phpt_stamp)" ]; }

# From the source that the build has just been made of.
keep_phpt() {
  run_steps "$log" "$here/phpt.sh" "$scratch/php" "$1"
  phpt_stamp >"$1/.phpt"
}

# For a build that is older than what keeps the tests: the same source is fetched once more.
refetch_phpt() {
  local version
  rm -rf "$scratch"
  mkdir "$scratch"
  say "PHP's own tests for $1"
  run_steps "$log" fetch_source "$cache" "$scratch/php"
  version=$(version_of "$scratch/php")
  [ "$(prefix_of "$version")" = "$1" ] ||
    die "the tests of that PHP can't be had: the source at hand is $version; build that one with build.sh --update"
  keep_phpt "$1"
}

# Ends with a message unless the PHP that belongs to this php-config can be embedded.
check_php() {
  local config=$1 version headers library
  [ -f "$config" ] || die "there is no php-config at $config"
  version=$("$config" --version) || die "$config does not run"
  check_version "$version"
  headers=$("$config" --include-dir)/main/php_config.h
  [ -e "$headers" ] || die "$config: its headers are missing ($headers)"
  grep -q '^#define ZTS 1' "$headers" ||
    die "$config belongs to a PHP without thread safety (NTS); Troupe needs one configured with --enable-zts"
  if grep -q '^#define ZEND_SIGNALS 1' "$headers"; then
    die "$config belongs to a PHP with Zend signals; Troupe needs one configured with --disable-zend-signals"
  fi
  library=$("$config" --prefix)/lib/libphp.so
  [ -e "$library" ] || die "there is no $library; Troupe needs a PHP configured with --enable-embed=shared"
  grep -q '^#define ZEND_MAX_EXECUTION_TIMERS 1' "$headers" ||
    say "warning: $config belongs to a PHP without --enable-zend-max-execution-timers; time limits are less exact"
}

main "$@"

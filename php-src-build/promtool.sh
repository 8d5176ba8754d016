#!/usr/bin/env bash
# Makes sure that there is a promtool, Prometheus' own checker, for the test of /metrics, and prints where.
#
# The system's, if it has one; else that of Debian's package, unpacked into the cache: installed, the package
# would start a server.
#
# Environment: TROUPE_CACHE, as for build.sh
set -euo pipefail

command -v promtool && exit
cache=$(realpath -m "${TROUPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe}")
promtool=$cache/promtool
if [ ! -x "$promtool" ]; then
  # shellcheck source=php-src-build/debian.sh
  . "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
  mkdir -p "$cache"
  scratch=$(mktemp -d --tmpdir="$cache")
  trap 'rm -rf "$scratch"' EXIT
  debian_open "$scratch/apt" deb
  debian_binary prometheus "$scratch/package" >&2
  mv "$scratch/package/usr/bin/promtool" "$promtool"
fi
echo "$promtool"

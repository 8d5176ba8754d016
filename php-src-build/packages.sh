#!/usr/bin/env bash
# Makes sure that the system packages of the given lists are installed (one name a line, # begins a
# comment). Installs what is missing where it may (as root, or by a sudo that asks no password);
# otherwise names it, with the command that installs it.
#
#   packages.sh LIST...
set -euo pipefail
export LC_ALL=C # one sorting order

wanted=$(sed 's/#.*//' "$@" | tr -s '[:space:]' '\n' | sort -u | sed '/^$/d')

if ! command -v dpkg-query >/dev/null; then
  echo "not a Debian system: install what corresponds to these packages: ${wanted//$'\n'/ }" >&2
  exit 0
fi

# dpkg-query fails when it doesn't know one of the names
# shellcheck disable=SC2086  # a name a word
installed=$({ dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null || true; } | sed -n 's/ installed$//p' | sort -u)
missing=$(comm -23 <(echo "$wanted") <(echo "$installed"))
[ -n "$missing" ] || exit 0
missing=${missing//$'\n'/ }

if [ "$(id -u)" -eq 0 ]; then
  root=(env)
elif sudo -n true 2>/dev/null; then
  root=(sudo -n env)
else
  echo "missing system packages; install them with: sudo apt-get update && sudo apt-get install -y $missing" >&2
  exit 1
fi

echo "installing missing system packages: apt-get install -y $missing" >&2
# Another apt may hold the lock for a while, on a machine that has just started.
apt_get=("${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
{
  "${apt_get[@]}" update || true # one vendor's broken repository is no reason to stop
  # shellcheck disable=SC2086  # a name a word
  "${apt_get[@]}" install -y --no-install-recommends $missing
} </dev/null >&2

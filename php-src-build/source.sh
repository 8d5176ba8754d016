# Where PHP's source comes from; sourced by build.sh, never run.
# shellcheck shell=bash

# The fallback where no Debian mirror serves: https://www.php.net/distributions. The hash is that of
# the file a PHP release manager signed (the signature travels with Debian's source package).
release_version=8.2.32
release_sha256=e02aa173c236c12791696254d607da680e6d5516f8f5c2339642de7c4f944bd2

# What is left by an earlier build inside a folder must not get into ours.
pack_folder() {
  tar -C "$1" --exclude='*.o' --exclude='*.lo' --exclude='*.la' --exclude='*.dep' --exclude=.libs \
    --exclude=./Makefile --exclude=./.git --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - .
}

# Identifies a source that the user gave, so that a patched PHP is never mistaken for the plain one.
given_source_identity() {
  if [ -d "$1" ]; then pack_folder "$1" | sha256sum; else sha256sum <"$1"; fi
}

given_source_version() {
  if [ -d "$1" ]; then
    version_of "$1"
  else
    tar -xOf "$1" --wildcards --occurrence=1 '*/main/php_version.h' | version_in
  fi
}

version_of() { version_in <"$1/main/php_version.h"; }
version_in() { sed -n 's/^#define PHP_VERSION "\(.*\)"/\1/p'; }

# Puts a source tree into DEST; prints its steps. The order is the one the documentation promises.
#
#   fetch_source CACHE DEST
fetch_source() {
  local cache=$1 dest=$2
  if [ -n "${TROUPE_PHP_SOURCE-}" ]; then
    echo "unpack $TROUPE_PHP_SOURCE"
    unpack_given "$TROUPE_PHP_SOURCE" "$dest"
  elif ! fetch_from_debian "$cache" "$dest"; then
    fetch_release "$cache" "$dest"
  fi
}

unpack_given() {
  mkdir "$2"
  if [ -d "$1" ]; then
    pack_folder "$1" | tar -C "$2" -xf -
  else
    tar -C "$2" --strip-components=1 -xf "$1"
  fi
  if [ ! -x "$2/configure" ]; then
    echo "error: $1 holds no ./configure; run ./buildconf in it, or give a release tarball" >&2
    return 1
  fi
}

# Fails when Debian's archive can't give a PHP that Troupe supports. Its tarball is upstream's own,
# which carries the generated parsers: neither bison nor re2c is needed.
fetch_from_debian() {
  local cache=$1 dest=$2 series
  echo "look for PHP in Debian's archive"
  debian_open "$cache/apt/source" deb-src || return 1
  for series in 8.5 8.4 8.3 8.2; do
    [ -n "$(debian_versions "php$series")" ] || continue
    echo "fetch Debian's source package php$series"
    if debian_source "php$series" "$cache/downloads" "$dest"; then return 0; fi
  done
  return 1
}

fetch_release() {
  local tarball=$1/downloads/php-$release_version.tar.xz
  local url=https://www.php.net/distributions/${tarball##*/}
  echo "download $url"
  mkdir -p "${tarball%/*}" "$2"
  if ! sha256sum --status -c <<<"$release_sha256  $tarball" 2>/dev/null; then
    curl -fsSL --proto '=https' --retry 3 --connect-timeout 20 -o "$tarball" "$url" >&2 || {
      echo "error: no source of PHP could be had; name a release tarball by TROUPE_PHP_SOURCE" >&2
      return 1
    }
    sha256sum -c <<<"$release_sha256  $tarball" >&2
  fi
  tar -C "$2" --strip-components=1 -xf "$tarball"
}

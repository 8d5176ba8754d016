#!/usr/bin/env bash
# Builds the extensions that are not part of PHP, and enables them and OPcache.
#
#   extensions.sh PREFIX CACHE SCRATCH
#
# Prints one line when a step begins; everything else goes to standard error.
# The text of this file is hashed: a change here builds the extensions anew, PHP itself stays.
set -euo pipefail
prefix=$1 cache=$2 scratch=$3
read -ra extensions <<<"${TROUPE_PHP_EXTENSIONS-apcu igbinary redis}"
# shellcheck source=php-src-build/debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

extension_dir=$("$prefix/bin/php-config" --extension-dir)
conf_dir=$prefix/etc/conf.d
mkdir -p "$scratch"
rm -f "$conf_dir"/10-opcache.ini "$conf_dir"/20-*.ini

# A Debian source package may hold several releases, for several versions of PHP: the newest is ours.
build_extension() {
  local name=$1 options=("--enable-$1") source
  shift
  rm -rf "${scratch:?}/$name"
  debian_source "php-$name" "$cache/downloads" "$scratch/$name"
  source=$(printf '%s\n' "$scratch/$name/$name"-*/config.m4 | sort -V | tail -n 1)
  cd "${source%/config.m4}"
  # igbinary comes first in the list, and redis can then keep values in its format
  if [ "$name" = redis ] && [ -e "$extension_dir/igbinary.so" ]; then options+=(--enable-redis-igbinary); fi
  {
    "$prefix/bin/phpize"
    ./configure --with-php-config="$prefix/bin/php-config" "${options[@]}"
    make -j"$(nproc)"
    make install
  } >&2
}

enable_opcache() {
  # PHP 8.5 has OPcache built in
  if [ -e "$extension_dir/opcache.so" ]; then echo "zend_extension=opcache"; fi
  cat <<'END'
opcache.memory_consumption=128
opcache.interned_strings_buffer=16
opcache.max_accelerated_files=20000
; a changed script is noticed within two seconds; 0 here and a reload on deploy is a little faster
opcache.validate_timestamps=1
opcache.revalidate_freq=2
; the compiler to machine code is one setting away: opcache.jit=tracing
opcache.jit=disable
opcache.jit_buffer_size=64M
END
}

echo "enable opcache"
enable_opcache >"$conf_dir/10-opcache.ini"

if [ ${#extensions[@]} -gt 0 ]; then
  echo "look for the extensions in Debian's archive"
  debian_open "$cache/apt/source" deb-src || {
    echo "error: the extensions come from Debian's archive; set TROUPE_PHP_EXTENSIONS= to go without them" >&2
    exit 1
  }
fi
for name in "${extensions[@]}"; do
  echo "build $name"
  (build_extension "$name")
  echo "extension=$name" >"$conf_dir/20-$name.ini"
done

# PHP reports an extension that does not load as a warning only.
echo "check that all of them load"
warnings=$("$prefix/bin/php" -d display_startup_errors=1 -d display_errors=stderr -r '' 2>&1)
if [ -n "$warnings" ]; then
  echo "error: $warnings" >&2
  exit 1
fi

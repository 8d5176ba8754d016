#!/usr/bin/env bash
# Does php-src-build/build.sh refuse what can't become a PHP, and say why? Builds nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset TROUPE_PHP_CONFIG TROUPE_PHP_SOURCE TROUPE_PHP_EXTENSIONS
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

# An installed PHP of VERSION whose main/php_config.h holds DEFINITIONS.
php_of() {
  # shellcheck disable=SC2016  # $1 is the script's own
  printf '#!/bin/sh\ncase $1 in --version) echo %s ;; --include-dir | --prefix) echo %s ;; esac\n' "$1" "$folder" >"$folder/php-config"
  chmod +x "$folder/php-config"
  mkdir -p "$folder/main"
  printf '%b' "$2" >"$folder/main/php_config.h"
}

# A source tree whose ./configure fails.
mkdir -p "$folder/php-8.2.99/main"
echo '#define PHP_VERSION "8.2.99"' >"$folder/php-8.2.99/main/php_version.h"
printf '#!/bin/sh\necho "configure: error: no compiler" >&2\nexit 1\n' >"$folder/php-8.2.99/configure"
chmod +x "$folder/php-8.2.99/configure"
tar -C "$folder" -cJf "$folder/php.tar.xz" php-8.2.99

# With the given environment it must fail and say TEXT.
refuses() {
  local text=$1 said status=0
  shift
  said=$(env "TROUPE_CACHE=$folder/cache" "$@" php-src-build/build.sh 2>&1) || status=$?
  if [ "$status" -eq 0 ] || [[ $said != *"$text"* ]]; then
    printf 'with %s: expected "%s", got status %s and:\n%s\n' "$*" "$text" "$status" "$said" >&2
    failed=1
  fi
}

refuses "there is no php-config at $folder/none" TROUPE_PHP_CONFIG="$folder/none"
refuses "does not run" TROUPE_PHP_CONFIG=/bin/false
php_of 7.4.33 ""
refuses "PHP 7.4.33 is not supported, only 8.2 to 8.5 are" TROUPE_PHP_CONFIG="$folder/php-config"
php_of 8.2.1 "/* #undef ZTS */\n"
refuses "--enable-zts" TROUPE_PHP_CONFIG="$folder/php-config"
php_of 8.2.1 "#define ZTS 1\n#define ZEND_SIGNALS 1\n"
refuses "--disable-zend-signals" TROUPE_PHP_CONFIG="$folder/php-config"
php_of 8.2.1 "#define ZTS 1\n"
refuses "--enable-embed=shared" TROUPE_PHP_CONFIG="$folder/php-config"
refuses "which of them is meant" TROUPE_PHP_CONFIG=/bin/false TROUPE_PHP_SOURCE=/etc
refuses "there is no $folder/none" TROUPE_PHP_SOURCE="$folder/none"
refuses "is not a PHP source tree" TROUPE_PHP_SOURCE="$folder/main"
refuses "folder with a space" TROUPE_CACHE="$folder/a b"
for source in php-8.2.99 php.tar.xz; do
  refuses "first error, at line 1: configure: error: no compiler" TROUPE_PHP_SOURCE="$folder/$source"
  refuses "the whole log: $folder/cache/php-build.log" TROUPE_PHP_SOURCE="$folder/$source"
done

exit "$failed"

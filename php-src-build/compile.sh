#!/usr/bin/env bash
# Configures, builds and installs one unpacked PHP source tree.
#
#   compile.sh SOURCE_DIR PREFIX FLAGS_FILE
#
# Prints one line when a step begins; everything else goes to standard error.
# The text of this file is part of the build's hash: a change here builds PHP anew.
set -euo pipefail
source_dir=$1 prefix=$2 flags_file=$3

export CFLAGS="${CFLAGS:--O2 -g1 -fno-plt}" CXXFLAGS="${CXXFLAGS:--O2 -g1 -fno-plt}"
mapfile -t flags < <(grep -v '^[[:space:]]*\(#\|$\)' "$flags_file")
cd "$source_dir"

echo "configure"
./configure --prefix="$prefix" --with-config-file-path="$prefix/etc" \
  --with-config-file-scan-dir="$prefix/etc/conf.d" "${flags[@]}" 1>&2

echo "compile"
make -j"$(nproc)" 1>&2

echo "install"
make install 1>&2
mkdir -p "$prefix/etc/conf.d"
install -m 0644 php.ini-production php.ini-development "$prefix/etc/"

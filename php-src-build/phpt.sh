#!/usr/bin/env bash
# Keeps PHP's own tests with the PHP that was built from the same source, for tests/phpt.
#
#   phpt.sh SOURCE_DIR PREFIX
#
# They go into PREFIX/phpt, laid out as in the source tree. Prints one line when a step begins.
# The text of this file is hashed: a change here keeps them anew, PHP itself stays.
set -euo pipefail
source_dir=$1 prefix=$2

echo "keep PHP's own tests"
rm -rf "$prefix/phpt"
mkdir "$prefix/phpt"
cd "$source_dir"
# debian/ is there when the source is Debian's
find . -path ./debian -prune -o -type d -name tests -prune -print0 | tar --null -T - -cf - | tar -C "$prefix/phpt" -xf -

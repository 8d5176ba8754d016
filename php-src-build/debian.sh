# Files from Debian's archive, by a private apt; sourced, never run.
# shellcheck shell=bash
#
# The mirror, proxy and the like are those the system is configured with; the list of packages, the
# cache and the sources list are our own, so nothing is written outside the folder that is given and
# no rights are needed. Only what Debian's archive key signed is accepted: apt checks the index's
# signature and each file against the index.

# Prepares the private apt in DIR for TYPE (deb or deb-src) and downloads the lists of packages; for
# the system's own suites, or for those named. Fails when the system has no apt or no Debian mirror.
#
#   debian_open DIR TYPE [SUITE...]
debian_open() {
  local type=$2 keyring
  debian_dir=$1
  shift 2
  command -v apt-get >/dev/null || { echo "no apt-get on this system" >&2; return 1; }
  for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg} ""; do
    [ ! -e "$keyring" ] || break
  done
  [ -n "$keyring" ] || { echo "no keyring of Debian's archive on this system" >&2; return 1; }

  mkdir -p "$debian_dir"/{lists/partial,archives/partial,sources,empty}
  (umask 077 && debian_configure >"$debian_dir/apt.conf") # proxy addresses may hold passwords
  debian_sources "$type" "$keyring" "$@" >"$debian_dir/sources/debian.sources"
  # Fails when any of the suites can't be had; what matters is found out when a package is asked for.
  debian_apt apt-get update >&2 || true
}

# The system's apt hooks are left out on purpose: they act on the system's folders.
debian_configure() {
  apt-config dump | grep -iE '^Acquire::(https?|ftp|mirror|Retries|ForceIPv|Check-)' || true
  cat <<END
Acquire::Retries "3";
Acquire::Languages "none";
APT::Sandbox::User "root";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$debian_dir/empty";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$debian_dir/sources";
Dir::Cache "$debian_dir";
Dir::Cache::archives "$debian_dir/archives";
Dir::State::lists "$debian_dir/lists";
END
}

# apt itself reads the system's sources, whichever of its two formats they are in. Other vendors'
# sources are among them: they fall out for not being signed by Debian.
debian_sources() {
  local type=$1 keyring=$2
  shift 2
  apt-get indextargets --no-release-info --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" |
    awk -v suites="$*" '
      $3 != "main" || $2 ~ /-backports/ { next }
      suites == "" { print $1, $2; next }
      { # another release lies on the same mirror: security suites by security suites, the rest by the rest
        count = split(suites, wanted, " ")
        for (i = 1; i <= count; i++)
          if ($2 !~ /-/ && wanted[i] !~ /-/ || $2 ~ /-security$/ && wanted[i] ~ /-security$/) print $1, wanted[i]
      }' | sort -u |
    while read -r uri suite; do
      printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
        "$type" "$uri" "$suite" "$keyring"
    done
}

debian_apt() { LC_ALL=C APT_CONFIG="$debian_dir/apt.conf" "$@"; }

# Prints the versions of PACKAGE that the lists know, the newest first.
debian_versions() {
  debian_apt apt-cache madison "$1" |
    awk -F ' *[|] *' -v package="$1" '{ sub(/^ +/, "", $1) } $1 == package { print $2 }' | sort -Vru
}

# Runs COMMAND... PACKAGE=VERSION for the newest version, then for older ones until it succeeds: a
# mirror may lack the files of a version that its lists name. Prints the version.
#
#   debian_newest PACKAGE COMMAND...
debian_newest() {
  local package=$1 version
  shift
  for version in $(debian_versions "$package"); do
    if "$@" "$package=$version" >&2; then
      echo "$version"
      return 0
    fi
    echo "$package $version is listed, but could not be had" >&2
  done
  echo "no version of $package could be had from Debian's archive" >&2
  return 1
}

# Fetches and unpacks a source package as upstream released it, without Debian's patches: a patched
# configure script would have to be generated anew. dpkg-source checks the files once more.
#
#   debian_source PACKAGE DOWNLOADS DEST
debian_source() {
  local package=$1 downloads=$2 dest=$3 version
  mkdir -p "$downloads"
  version=$(cd "$downloads" && debian_newest "$package" debian_apt apt-get source --download-only) || return 1
  dpkg-source --skip-patches -x "$downloads/${package}_${version#*:}.dsc" "$dest" >&2
}

# Fetches and unpacks a binary package, without installing it; prints its version.
#
#   debian_binary PACKAGE DEST
debian_binary() {
  local package=$1 dest=$2 version
  mkdir -p "$dest"
  rm -f "$dest/$package"_*.deb
  version=$(cd "$dest" && debian_newest "$package" debian_apt apt-get download) || return 1
  dpkg -x "$dest/$package"_*.deb "$dest" >&2 && echo "$version"
}

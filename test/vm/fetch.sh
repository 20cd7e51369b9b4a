#!/bin/sh
# Fetches what the second kernel needs into .cache/vm: Debian's cloud kernel, AppArmor's parser, and QEMU with its libraries unless one is installed. Nothing is installed on
# this machine: the packages are only unpacked. Needs apt and Debian's packages.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$root/.cache/vm
mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# $1: the folder below the cache; the rest: packages.
unpack() {
  name=$1
  shift
  mkdir "$work/$name" "$work/$name.debs"
  (cd "$work/$name.debs" && apt-get download "$@" >"$work/log" 2>&1) || { cat "$work/log" >&2; return 1; }
  for package in "$work/$name.debs"/*.deb; do dpkg-deb -x "$package" "$work/$name"; done
  rm -rf "${cache:?}/$name"
  mv "$work/$name" "$cache/$name"
}

if ! ls "$cache"/kernel/boot/vmlinuz-* >/dev/null 2>&1; then
  image=$(apt-cache depends --no-recommends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
  unpack kernel "$image"
fi
# The profile of containers is loaded by it; Debian's kernel has AppArmor.
if [ ! -x "$cache/apparmor/sbin/apparmor_parser" ]; then unpack apparmor apparmor; fi
# A second OCI runtime, which only runs where cgroup v2 is alone.
if [ ! -x "$cache/crun/usr/bin/crun" ]; then unpack crun crun libyajl2; fi
if ! command -v qemu-system-x86_64 >/dev/null 2>&1 && [ ! -x "$cache/qemu/usr/bin/qemu-system-x86_64" ]; then
  # What apt would install beside it is what it needs; libraries that are there are not asked for.
  unpack qemu $(apt-get install -s --no-install-recommends qemu-system-x86 | awk '$1 == "Inst" { print $2 }')
fi

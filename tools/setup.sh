# Sourced by ./gantry and tools/npm-run.sh when the stamp does not fit: installs packages, builds the native helper and
# the bundles. Expects $root, $build, $node, $arch. Everything lands in the checkout; a lock lets two runs at once wait
# for each other, and the second finds the work done.

say() { echo "gantry: $*" >&2; }

# $1: a message of what is missing; $2: how to get it.
missing() {
  say "cannot set up: $1"
  say "  $2"
  return 1
}

set_up() {
  mkdir -p "$build" 2>/dev/null || { missing "$root is not writable" "run this once as the owner of the checkout, or clone it to a place of your own"; return 1; }
  if command -v flock >/dev/null 2>&1; then
    exec 8>"$build/.setup.lock"
    flock -n 8 || { say "another run is setting up; waiting for it"; flock 8; }
  fi
  if is_set_up; then exec 8>&-; return 0; fi
  set_up_locked
  result=$?
  exec 8>&-
  return $result
}

set_up_locked() {
  read_head
  find_tools || return 1
  lock_hash=$(cksum <"$root/package-lock.json" | tr ' ' '-')
  # A stamp of its own: a later step that fails does not bring the packages in again.
  old_lock=
  [ -f "$build/packages" ] && read -r old_lock <"$build/packages"
  if [ "$old_lock" != "$lock_hash" ] || [ ! -x "$node" ]; then
    install_packages || return 1
    echo "$lock_hash" >"$build/packages"
  fi
  build_native || return 1
  say "bundling the command line and the daemon"
  GANTRY_BUILD="$head" "$node" --no-warnings "$root/tools/bundle.ts" || return 1
  echo "$head $arch $lock_hash" >"$build/stamp.new" && mv "$build/stamp.new" "$build/stamp"
  restart_daemon
}

# Everything that could be missing is told before the first long step.
find_tools() {
  command -v npm >/dev/null 2>&1 || { missing "npm is not installed (any Node.js from 18 on brings it; it only bootstraps)" "apt-get install nodejs npm"; return 1; }
  if command -v musl-gcc >/dev/null 2>&1; then cc=musl-gcc
  elif command -v cc >/dev/null 2>&1; then cc=cc
  elif command -v gcc >/dev/null 2>&1; then cc=gcc
  else missing "there is no C compiler (for the native launcher)" "apt-get install gcc libc6-dev make    (or musl-tools for a smaller program)"; return 1
  fi
  command -v make >/dev/null 2>&1 || { missing "make is not installed" "apt-get install make"; return 1; }
}

install_packages() {
  say "installing packages by npm ci (the pinned Node among them), once"
  # A wrapper of npm may export a configuration for its own Node; ours is a plain install.
  (cd "$root" && npm ci --no-audit --no-fund --include=optional --include=dev --loglevel=error >&2) ||
    { missing "npm ci failed" "check the network and the npm registry (npm ping), then run the command again"; return 1; }
  [ -x "$node" ] || { missing "the package $node_package did not install (npm may run with --omit=optional)" "npm config set omit '' && npm ci"; return 1; }
}

build_native() {
  say "building the native launcher with $cc"
  make -s -C "$root/native" OUT="$build/native" >&2 || { missing "the native launcher did not compile" "look at the compiler's message above; apt-get install gcc libc6-dev linux-libc-dev make"; return 1; }
}

# A new build: the default daemon of this checkout is restarted, its containers live on.
restart_daemon() {
  [ -r /run/gantry/gantry.pid ] || return 0
  read -r old_pid </run/gantry/gantry.pid || return 0
  # Ours by its program (its command line reads "gantryd"); npm ci may have replaced that file meanwhile: "... (deleted)".
  case $(readlink "/proc/$old_pid/exe" 2>/dev/null) in "$(readlink -f "$root")/"*) ;; *) return 0 ;; esac
  say "restarting the daemon (pid $old_pid) with the new build; its containers keep running"
  kill -TERM "$old_pid" 2>/dev/null || return 0
  waited=0
  while kill -0 "$old_pid" 2>/dev/null && [ $waited -lt 200 ]; do sleep 0.05; waited=$((waited + 1)); done
}

# Sourced by ./gantry: starts the default daemon, detached in its own session and cgroup, and waits until it answers.
# Expects $root, $build, $node.

start_daemon() {
  if [ "$(id -u)" != 0 ]; then
    echo "gantry: no daemon runs at unix:///run/gantry/gantry.sock, and starting one needs root." >&2
    echo "gantry:   start it once as root (sudo $root/gantry daemon), or point GANTRY_HOST at another one" >&2
    return 1
  fi
  mkdir -p /run/gantry /var/lib/gantry
  chmod 0711 /run/gantry
  chmod 0710 /var/lib/gantry
  exec 9>/run/gantry/autostart.lock
  command -v flock >/dev/null 2>&1 && flock 9
  if daemon_runs; then exec 9>&-; return 0; fi
  log=/var/lib/gantry/daemon.log
  (
    exec 9>&- 8>&-
    own_cgroup
    exec setsid "$node" --no-warnings -- "$build/gantry.cjs" daemon </dev/null >>"$log" 2>&1
  ) &
  started=$!
  wait_until_ready
  result=$?
  exec 9>&-
  return $result
}

# The daemon outlives the session that started it, so it leaves that session's cgroups too.
own_cgroup() {
  # With cgroup v2 alone there is one tree, and what lies below its root are other people's cgroups; else each hierarchy has a directory.
  if [ -f /sys/fs/cgroup/cgroup.procs ]; then set -- /sys/fs/cgroup; else set -- /sys/fs/cgroup/*; fi
  for tree in "$@"; do
    [ -f "$tree/cgroup.procs" ] || continue
    case $tree in */cpuset) continue ;; esac
    mkdir -p "$tree/gantry/daemon" 2>/dev/null && echo 0 >"$tree/gantry/daemon/cgroup.procs" 2>/dev/null || :
  done
}

wait_until_ready() {
  waited=0
  while ! daemon_runs; do
    if ! kill -0 "$started" 2>/dev/null || [ $waited -ge 600 ]; then
      echo "gantry: the daemon did not start; the end of its log ($log):" >&2
      tail -n 5 "$log" >&2
      return 1
    fi
    sleep 0.05
    waited=$((waited + 1))
  done
}

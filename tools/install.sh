# Sourced by ./gantry install | uninstall [OPTIONS]: a systemd unit and a link in the PATH. Expects $root and $node.
#
#   install [--docker-socket] [--group NAME] [--prefix DIR]
#   uninstall [--prefix DIR]
#
# With --prefix everything is written below DIR and nothing is started: for images of machines, and for tests.

docker_socket=/run/docker.sock

read_install_options() {
  verb=$1
  shift
  own_docker_socket= group= prefix=
  while [ $# -gt 0 ]; do
    case $1 in
      --docker-socket) [ "$verb" = install ] || install_usage "unknown flag: $1"; own_docker_socket=1 ;;
      --group) [ "$verb" = install ] || install_usage "unknown flag: $1"; shift; group=${1:?--group needs a name} ;;
      --group=*) [ "$verb" = install ] || install_usage "unknown flag: $1"; group=${1#*=} ;;
      --prefix) shift; prefix=${1:?--prefix needs a directory} ;;
      --prefix=*) prefix=${1#*=} ;;
      -h | --help) install_usage "" ;;
      *) install_usage "unknown argument: $1" ;;
    esac
    shift
  done
  unit=$prefix/etc/systemd/system/gantry.service
  link=$prefix/usr/local/bin/gantry
}

install_usage() {
  if [ -n "$1" ]; then exec >&2; echo "gantry $verb: $1"; fi
  if [ "$verb" = install ]; then
    cat <<TEXT
Usage:  gantry install [OPTIONS]

Make a systemd service of the daemon, and put gantry in the PATH

Options:
      --docker-socket   Listen on /var/run/docker.sock too, in the place of Docker
      --group NAME      Group that may use the sockets (default: gantry, else docker, when there)
      --prefix DIR      Write below DIR, and start nothing
TEXT
  else
    cat <<TEXT
Usage:  gantry uninstall [OPTIONS]

Take back what install made; containers go on running, and all data is kept

Options:
      --prefix DIR   Remove from below DIR
TEXT
  fi
  [ -z "$1" ] && exit 0
  exit 125
}

need_root() {
  [ -n "$prefix" ] || [ "$(id -u)" = 0 ] || { echo "gantry: $verb needs root: sudo $root/gantry $verb" >&2; exit 1; }
}

gantry_install() {
  read_install_options install "$@"
  need_root
  [ -z "$group" ] || getent group "$group" >/dev/null || { echo "gantry: there is no group $group: groupadd --system $group makes it" >&2; exit 1; }
  if [ -n "$own_docker_socket" ]; then refuse_foreign_engine; fi
  mkdir -p "${link%/*}"
  if [ -e "$link" ] && [ ! -L "$link" ]; then echo "gantry: $link is there and is no link: remove it first" >&2; exit 1; fi
  ln -sfn "$root/gantry" "$link"
  echo "linked $link -> $root/gantry"
  if [ -z "$prefix" ] && [ ! -d /run/systemd/system ]; then
    echo "systemd does not run here: no unit was made; the daemon is started by the first command"
    return 0
  fi
  mkdir -p "${unit%/*}"
  write_unit >"$unit"
  echo "wrote $unit"
  [ -n "$prefix" ] && return 0
  systemctl daemon-reload
  # A daemon that was started by a command holds the data root: the service takes over, containers run on.
  if daemon_runs; then "$node" --no-warnings -- "$build/gantry.cjs" system stop >/dev/null; fi
  systemctl enable --now gantry.service
}

# Ours may be there already: from an install before.
refuse_foreign_engine() {
  socket=$prefix$docker_socket
  [ -S "$socket" ] || return 0
  name=$("$node" "$root/tools/engine-name.mjs" "$socket") || return 0
  [ "$name" = Gantry ] && return 0
  cat >&2 <<TEXT
gantry: another engine ($name) answers at /var/run/docker.sock. Both cannot own it. To give it to Gantry:
gantry:   systemctl disable --now docker.service docker.socket   (its containers stop; docs/migration.md tells how to take them along)
TEXT
  exit 1
}

write_unit() {
  hosts="-H unix:///run/gantry/gantry.sock"
  [ -n "$own_docker_socket" ] && hosts="$hosts -H unix://$docker_socket"
  [ -n "$group" ] && hosts="$hosts --group $group"
  cat <<TEXT
[Unit]
Description=Gantry container daemon
Documentation=file://$root/README.md
After=network-online.target nss-lookup.target nftables.service firewalld.service time-set.target
Wants=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=3

[Service]
Type=notify
ExecStart="$root/gantry" daemon $hosts
ExecReload=/bin/kill -HUP \$MAINPID
# Containers outlive the daemon: only the main process is ended, and the cgroups below are ours to manage. When the machine goes down they are
# ended as gently as they wish (SIGPWR), and come back with it as their restart policies say.
ExecStop=/bin/sh -c 'case \$\$(systemctl is-system-running) in stopping) kill -PWR \$\$MAINPID ;; *) kill -TERM \$\$MAINPID ;; esac; while kill -0 \$\$MAINPID 2>/dev/null; do sleep 0.1; done'
KillMode=process
Delegate=yes
Restart=on-failure
RestartSec=2
TimeoutStartSec=infinity
TimeoutStopSec=120
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
TEXT
}

gantry_uninstall() {
  read_install_options uninstall "$@"
  need_root
  if [ -f "$unit" ]; then
    [ -n "$prefix" ] || systemctl disable --now gantry.service || :
    rm -f "$unit"
    [ -n "$prefix" ] || systemctl daemon-reload
    echo "removed $unit"
  fi
  if [ -L "$link" ] && [ "$(readlink "$link")" = "$root/gantry" ]; then
    rm -f "$link"
    echo "removed $link"
  fi
  echo "images, containers and volumes are kept in /var/lib/gantry; gantry system reset removes them"
}

# Sourced by ./gantry install | uninstall: a systemd unit and a link in the PATH. Expects $root.

unit=/etc/systemd/system/gantry.service
link=/usr/local/bin/gantry

gantry_install() {
  [ "$(id -u)" = 0 ] || { echo "gantry: install needs root: sudo $root/gantry install" >&2; exit 1; }
  ln -sfn "$root/gantry" "$link"
  echo "linked $link -> $root/gantry"
  if [ ! -d /run/systemd/system ]; then
    echo "systemd does not run here: no unit was made; the daemon is started by the first command"
    return 0
  fi
  cat >"$unit" <<EOF
[Unit]
Description=Gantry container daemon
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=$root/gantry daemon
# Containers outlive the daemon: only the main process is ended, and the cgroups below are ours to manage.
KillMode=process
Delegate=yes
Restart=on-failure
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
EOF
  systemctl daemon-reload
  systemctl enable --now gantry.service
}

gantry_uninstall() {
  [ "$(id -u)" = 0 ] || { echo "gantry: uninstall needs root: sudo $root/gantry uninstall" >&2; exit 1; }
  if [ -f "$unit" ]; then
    systemctl disable --now gantry.service || :
    rm -f "$unit"
    systemctl daemon-reload
  fi
  [ -L "$link" ] && [ "$(readlink "$link")" = "$root/gantry" ] && rm -f "$link"
  echo "removed; images and containers are kept in /var/lib/gantry"
}

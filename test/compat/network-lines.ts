/**
 * Command lines on networks and ports, in the manner of lines.ts. Subnets are named where they would show: both engines choose their own otherwise. The peer
 * has a network namespace of its own, so a fixed port of the host can be taken on both sides; nothing here talks to one.
 */
import type { CompatLine } from './lines.ts';

const make = 'docker network create --subnet 10.77.0.0/24';

export const networkLines: readonly CompatLine[] = [
  { name: 'network ls', script: 'docker network ls --format "{{.Name}} {{.Driver}} {{.Scope}} {{.IPv6}} {{.Internal}}"' },
  {
    name: 'network ls: table',
    script: 'docker network ls --filter name=none; docker network ls -q | wc -l; docker network ls --no-trunc -q | wc -c',
  },
  {
    name: 'network ls: filters',
    script: `${make} --label a=b --label c nf1 >/dev/null; docker network create nf2 >/dev/null; for f in driver=null driver=bridge type=custom type=builtin label=a label=a=b label=a=x name=nf name=f1 scope=local scope=swarm dangling=true dangling=false; do echo $f: $(docker network ls --filter $f --format "{{.Name}}"); done; docker network ls --filter name=nf1 --filter label=c --format "{{.Name}} {{.Label \\"a\\"}}"; docker network rm nf1 nf2`,
  },
  {
    name: 'network ls: unknown filter',
    script: 'docker network ls --filter bogus=1; echo $?',
    differs: 'newer daemons write "invalid" with a small letter',
  },
  {
    name: 'network create and inspect',
    script: `${make} --gateway 10.77.0.254 --ip-range 10.77.0.128/25 --aux-address r=10.77.0.200 --label a=b --attachable -o com.docker.network.bridge.enable_icc=false ni | wc -c; docker network inspect -f "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.Attachable}} {{.Ingress}} {{.ConfigOnly}} {{.EnableIPv6}} {{json .IPAM}} {{json .Options}} {{json .Labels}} {{json .Containers}}" ni; docker network rm ni`,
  },
  {
    name: 'network inspect: predefined',
    script:
      'for n in host none; do docker network inspect -f "{{.Name}} {{.Driver}} {{.Scope}} {{len .IPAM.Config}} {{len .Containers}} {{len .Id}}" $n; done; docker network inspect -f "{{.Driver}} {{len .IPAM.Config}}" bridge',
  },
  { name: 'network inspect: missing', script: 'docker network inspect nope; echo $?' },
  {
    name: 'network: by prefix of its id',
    script: `id=$(${make} nx); docker network inspect -f "{{.Name}}" $(echo $id | cut -c1-12); docker network rm $(echo $id | cut -c1-10) | wc -c; docker network ls -q --filter name=nx`,
  },
  { name: 'network create: same name', script: `${make} nd | wc -c; docker network create nd; echo $?; docker network rm nd` },
  { name: 'network create: predefined name', script: 'docker network create host; echo $?' },
  {
    name: 'network create: bad name',
    script: 'docker network create "a/b" >/dev/null && docker network rm a/b; echo $?',
    differs: 'newer text',
  },
  {
    name: 'network create: unknown driver',
    script: 'docker network create -d bogus nb; echo $?; docker network ls -q --filter name=nb',
    differs: 'our text says which there are',
    peerWaits: true,
  },
  {
    name: 'network create: bad subnet',
    script: 'docker network create --subnet 10.0.0.0/33 nb; echo $?; docker network ls -q --filter name=nb',
    differs: 'newer text',
  },
  { name: 'network create: gateway outside', script: 'docker network create --subnet 10.0.0.0/24 --gateway 10.1.0.1 nb; echo $?' },
  {
    name: 'network create: overlap',
    script: `${make} no1 | wc -c; ${make} no2; echo $?; docker network rm no1`,
    differs: 'our text names the other network',
  },
  { name: 'network rm: predefined', script: 'for n in bridge host none; do docker network rm $n; echo $?; done' },
  { name: 'network rm: missing', script: 'docker network rm nope; echo $?; docker network rm -f nope; echo $?' },
  {
    name: 'network rm: in use',
    script: `${make} nu >/dev/null; docker run -d --name nuc --network nu busybox sleep 100 | wc -c; docker network rm nu; echo $?; docker rm -f nuc; docker network rm nu`,
    differs: 'newer daemons name the endpoints',
  },
  {
    name: 'network prune',
    script: `${make} --label keep np1 >/dev/null; docker network create np2 >/dev/null; docker create --name npc --network np1 busybox true >/dev/null; docker network prune -f --filter label=nope; docker network prune -f --filter label!=keep; docker network ls --format "{{.Name}}" --filter name=np; docker rm npc; docker network rm np1`,
  },
  {
    name: 'network connect and disconnect, running',
    script: `${make} nc >/dev/null; docker network create --subnet 10.78.0.0/24 ny >/dev/null; docker run -d --name ncc --network ny busybox sleep 100 >/dev/null; docker network disconnect ny ncc; docker network connect --ip 10.77.0.9 --alias al nc ncc; sleep 0.3; docker exec ncc ip -4 -o addr | grep -v 127.0.0.1 | tr -s " " | cut -d" " -f3-4; docker inspect -f "{{range \\$n, \\$e := .NetworkSettings.Networks}}{{\\$n}} {{\\$e.IPAddress}}/{{\\$e.IPPrefixLen}} {{\\$e.MacAddress}} {{json \\$e.IPAMConfig}} {{index \\$e.Aliases 0}} {{len \\$e.EndpointID}} {{end}}" ncc; docker network inspect -f "{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.MacAddress}}{{end}}" nc; docker network disconnect nc ncc; sleep 0.3; docker exec ncc ip -o link | wc -l; docker inspect -f "{{json .NetworkSettings.Networks}}" ncc; docker rm -f ncc; docker network rm nc ny`,
  },
  {
    name: 'network connect and disconnect, created (Compose v1)',
    script: `${make} nk >/dev/null; docker create --name nkc --network nk busybox ip -4 -o addr show dev eth0 >/dev/null; docker network disconnect nk nkc; docker network connect --alias web --ip 10.77.0.33 nk nkc; docker start -a nkc | tr -s " " | cut -d" " -f2-4; docker inspect -f "{{index .NetworkSettings.Networks.nk.Aliases 0}}" nkc; docker rm nkc; docker network rm nk`,
  },
  {
    name: 'network connect: refused',
    script: `${make} nr >/dev/null; docker run -d --name nrc --network nr busybox sleep 100 >/dev/null; docker network connect nr nrc; echo $?; docker network connect nope nrc; echo $?; docker network connect nr nope; echo $?; docker network disconnect bridge nrc; echo $?; docker network connect host nrc; echo $?; docker rm -f nrc; docker network rm nr`,
  },
  {
    name: 'network connect: address taken',
    script: `${make} nt >/dev/null; docker run -d --name nt1 --network nt --ip 10.77.0.5 busybox sleep 100 >/dev/null; docker run -d --name nt2 --network nt busybox sleep 100 >/dev/null; docker run --rm --network nt --ip 10.77.0.5 busybox true; echo $?; docker run --rm --network nt --ip 10.78.0.5 busybox true; echo $?; docker rm -f nt1 nt2; docker network rm nt`,
    differs: 'our texts name the holder and the subnets; what is known before a start is refused at create',
  },
  {
    name: 'run --ip without a network of the user',
    script: 'docker run --rm --ip 172.17.0.9 busybox true; echo $?',
    differs: 'newer text',
  },
  { name: 'run: unknown network', script: 'docker run --rm --network nope busybox true; echo $?' },
  {
    name: 'user network: address, route, MAC',
    script: `${make} na >/dev/null; docker run --rm --network na --ip 10.77.0.40 busybox sh -c "ip -4 -o addr show dev eth0; ip route; cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu" | tr -s " " | sed -e "s/ valid_lft.*//" -e "s/^[0-9]*: //" -e "s/ onlink//"; docker network rm na`,
  },
  {
    name: 'user network: MAC of its own',
    script: `${make} nm >/dev/null; docker run --rm --network nm --mac-address 02:42:0a:4d:00:77 busybox cat /sys/class/net/eth0/address; docker network rm nm`,
  },
  {
    name: 'user network: names',
    script: `${make} nn >/dev/null; docker run -d --name nn1 --network nn --network-alias first --ip 10.77.0.11 busybox sleep 100 >/dev/null; for n in nn1 first $(docker ps -q --filter name=nn1) nn1.nn; do docker run --rm --network nn busybox ping -c1 -W2 $n | sed -n "1s/PING [^ ]*/PING/p"; done; docker run --rm --network nn busybox ping -c1 -W2 nobody.invalid; echo $?; docker rm -f nn1; docker network rm nn`,
    peerWaits: true,
  },
  {
    name: 'user network: link with an alias',
    script: `${make} nl >/dev/null; docker run -d --name nl1 --network nl --ip 10.77.0.21 busybox sleep 100 >/dev/null; docker run --rm --network nl --link nl1:db busybox ping -c1 -W2 db | sed -n 1p; docker rm -f nl1; docker network rm nl`,
  },
  {
    name: 'default bridge: link',
    script:
      'docker run -d --name dl1 busybox sleep 100 >/dev/null; docker run --name dl2 --link dl1:db busybox sh -c "ping -c1 -W2 db | sed -n 1p | cut -c1-7; grep -cw db /etc/hosts"; docker inspect -f "{{json .HostConfig.Links}}" dl2; docker rm -f dl1 dl2',
  },
  {
    name: 'internal network: no default route',
    script: `${make} --internal nq >/dev/null; docker run --rm --network nq --ip 10.77.0.8 busybox ip route | tr -s " "; docker network inspect -f "{{.Internal}}" nq; docker network rm nq`,
    differs: 'the peer leaves a route through the bridge there, which leads nowhere',
  },
  {
    name: 'etc/hosts on a user network',
    script: `${make} nh >/dev/null; docker run --rm --network nh --ip 10.77.0.9 -h web.example --add-host db:1.2.3.4 --add-host six:::1 busybox cat /etc/hosts /etc/hostname; docker network rm nh`,
  },
  {
    name: 'etc/resolv.conf on a user network',
    script: `${make} ns >/dev/null; docker run --rm --network ns --dns 9.9.9.9 --dns-search example.com --dns-option ndots:2 busybox cat /etc/resolv.conf; docker network rm ns`,
    differs: 'newer daemons write comments into it',
  },
  {
    name: 'etc/resolv.conf on the default bridge',
    script:
      'docker run --rm --dns 9.9.9.9 --dns 8.8.8.8 --dns-search example.com --dns-option timeout:2 busybox sh -c "grep -v ^# /etc/resolv.conf | grep . | sort"',
  },
  {
    name: 'add-host host-gateway',
    script:
      'docker run --rm --add-host gw:host-gateway busybox sh -c "grep -c gw /etc/hosts; ping -c1 -W2 gw | grep -c \'1 packets received\'"',
  },
  {
    name: 'network of another container',
    script: `${make} nz >/dev/null; docker run -d --name nz1 -h nzhost --network nz --ip 10.77.0.66 busybox sleep 100 >/dev/null; docker run --rm --network container:nz1 busybox sh -c "hostname; ip -4 -o addr show dev eth0 | tr -s ' ' | cut -d' ' -f4"; docker create --network container:nz1 -p 80:80 busybox; echo $?; docker create --network container:nz1 -h x busybox; echo $?; docker rm -f nz1; docker network rm nz`,
  },
  {
    name: 'network host',
    script:
      'docker run -d --name hh --network host busybox sleep 100 >/dev/null; docker inspect -f "{{.HostConfig.NetworkMode}} {{range \\$n, \\$e := .NetworkSettings.Networks}}{{\\$n}} {{\\$e.IPAddress}}{{end}} {{json .NetworkSettings.Ports}}" hh; docker rm -f hh',
  },
  {
    // Which of the two is eth0 changes from run to run on the peer.
    name: 'several networks',
    script: `${make} ma >/dev/null; docker network create --subnet 10.78.0.0/24 mb >/dev/null; docker create --name mm --network ma busybox sh -c "ip -4 -o addr | grep -v 127 | tr -s ' ' | cut -d' ' -f4 | sort" >/dev/null; docker network connect mb mm; docker start -a mm; docker inspect -f "{{range \\$n, \\$e := .NetworkSettings.Networks}}{{\\$n}} {{end}}" mm; docker ps -a --filter network=mb --format "{{.Networks}}" | tr , "\\n" | sort; docker rm mm; docker network rm ma mb`,
  },
  {
    name: 'rename keeps the network',
    script: `${make} re >/dev/null; docker run -d --name re1 --network re --ip 10.77.0.31 busybox sleep 100 >/dev/null; docker rename re1 re2; docker run --rm --network re busybox ping -c1 -W2 re2 | sed -n 1p; docker network inspect -f "{{range .Containers}}{{.Name}}{{end}}" re; docker rm -f re2; docker network rm re`,
  },
  {
    name: 'the address comes back after a restart',
    script: `${make} rs >/dev/null; docker run -d --name rs1 --network rs --ip 10.77.0.41 busybox sleep 100 >/dev/null; docker restart -t 0 rs1; docker inspect -f "{{.NetworkSettings.Networks.rs.IPAddress}}" rs1; docker stop -t 0 rs1; docker inspect -f "{{.NetworkSettings.Networks.rs.IPAddress}}|{{json .NetworkSettings.Ports}}" rs1; docker rm rs1; docker network rm rs`,
  },
  {
    name: 'ports: fixed, as inspect, port and ps show them',
    script:
      'docker run -d --name po -p 18080:80 -p 127.0.0.1:18053:53/udp --expose 443 busybox sleep 100 >/dev/null; docker port po; docker port po 80; docker port po 53/udp; docker port po 443; echo $?; docker inspect -f "{{json .NetworkSettings.Ports}} {{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}}" po; docker ps --filter name=po --format "{{.Ports}}"; docker stop -t 0 po; docker port po; docker inspect -f "{{json .NetworkSettings.Ports}}" po; docker rm po',
  },
  {
    name: 'ports: a range, IPv6, sctp, by themselves',
    script:
      'docker run -d --name pr -p 18100-18102:90-92 -p [::1]:18110:80 -p 18120:7/sctp busybox sleep 100 >/dev/null; docker port pr; docker rm -f pr',
    differs: 'sctp needs the protocol in the kernel, and the peer starts a proxy for it',
  },
  {
    name: 'ports: ephemeral',
    script:
      'docker run -d --name pe -p 80 -P --expose 81 busybox sleep 100 >/dev/null; docker port pe | cut -d: -f1 | sort -u; docker inspect -f "{{range \\$p, \\$b := .NetworkSettings.Ports}}{{\\$p}} {{len \\$b}} {{end}} {{json .HostConfig.PortBindings}}" pe; docker rm -f pe',
  },
  {
    name: 'ports: one of a range of the host',
    script:
      'docker run -d --name p1 -p 18200-18201:80 busybox sleep 100 >/dev/null; docker run -d --name p2 -p 18200-18201:80 busybox sleep 100 >/dev/null; docker port p1 80; docker port p2 80; docker rm -f p1 p2',
  },
  {
    name: 'ports: taken',
    script:
      'docker run -d --name pt -p 18300:80 busybox sleep 100 >/dev/null; docker run -d --name pu -p 18300:80 busybox sleep 100; echo $?; docker rm -f pt pu',
    differs: 'our text names the holder',
  },
  {
    name: 'ports: with network none or host',
    script:
      'docker run --rm --network none -p 18400:80 busybox true; echo $?; docker run --rm --network host -p 18400:80 busybox true; echo $?',
  },
  {
    name: 'ports: filters of ps',
    script:
      'docker run -d --name pf -p 18500:80 --expose 99 busybox sleep 100 >/dev/null; for f in publish=18500 publish=80 expose=99 expose=90-100/tcp expose=1 network=bridge network=none; do echo $f: $(docker ps --filter $f --format "{{.Names}}"); done; docker rm -f pf',
  },
  {
    name: 'events of networks: actions',
    script: `s=$(date +%s); ${make} ng >/dev/null; docker run --rm --network ng busybox true; docker network rm ng >/dev/null; docker events --since $s --until $(($(date +%s)+1)) --filter type=network --filter network=ng --format "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}"`,
  },
  {
    name: 'info: network plugins',
    script: 'docker info --format "{{json .Plugins.Network}}" | tr "," "\\n" | grep -c -e bridge -e host -e null',
  },
];

/** Command lines of which `docker` and `gantry` must make the same request, or which both must refuse in the same words. */

/** Options of `create` at the edges of what Docker's client takes. */
export const edgeLines = `
create --restart bogus x
create --restart always:3 x
create --restart on-failure:-1 x
create --rm --restart no x
create --log-opt nope x
create --annotation =x x
create --annotation nope x
create --security-opt =x x
create --security-opt foo=bar x
create --ipc bogus x
create --expose 80/bogus x
create --isolation bogus x
create --name "a b" x
create --ip bogus x
create --ip6 1.2.3.4 x
create --link-local-ip bogus x
create --tmpfs "" x
create --volumes-from "" x
create --mount type=bogus,dst=/a x
create --ulimit nofile=-1 x
create --ulimit nofile=-5 x
create --device /dev//null x
create --device /dev/null:/dev/../x x
create --device /dev/null:rw x
create --device /dev/null:/x:m x
create --device relative:/x x
create -e A -e A=1 -e A x
create --label-file LABELS x
create --env-file ENVFILE2 x
create --dns ::1 --dns 1.1.1.1 x
create --dns " 1.1.1.1" x
create --dns-search . x
create --dns-option "" x
create --hostname "" x
create --stop-signal bogus x
create --stop-timeout -1 x
create --stop-timeout 0 x
create --oom-score-adj -1001 x
create --pids-limit -1 x
create --pids-limit 0 x
create --memory 0 x
create --memory-swap 0 x
create --memory "5 m" x
create --memory .5g x
create --memory 5. x
create --memory 1e3 x
create --cpus 1/2 x
create --cpus 1e1 x
create --cpus -1 x
create --cpu-shares -5 x
create --cpu-shares 0x10 x
create --cpu-shares 010 x
create --cpu-shares 1_000 x
create --blkio-weight 0x10 x
create --oom-score-adj 0b11 x
create --memory-swappiness -1 x
create --health-interval 0 x
create --health-interval 1h1.5m x
create --health-cmd "" x
create --health-retries 0 x
create --health-start-interval 5ms x
create --no-healthcheck --health-cmd "" x
create --group-add "" x
create --user "" x
create --user : x
create --workdir rel x
create --pid container:a x
create --ipc container: x
create --ipc shareable --ipc private x
create --cgroupns private x
create --cgroup-parent "" x
create --runtime "" x
create --runtime io.containerd.runc.v2 x
create --log-driver "" x
create --log-driver none x
create --platform linux x
create --platform linux/amd64 x
create --platform linux/arm/v7 x
create --platform arm64 x
create --platform LINUX/AMD64 x
create --platform linux/bogus x
create --platform windows/amd64 x
create --platform "" x
create --mac-address 02-42-ac-11-00-02 x
create --mac-address 0242.ac11.0002 x
create --mac-address 02:42:AC:11:00:02 x
create --mac-address 02:42:ac:11:00:02:03:04 x
create --cap-add bogus --cap-drop all x
create --cap-add CAP_SYS_ADMIN --cap-drop sys_admin x
create --security-opt label=disable --security-opt label:type:x x
create --security-opt no-new-privileges:true x
create --security-opt no-new-privileges=false x
create --security-opt seccomp=builtin x
create --security-opt writable-cgroups=true x
create --security-opt systempaths=bogus x
create --security-opt systempaths=unconfined --security-opt systempaths=unconfined x
create --storage-opt size=5G --storage-opt a= x
create --log-opt a=b=c --log-opt d= --log-opt e x
create --gpus device=GPU-1 x
create --gpus count=2,driver=x,options=a=b x
create --gpus "\\"options=a=b,c=d\\"" x
create --gpus "\\"capabilities=a,b\\"" x
create --gpus options=a x
create --gpus "count=1,device=2" x
create --gpus count=all x
create --gpus count=0 x
create --gpus -1 x
create --gpus +2 x
create --gpus 007 x
create --gpus "1,2" x
create --gpus "count=2,3" x
create --gpus "device=0" --gpus "device=1" x
create --gpus "\\"device=0,2\\"" x
create --gpus "\\"device=0:1\\"" x
create --gpus device= x
create --gpus "device=GPU-8ce1-55,driver=nvidia" x
create --gpus driver=nvidia x
create --gpus "driver=nvidia,count=2" x
create --gpus capabilities= x
create --gpus "all,capabilities=compute" x
create --gpus "\\"capabilities=compute,utility\\",\\"device=0,1\\"" x
create --gpus "1,options=exclusive=true" x
create --gpus "1,\\"options=\\"\\"a=b,c\\"\\",d=\\"" x
create --gpus all --device vendor.com/class=name --device /dev/null:/dev/x x
create --device nvidia.com/gpu=all --device vv/cc=0:1 --device nvidia.com/gpu=GPU-1.2_3-x x
create --device vendor.com/net-1.x=a x
create --gpus all --gpus 1 x
create --link a:a x
create --link /a:/b x
create --network-alias "" --network n x
create --volume-driver "" x
create --volumes-from a:rw x
create --init x
create --init=true x
create --disable-content-trust x
create --pull "" x
create -q --pull never x
create --read-only=0 x
create -ti x
create -it=false x
create -a STDIN x
create -a stdin -a stdin x
create -a stdin -i x
create --entrypoint "" x
create --entrypoint "a b" x a
create x ""
create x -- y
create -w=/x x
create -w= x
create -p=80:80 x
create -m=5m x
create -c5 x
create --rm true x
create --sysctl net.x=1 x
create --sysctl kernel.shmmax=1 x
create --sysctl fs.mqueue.a=1 x
create --cap-add ALL --cap-add NET_ADMIN x
create --cap-drop ALL --cap-drop MKNOD x
create --cap-add ALL --cap-drop ALL x
create --cap-add "" x
create -p 80/TCP x
create -p 80-90:80 x
create -p 0:0 x
create -p target=80,mode=host x
create -p target=80,mode=bogus x
create --network name=n,ip=bogus x
create --network n --ip 1.2.3.4 --network m x
create --network none --network host x
create --tmpfs /a:bogus x
create --mount type=bind,src=/a,dst=/b,consistency=bogus x
create --mount type=bind,src=/a,dst=/b,bind-propagation=bogus x
create --mount type=npipe,src=/a,dst=/b x
create --mount type=cluster,src=/a,dst=/b x
create --mount type=bind,src=,dst=/b x
create --mount "type=bind,src=/a,dst=/b " x
create --mount type=volume,src=a,dst=/b,volume-label= x
create --mount type=volume,src=a,dst=/b,volume-opt=a x
create --mount type=bind,src=rel,dst=/b x
create --mount type=bind,src=./rel,dst=/b x
create --mount type=bind,src=../rel,dst=/b x
create -v a:b:c:d:e x
create -v ~/a:/b x
create -v ..:/b x
create -v .:/b x
create -v /a:/b:ro,bogus x
create -v a b
create -v /a:b x
create --log-driver=json-file --log-opt max-size=1m x
create -h "a b" x
create --stop-signal= x
create --name= x
create sha256:0123456789012345678901234567890123456789012345678901234567890123
create 0123456789012345678901234567890123456789012345678901234567890123
create a/b/c:tag@sha256:0123456789012345678901234567890123456789012345678901234567890123
create --annotation nope x
create --annotation =x x
create --log-opt nope x
create --restart bogus x
create --restart always:3 x
create --restart on-failure:-1 x
create --rm --restart no x
create --security-opt =x x
create --security-opt foo=bar x
create --ipc bogus x
create --expose 80/bogus x
create --isolation bogus x
create --name "a b" x
create --ip bogus x
create --ip6 1.2.3.4 x
create --link-local-ip bogus x
create --tmpfs "" x
create --volumes-from "" x
create --mount type=bogus,dst=/a x
logs --since bogus c
logs --until bogus c
`
  .split('\n')
  .filter((line) => line !== '');

/** Refused by both before anything is asked for. */
export const refusedOptionLines = `
create --ulimit core=unlimited x
create --ulimit NOFILE=1 x
create --device relative x
create --device /a:b x
create -l a -l a=b -l " c = d " x
create --dns-search "a b" x
create --dns-search -bad x
create --add-host a=1.2.3.4 --add-host b:[::1] --add-host c:fe80::1%eth0 --add-host d:host-gateway x
create --add-host "a=b=1.2.3.4" x
create --memory -1 x
create --cpus " 1" x
create --cpu-shares 99999999999999999999 x
create --blkio-weight 100000000000000000000 x
create --oom-score-adj 9223372036854775808 x
create --userns keep-id x
create --userns private x
create --uts private x
create --platform a/b/c/d x
create --platform bogus x
create --mac-address 02:42:ac:11:00 x
create --sysctl a= x
create --sysctl =x x
create --expose "" x
create -p "" x
create --gpus "device=0,device=1" x
create --io-maxiops 5 --io-maxbandwidth 1m --cpu-count 2 --cpu-percent 50 --isolation hyperv x
create "" 
create -- --x
create --sysctl vm.x=1 x
create --sysctl kernel.foo=1 x
create --sysctl net. x
create -p abc x
create -p 80:abc x
create -p 80:80:80:80 x
create -p 1.2.3.4:80 x
create -p 1.2.3.4 x
create -p 80-79:80 x
create -p 80:80-79 x
create -p target=80,published=abc x
create -p target=80,protocol=bogus x
create -p /tcp x
create --network "" x
create --network alias=a x
create --network name=n,gw-priority=a x
create --network name=n,mac-address=bogus x
create --network name=n,driver-opt=a x
create --network name=n,ip=1.2.3.4 --ip 1.2.3.5 x
create --network name=n,alias=a --network-alias b x
create --network bridge --network bridge x
create --network host --network-alias a x
create --network name=n,mac-address=02:42:ac:11:00:02 --mac-address 02:42:ac:11:00:03 x
create --mount type=volume,dst=/a,bind-propagation=shared x
create --mount type=bind,dst=/a,bogus x
create --mount type=bind,src=/a,dst=/b,bind-nonrecursive=maybe x
create --mount type=bind,src=/a,dst= x
create --mount " type=bind,src=/a,dst=/b" x
create UPPER
create a:b:c
create " x"
create --memory abc x
create -m 5q x
create --memory-swap nope x
create --memory-swappiness 200 x
create --memory-swappiness -2 x
create --memory-reservation z x
create --shm-size bogus x
create --cpus abc x
create --cpus 0.0000000001 x
create --cpu-shares abc x
create --cpu-period x x
create --pids-limit 1.5 x
create --oom-score-adj many x
create --blkio-weight -1 x
create --blkio-weight 70000 x
create --blkio-weight-device /dev/sda x
create --blkio-weight-device sda:100 x
create --blkio-weight-device /dev/sda:5 x
create --blkio-weight-device /dev/sda:abc x
create --device-read-bps /dev/sda x
create --device-read-bps sda:1mb x
create --device-read-bps /dev/sda:-1 x
create --device-read-bps /dev/sda:zz x
create --device-write-iops /dev/sda:1mb x
create --device-write-iops /dev/sda:-5 x
create --device-write-iops sda:5 x
create --device /dev/a:/dev/b:rwx x
create --device a:b:c:d x
create --device "" x
create --device /dev/null:rr x
create --device-cgroup-rule bogus x
create --device-cgroup-rule "c 1:3 rwx" x
create --ulimit nofile x
create --ulimit nope=1 x
create --ulimit nofile=a x
create --ulimit nofile=5:3 x
create --ulimit nofile=1:2:3 x
create --ulimit core=-1:5 x
create --env-file /no/such/file x
create --label-file /no/such/file x
create -e =x x
create -e "" x
create -l =x x
create --sysctl nope x
create --storage-opt nope x
create --log-driver none --log-opt a=b x
create --health-interval 5 x
create --health-interval -5s x
create --health-timeout abc x
create --health-timeout -1s x
create --health-retries -1 x
create --health-retries abc x
create --health-start-period -1s x
create --health-start-interval -1s x
create --no-healthcheck --health-cmd true x
create --no-healthcheck --health-retries 3 x
create --restart on-failure:a x
create --restart :3 x
create --restart on-failure:3:4 x
create --rm --restart always x
create --rm --restart on-failure x
create --security-opt bogus x
create --security-opt seccomp=/no/such/profile x
create --security-opt "" x
create --userns bogus x
create --uts bogus x
create --pid bogus x
create --pid container: x
create --cgroupns bogus x
create --add-host nope x
create --add-host a:b x
create --add-host a:1.2.3.400 x
create --add-host :1.2.3.4 x
create --link "" x
create --link a:b:c x
create --dns nope x
create --expose abc x
create --expose 80:80 x
create --expose 80-70 x
create --expose 99999 x
create -a bogus x
create --attach "" x
create --gpus bogus x
create --gpus count=abc x
create --gpus all,all x
create --gpus foo=bar x
create --gpus "" x
create --gpus "1,count=1" x
create --gpus "1,1" x
create --gpus "device=0,1,1" x
create --gpus 1_0 x
create --gpus 1.5 x
create --gpus 99999999999999999999 x
create --gpus options= x
create --gpus "options=\\"a" x
create --gpus "\\"device=0,1" x
create --gpus =1 x
create --gpus "all, device=1" x
create --gpus ALL x
create --device vendor.com/class= x
create --device vendor.com/class=-x x
create --device 0v.com/class=x x
create --device vendor.com/class=x:ro: x
create --pull bogus x
create --platform bogus x
create --stop-timeout abc x
create --init=maybe x
create --tty=maybe x
create --io-maxiops -1 x
create --io-maxbandwidth abc x
create --cpu-count abc x
create --cpu-percent abc x
create --mac-address bogus x
create --mac-address bogus --network n x
create --cidfile /no/such/dir/file x
create --bogus x
create --nam x
create -Z x
create --name
create -e
create --memory= x
create --mount bogus x
create --mount type=bind,src=/a x
create --mount type=bind,src=/a,dst=/b,readonly=maybe x
create --mount type=tmpfs,dst=/t,tmpfs-size=abc x
create --mount type=tmpfs,dst=/t,tmpfs-mode=999 x
create --mount type=bind,src=/a,dst=/b,bind-recursive=maybe x
create --mount type=bind,src=/a,dst=/b,bind-recursive=writable x
create --mount type=bind,src=/a,dst=/b,ro,bind-recursive=readonly x
create --mount "" x
create --group-add "" --use-api-socket=maybe x
create --runtime "" --sig-proxy x
create --detach x
run -d --attach stdout x
run -d -a stdin x
run --sig-proxy=maybe x
exec c
exec --bogus c true
exec -e =x c true
exec --env-file /no/such c true
exec -u
start --bogus c
start -a c d
start -i c d
attach c d
attach --bogus c
ps x
ps -f bogus
ps -n abc
inspect -f "{{bogus}}" c
rename a
rename a b c
rename "" b
rename a ""
port c d e
kill -s
stop -t abc c
restart -t abc c
logs
events --since bogus
events --filter bogus
events x
diff
diff a b
update
update c
pause
unpause
container bogus
image bogus
image prune x
container prune x
system prune x
images a b
history
tag a
rmi
save
load x
volume create a b
network rm
version x
info x
update --memory abc c
update --cpus abc c
update --restart a:b:c c
update --bogus c
update --blkio-weight 70000 c
commit c UPPER
commit c a b
commit
export
export a b
cp
cp a b
cp - -
cp a b c
stats --no-stream --bogus
stop -t 5 --time 3 c
events -f bogus
tag a UPPER
exec -T c
update --memory abc c
update --cpus abc c
update --restart a:b:c c
update --bogus c
update --blkio-weight 70000 c
commit c UPPER
commit c a b
commit
export
export a b
cp
cp a b
cp - -
cp a b c
stats --no-stream --bogus
stop -t 5 --time 3 c
events -f bogus
tag a UPPER
exec -T c
`
  .split('\n')
  .filter((line) => line !== '');

/** The other verbs of a container's life, and lists. */
export const verbLines = `
update -m 64m --memory-swap 128m --memory-reservation 32m c
update --cpus 1.5 c d
update --cpu-shares 5 --cpu-period 100 --cpu-quota 50 --cpuset-cpus 0 --cpuset-mems 0 c
update --cpu-rt-period 1 --cpu-rt-runtime 2 --blkio-weight 100 --pids-limit 5 c
update --pids-limit -1 c
update --pids-limit 0 c
update --restart always c
update --restart on-failure:3 c
update --restart no c
update --memory-swap -1 c
update -c 7 c
update --restart bogus c
update --restart always:3 c
commit c
commit c x:1
commit --pause=false --change "CMD a" -c "ENV B=1" c reg:5000/x:tag
top c
top c -eo pid,args
top c aux
unpause c
kill -s 9 c
stop -t 5 c
stop --time 5 c
stop -s INT -t -1 c
restart -t 3 -s HUP c
rename a b
rm -f -v c
rm -l c/d
start c d
events --since 10 --until 20 -f type=container -f event=start
ps -a -f label=a -f status=running --no-trunc -s -n 5
ps -aq --filter "name=a b"
ps -n -1
container prune -f --filter until=1h --filter label=a
image prune -af --filter dangling=false
images -a --filter reference=x y
images --digests --no-trunc -q
history --no-trunc -q -H=false x
tag a b:c
save a b
inspect --size c
inspect -s --type container c
start --detach-keys a c
system df -v
system prune -af --filter until=1h
update -m 64m --memory-swap 128m --memory-reservation 32m c
update --cpus 1.5 c d
update --cpu-shares 5 --cpu-period 100 --cpu-quota 50 --cpuset-cpus 0 --cpuset-mems 0 c
update --cpu-rt-period 1 --cpu-rt-runtime 2 --blkio-weight 100 --pids-limit 5 c
update --pids-limit -1 c
update --pids-limit 0 c
update --restart always c
update --restart on-failure:3 c
update --restart no c
update --memory-swap -1 c
update -c 7 c
update --restart bogus c
update --restart always:3 c
commit c
commit c x:1
commit --pause=false --change "CMD a" -c "ENV B=1" c reg:5000/x:tag
top c
top c -eo pid,args
top c aux
unpause c
kill -s 9 c
stop -t 5 c
stop --time 5 c
stop -s INT -t -1 c
restart -t 3 -s HUP c
rename a b
rm -f -v c
rm -l c/d
start c d
events --since 10 --until 20 -f type=container -f event=start
ps -a -f label=a -f status=running --no-trunc -s -n 5
ps -aq --filter "name=a b"
ps -n -1
container prune -f --filter until=1h --filter label=a
image prune -af --filter dangling=false
images -a --filter reference=x y
images --digests --no-trunc -q
history --no-trunc -q -H=false x
tag a b:c
save a b
inspect --size c
inspect -s --type container c
start --detach-keys a c
system df -v
system prune -af --filter until=1h
`
  .split('\n')
  .filter((line) => line !== '');

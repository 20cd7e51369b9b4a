import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCgroupMounts } from './cgroup-host.ts';
import { placementIn } from './cgroup-placement.ts';

const coMounted = `24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 24 0:28 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid shared:16 - cgroup cgroup rw,net_cls,net_prio
36 31 0:33 / /sys/fs/cgroup/memory rw,nosuid shared:17 - cgroup cgroup rw,memory
37 31 0:34 / /mnt/my\\040pids rw - cgroup cgroup rw,pids
38 31 0:34 / /mnt/again rw - cgroup cgroup rw,pids
`;

test('parseCgroupMounts: a hybrid host with controllers mounted together', () => {
  const host = parseCgroupMounts(coMounted, (mountPoint) => {
    assert.equal(mountPoint, '/sys/fs/cgroup/unified');
    return 'hugetlb rdma\n';
  });
  assert.equal(host.mode, 'hybrid');
  assert.equal(host.unified, '/sys/fs/cgroup/unified');
  assert.deepEqual([...host.unifiedControllers], ['hugetlb', 'rdma']);
  assert.deepEqual(Object.fromEntries(host.v1), {
    cpu: '/sys/fs/cgroup/cpu,cpuacct',
    cpuacct: '/sys/fs/cgroup/cpu,cpuacct',
    net_cls: '/sys/fs/cgroup/net_cls,net_prio',
    net_prio: '/sys/fs/cgroup/net_cls,net_prio',
    memory: '/sys/fs/cgroup/memory',
    pids: '/mnt/my pids',
  });
});

test('parseCgroupMounts: v2, v1, and a host without any', () => {
  const v2 = parseCgroupMounts('30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw', () => 'cpu memory');
  assert.equal(v2.mode, 'v2');
  const v1 = parseCgroupMounts('30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory', () => assert.fail());
  assert.equal(v1.mode, 'v1');
  assert.equal(v1.unified, null);
  assert.throws(() => parseCgroupMounts('1 2 0:1 / / rw - ext4 /dev/vda rw', () => ''), /No cgroup is mounted/);
});

test('placementIn: each hierarchy once, and only the controllers of containers', () => {
  const host = parseCgroupMounts(coMounted, () => '');
  assert.deepEqual(placementIn(host, '/gantry/abc'), {
    joinFiles: ['/sys/fs/cgroup/cpu,cpuacct/gantry/abc/tasks', '/sys/fs/cgroup/memory/gantry/abc/tasks', '/mnt/my pids/gantry/abc/tasks'],
    v2Directory: '/sys/fs/cgroup/unified/gantry/abc',
    directories: [
      '/sys/fs/cgroup/cpu,cpuacct/gantry/abc',
      '/sys/fs/cgroup/memory/gantry/abc',
      '/mnt/my pids/gantry/abc',
      '/sys/fs/cgroup/unified/gantry/abc',
    ],
    oomFile: '/sys/fs/cgroup/memory/gantry/abc/memory.oom_control',
    killFile: '/sys/fs/cgroup/unified/gantry/abc/cgroup.kill',
    freezerDirectory: '/sys/fs/cgroup/unified/gantry/abc',
    paths: {
      cpu: '/sys/fs/cgroup/cpu,cpuacct/gantry/abc',
      cpuacct: '/sys/fs/cgroup/cpu,cpuacct/gantry/abc',
      memory: '/sys/fs/cgroup/memory/gantry/abc',
      pids: '/mnt/my pids/gantry/abc',
      unified: '/sys/fs/cgroup/unified/gantry/abc',
    },
  });
});

test('placementIn: refuses paths that lead elsewhere', () => {
  const host = parseCgroupMounts(coMounted, () => '');
  for (const path of ['', 'gantry', '/', '/gantry/', '/gantry//a', '/gantry/../..', '/./a', '/a\0b']) {
    assert.throws(() => placementIn(host, path), /Invalid cgroup path/, JSON.stringify(path));
  }
});

/**
 * The AppArmor profile that containers get where the kernel has AppArmor: a second lock on what masks, read-only mounts and seccomp close already, for the case that
 * one of them is opened (a container that may mount, a 32-bit socketcall past the filter). Everything is allowed but what is denied here.
 */
export const appArmorProfileName = 'gantry-default';

export const appArmorProfile = `
profile ${appArmorProfileName} flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  umount,
  network,
  # Sockets of the kernel's crypto interface.
  deny network alg,

  # Its own processes, and what the host's send it.
  signal (send,receive) peer=${appArmorProfileName},
  signal (receive) peer=unconfined,
  ptrace (trace,read,tracedby,readby) peer=${appArmorProfileName},

  deny mount,

  # The kernel's knobs, whatever is mounted over them.
  deny /proc/* w,
  deny /proc/{acpi,asound,bus,fs,irq,scsi}/** w,
  deny /proc/sys/[^kn]** w,
  deny /proc/sys/kernel/[^ms]** w,
  deny /proc/sys/kernel/s[^eh]** w,
  deny /proc/sys/kernel/m[^s]** w,
  deny /proc/{kcore,kmem,mem,sysrq-trigger} rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;

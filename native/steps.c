/* The plan's steps by name: simple ones here, the rest in mounts.c and process-steps.c. */
#include "files.h"
#include "setup.h"
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

struct setup setup = {.root = -1, .report = -1, .user_namespace = -1};

/* A file below /proc or /sys is only written when it really lies there: a swapped mount must not receive a label meant for the kernel (CVE-2025-52881). */
static int step_write_file(const struct step *s) {
	bool optional = s->number[0];
	int fd = open(s->text[0], O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) return optional && errno == ENOENT ? 0 : -1;
	struct statfs fs;
	size_t length = strlen(s->text[1]);
	int result = -1;
	if (fstatfs(fd, &fs) == 0) {
		if (!strncmp(s->text[0], "/proc/", 6) && fs.f_type != KERNEL_PROC_MAGIC) errno = EXDEV;
		else result = write(fd, s->text[1], length) == (ssize_t)length ? 0 : -1;
	}
	close_quietly(fd);
	return result;
}

static int make_node(int parent, const char *name, const struct step *s) {
	mode_t mode = (mode_t)s->number[0];
	dev_t device = makedev((unsigned)s->number[1], (unsigned)s->number[2]);
	struct stat st;
	if (mknodat(parent, name, mode, device)) {
		/* The same device twice (once by default, once asked for) is one device. */
		if (errno != EEXIST || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW)) return -1;
		if ((st.st_mode & S_IFMT) != (mode & S_IFMT) || st.st_rdev != device) {
			errno = EEXIST;
			return -1;
		}
	}
	if (fchownat(parent, name, (uid_t)s->number[3], (gid_t)s->number[4], AT_SYMLINK_NOFOLLOW)) return -1;
	return fchmodat(parent, name, mode & 07777, 0);
}

/* `deed` on the last component of a path whose parent is resolved. */
static int in_parent(const struct step *s, int (*deed)(int, const char *, const struct step *)) {
	char buffer[PATH_MAX];
	const char *name;
	int parent = root_parent(s->text[0], &name, buffer, sizeof buffer);
	if (parent < 0) return -1;
	int result = deed(parent, name, s);
	close_quietly(parent);
	return result;
}

static int make_link(int parent, const char *name, const struct step *s) {
	return symlinkat(s->text[1], parent, name) && errno != EEXIST ? -1 : 0;
}

static int step_join(const struct step *s) {
	int fd = open(s->text[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0) return -1;
	int result = setns(fd, (int)s->number[0]);
	close_quietly(fd);
	return result;
}

static int step_keyring(const struct step *s) {
	if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, s->text[0]) >= 0) return 0;
	return errno == ENOSYS || errno == EPERM ? 0 : -1;
}

int step_run(const struct step *s) {
	switch (s->code) {
	case STEP_WRITE_FILE: return step_write_file(s);
	case STEP_UNSHARE: return unshare((int)s->number[0]);
	case STEP_PROPAGATION: return step_propagation(s);
	case STEP_OVERLAY: return step_overlay(s);
	case STEP_BIND_ROOT: return step_bind_root(s);
	case STEP_MOUNT: return step_mount(s);
	case STEP_BIND: return step_bind(s);
	case STEP_MKDIR: return root_mkdirs(s->text[0], (mode_t)s->number[0], (uid_t)s->number[1], (gid_t)s->number[2]);
	case STEP_MKNOD: return in_parent(s, make_node);
	case STEP_SYMLINK: return in_parent(s, make_link);
	case STEP_MOUNT_TMPFS_COPYUP: return step_tmpfs_copyup(s);
	case STEP_PIVOT: return step_pivot(s);
	case STEP_MASK: return step_mask(s);
	case STEP_READONLY: return step_readonly(s);
	case STEP_READONLY_ROOT: return step_readonly_root(s);
	case STEP_HOSTNAME: return sethostname(s->text[0], strlen(s->text[0]));
	case STEP_DOMAINNAME: return setdomainname(s->text[0], strlen(s->text[0]));
	case STEP_LOOPBACK_UP: return step_loopback();
	case STEP_TERMINAL: return step_terminal(s);
	case STEP_RLIMIT: return step_rlimit(s);
	case STEP_KEYRING: return step_keyring(s);
	case STEP_NO_NEW_PRIVILEGES: return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	case STEP_BOUNDING: return step_bounding(s);
	case STEP_SECCOMP: return step_seccomp(s);
	case STEP_USER: return step_user(s);
	case STEP_CAPABILITIES: return step_capabilities(s);
	case STEP_CHDIR: return step_chdir(s);
	case STEP_EXEC: return step_exec(s);
	case STEP_JOIN: return step_join(s);
	case STEP_TAKE_TREE: return step_take_tree(s);
	case STEP_MOUNT_LAYERS: return step_mount_layers(s);
	case STEP_MEMORY_FILE: return step_memory_file(s);
	case STEP_USER_NAMESPACE: return step_user_namespace(s);
	case STEP_FILE_OWNER: return step_file_owner(s);
	case STEP_OWN_STDIO: return step_own_stdio(s);
	case STEP_ENTER_USER_NAMESPACE: return step_enter_user_namespace(s);
	case STEP_CHECKPOINT: return step_checkpoint(s);
	case STEP_HOOK: return step_hook(s);
	}
	errno = ENOSYS;
	return -1;
}

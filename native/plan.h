/*
 * The plan (src/runtime/plan.ts) as bytes; src/runtime/plan-encoding.ts is the other half.
 *
 *   u32 clone flags | text cgroup2 ("": none) | steps `before` | joins | steps [| takeover]
 *   takeover: text pid file | text console ("": none) | u32 patience (ms) | u32 length, plan `follow` | u32 length, plan `farewell` (length 0: none)
 *   steps: u32 count, then per step u8 code and the fields of its row below
 *   joins: u32 count, then per join u8 kind (1 path: text, u32 nstype; 2 init: u32 nstypes)
 *
 * Field letters: s text, u u32, q u64, b bytes (u32 length), l list of texts, n list of u32 (u32 count each).
 * Booleans are u32 0 or 1. Fields are read in order; each kind of letter is numbered on its own: text[0], text[1], number[0] ...
 */
#ifndef GANTRY_PLAN_H
#define GANTRY_PLAN_H
#include "wire.h"

#define PLAN_STEPS(X) \
	X(WRITE_FILE, 1, "ssu") /* path data optional */ \
	X(UNSHARE, 2, "u") /* flags */ \
	X(PROPAGATION, 3, "u") /* flags */ \
	X(OVERLAY, 4, "sslsss") /* target lowerBase lowers upper work options */ \
	X(BIND_ROOT, 5, "s") /* source */ \
	X(MOUNT, 6, "sssus") /* fstype source target flags data */ \
	X(BIND, 7, "sssuuuuuunn") /* source subpath target recursive flags recursiveReadOnly propagation create taken uidMap gidMap */ \
	X(MKDIR, 8, "suuu") /* target mode uid gid */ \
	X(MKNOD, 9, "suuuuu") /* target mode major minor uid gid */ \
	X(SYMLINK, 10, "ss") /* target text */ \
	X(MOUNT_TMPFS_COPYUP, 11, "sus") /* target flags data */ \
	X(PIVOT, 12, "") /* */ \
	X(MASK, 13, "s") /* target */ \
	X(READONLY, 14, "s") /* target */ \
	X(READONLY_ROOT, 15, "") /* */ \
	X(HOSTNAME, 16, "s") /* name */ \
	X(DOMAINNAME, 17, "s") /* name */ \
	X(LOOPBACK_UP, 18, "") /* */ \
	X(TERMINAL, 19, "uuu") /* console rows columns */ \
	X(RLIMIT, 20, "uqq") /* resource soft hard */ \
	X(KEYRING, 21, "s") /* name */ \
	X(NO_NEW_PRIVILEGES, 22, "") /* */ \
	X(BOUNDING, 23, "q") /* mask */ \
	X(SECCOMP, 24, "bu") /* filter flags */ \
	X(USER, 25, "uunu") /* uid gid groups umask */ \
	X(CAPABILITIES, 26, "qqqq") /* effective permitted inheritable ambient */ \
	X(CHDIR, 27, "s") /* path */ \
	X(EXEC, 28, "lls") /* argv env path */ \
	X(JOIN, 29, "su") /* path nstype */ \
	X(TAKE_TREE, 30, "sssu") /* source subpath namespace recursive */ \
	X(MOUNT_LAYERS, 31, "sslssl") /* target lowerBase lowers options subpath writable */ \
	X(USER_NAMESPACE, 32, "nn") /* uidMap gidMap */ \
	X(FILE_OWNER, 33, "uu") /* uid gid */ \
	X(OWN_STDIO, 34, "u") /* uid */ \
	X(ENTER_USER_NAMESPACE, 35, "") /* */ \
	X(MEMORY_FILE, 36, "sbuuu") /* target content mode uid gid */ \
	X(CHECKPOINT, 37, "") /* */ \
	X(HOOK, 38, "sssslluu") /* path directory before after argv env confined timeoutMs */

#define PLAN_CODE(name, code, fields) STEP_##name = code,
enum { PLAN_STEPS(PLAN_CODE) STEP_LIMIT };
#define JOIN_PATH 1
#define JOIN_INIT 2

struct step {
	uint8_t code;
	const char *text[5];
	uint64_t number[6];
	struct list list[2];
	const uint8_t *bytes;
	uint32_t bytes_length;
};

struct join {
	uint8_t kind;
	const char *path;
	uint32_t nstypes;
};

/* The steps start a program of an OCI runtime that makes the process and tells its number in `pid_file` ("": the steps become the process themselves). */
struct plan {
	uint32_t clone_flags;
	const char *cgroup2;
	struct list before, joins, steps;
	const char *pid_file, *console; /* console: the socket that gets the terminal, or "" */
	uint32_t patience_ms;
	struct list follow, farewell; /* plans of their own: what releases the process, what forgets it when it has ended; empty: nothing to do */
};

/* Checks all of it, so that the walks below cannot fail. The texts point into `bytes`, which must outlive the plan. */
bool plan_parse(const uint8_t *bytes, size_t length, struct plan *plan);
void step_take(struct cursor *c, struct step *step);
void join_take(struct cursor *c, struct join *join);

#endif

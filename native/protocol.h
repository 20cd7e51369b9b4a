/*
 * The monitor protocol: what daemon, launcher and monitors say to each other. src/runtime/protocol.ts holds the same
 * constants; src/runtime/protocol.test.ts compares the two files.
 *
 * A frame, little endian:     0        4      6      8            12
 *                             | length | type | zero | request id | payload (length bytes, <= MAX_FRAME) ...
 * A reply repeats the request id; an event has 0. In a payload a text is u32 length, bytes, NUL (the NUL is not counted).
 * The payload of the first frame of every connection begins with u32 PROTOCOL_VERSION of its sender.
 *
 * <exec-root>/launcher.sock: what a connection is, its first frame says
 *
 *   daemon ──HELLO──▶ launcher          the daemon's standing connection
 *          ◀─HELLO_OK─
 *          ──AWAIT_GONE id─▶  ◀─OK──    when no monitor of that container is alive (its exit file is complete by then)
 *          ──DRAIN─▶          ◀─OK──    no longer listening, lock released; leaves after its last monitor
 *
 *   daemon ──PARK id, i──▶ launcher     i-th attach stream of a container about to start; no answer yet
 *   daemon ──START id, n─▶ launcher     forks the monitor as soon as the n parked streams are there; these n + 1 connections go on with the monitor:
 *          ◀──────ATTACHED── monitor    (on each parked stream; then as under ATTACH)
 *          ◀──────STARTED─── monitor    execve has succeeded; the connection is now the monitor's control connection
 *          or START_FAILED              and everything is gone again
 *          or PAUSED                    at a checkpoint of the plan; GO_ON is answered as START is. Without a daemon it is given up.
 *
 *   All of it is sent at once: one round trip for a start, however many streams it has.
 *
 * <exec-root>/m/<first 16 hex digits of the id>: the monitor
 *
 *   daemon ──CONTROL─▶ ◀─STATUS──       a control connection (the newest wins, the older one is closed); then requests
 *          ──KILL, RESIZE, CLOSE_STDIN, EXEC_ACK, RELEASE─▶  ◀─OK or ERROR──   and events: ◀─LOG, EXEC_EXIT, EXITED──
 *          ──KEEP─▶  ◀─KEPT or ERROR──
 *   daemon ──ATTACH──▶ ◀─ATTACHED──     a stream connection; raw from here:
 *          ──stdin bytes, half-close──▶
 *          ◀──[stream,0,0,0, length be32] bytes──    (with a terminal: bytes); end after the last byte of the process
 *   daemon ──EXEC──▶   ◀─EXEC_STARTED── or START_FAILED; then as under ATTACH. EXEC_EXIT goes out before this connection ends.
 *
 * EXEC_EXIT is told again in every STATUS until EXEC_ACK; EXITED until RELEASE, after which the monitor leaves.
 *
 * Descriptors to keep: u32 count, each text label, u32 number in the process that sends them. Kept: u32 pid of the monitor, u32 count, each text label,
 * u32 number there. They are pulled (pidfd_getfd) by the receiver before it answers; the sender may close its own then.
 */
#ifndef GANTRY_PROTOCOL_H
#define GANTRY_PROTOCOL_H

/* 2: kept descriptors (START, STARTED, STATUS, KEEP) */
#define PROTOCOL_VERSION 2
#define FRAME_HEADER 12
#define MAX_FRAME 4194304
#define MAX_ATTACHMENTS 16

/* Launcher socket. */
#define MSG_HELLO 1        /* version */
#define MSG_HELLO_OK 2     /* version, u32 pid, u32 monitors */
#define MSG_DRAIN 3        /* - */
#define MSG_AWAIT_GONE 4   /* text id */
#define MSG_PARK 10        /* version, text id, u32 index, u32 ATTACH_* */
#define MSG_START 11       /* version, see struct start in monitor.h, descriptors to keep, plan */
#define MSG_STARTED 12     /* u32 pid, u64 start time (clock ticks after boot), u64 time (ns since 1970), u64 log size, kept */
#define MSG_START_FAILED 13 /* u32 PHASE_*, u32 index, u32 errno, u32 DETAIL_*, text the last words of a hook */
#define MSG_PAUSED 14      /* u32 pid; answered by GO_ON */
#define MSG_GO_ON 15       /* u32 1, or 0: give it up */

/* Monitor socket. */
#define MSG_CONTROL 20     /* version */
#define MSG_STATUS 21      /* see send_status in control.c */
#define MSG_KILL 22        /* u32 signal, u32 all */
#define MSG_RESIZE 23      /* text exec id or "", u32 rows, u32 columns */
#define MSG_CLOSE_STDIN 24 /* - */
#define MSG_EXEC_ACK 25    /* text exec id */
#define MSG_RELEASE 26     /* - */
#define MSG_KEEP 27        /* descriptors to keep: the whole new set; new labels are pulled from the sender */
#define MSG_KEPT 28        /* kept; the reply */
#define MSG_ATTACH 30      /* version, u32 ATTACH_* */
#define MSG_ATTACHED 31    /* u32 terminal */
#define MSG_EXEC 32        /* version, text exec id, u32 ATTACH_*, u32 terminal, plan */
#define MSG_EXEC_STARTED 33 /* u32 pid */
#define MSG_LOG 40         /* u32 generation, u64 size, u64 bytes lost to a full disk */
#define MSG_EXEC_EXIT 41   /* text exec id, u32 code */
#define MSG_EXITED 42      /* u32 code, u64 time (ns since 1970), u32 oom killed, text note */
#define MSG_OK 50          /* - */
#define MSG_ERROR 51       /* u32 errno */

#define ATTACH_STDIN 1
#define ATTACH_STDOUT 2
#define ATTACH_STDERR 4

#define STDIN_NULL 0
#define STDIN_ONCE 1
#define STDIN_OPEN 2

/* Where a start failed. The index is that of the step or join. */
#define PHASE_MONITOR 0 /* before anything of the plan; index: SETUP_* */
#define PHASE_BEFORE 1
#define PHASE_JOIN 2
#define PHASE_CLONE 3
#define PHASE_STEP 4
#define PHASE_DIED 5 /* the child died in set-up without a word; errno is its wait status */
#define PHASE_PROGRAM 6  /* a program of an OCI runtime failed; index: 0 that of the plan, 1 `follow`; errno is its wait status */
#define PHASE_TAKEOVER 7 /* it ended well or not at all (ETIMEDOUT), but its process could not be taken over */

#define SETUP_FORK 0
#define SETUP_PLAN 1
#define SETUP_SOCKET 2
#define SETUP_LOG 3
#define SETUP_PIPES 4
#define SETUP_CGROUP 5
#define SETUP_KEEP 6

#define DETAIL_NONE 0
#define DETAIL_NOT_IN_PATH 1 /* exec: no such name in PATH */
#define DETAIL_LOOKUP 2      /* exec: the named file is missing, a directory or not executable */
#define DETAIL_EXECVE 3      /* exec: the file is there, execve refused it */
#define DETAIL_SUBPATH 4     /* a mount: its subpath cannot be found */
#define DETAIL_IDMAP 5       /* bind: its owners cannot be mapped */
#define DETAIL_HOOK 6        /* hook: it failed; errno is its wait status */

/* Exit status of gantry-launcher when another one holds the exec root. */
#define EXIT_LOCK_HELD 75

#endif

#include "streams.h"
#include "protocol.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>

#define CHUNK 32768
#define STUCK_MS 10000
#define LATE_BUFFER 1048576
#define LOOK_AGAIN_MS 100
/* More than any pipe holds: a process outside the container that got hold of the pipe cannot keep us draining. */
#define DRAIN_MAX (8 << 20)

static uint8_t chunk[CHUNK];

static void on_output(struct source *s, uint32_t events);
static void on_client(struct source *s, uint32_t events);
static void on_input(struct source *s, uint32_t events);

/* --- clients --- */

static void client_drop(struct client *c) {
	struct client **at = &c->io->clients;
	while (*at != c) at = &(*at)->next;
	*at = c->next;
	loop_close(&c->source);
	free(c->pending);
	free(c);
}

static bool client_keep(struct client *c, const void *bytes, size_t length) {
	if (length == 0) return true;
	if (c->at) memmove(c->pending, c->pending + c->at, c->length -= c->at);
	c->at = 0;
	uint8_t *more = realloc(c->pending, c->length + length);
	if (!more) return false;
	memcpy(more + c->length, bytes, length);
	c->pending = more;
	c->length += length;
	return true;
}

static bool client_flush(struct client *c) {
	while (c->at < c->length) {
		ssize_t n = send(c->source.fd, c->pending + c->at, c->length - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno == EAGAIN) {
			if (!c->stuck_since) c->stuck_since = loop_now();
			return true;
		}
		if (n < 0) return false;
		c->at += (size_t)n;
		c->stuck_since = 0;
	}
	free(c->pending);
	c->pending = NULL;
	c->at = c->length = 0;
	return true;
}

/* False: it is gone. */
static bool client_send(struct client *c, uint8_t stream, const uint8_t *bytes, size_t length) {
	uint8_t head[8] = {stream, 0, 0, 0, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
	size_t head_length = c->io->terminal ? 0 : sizeof head, done = 0;
	if (!c->pending) {
		struct iovec iov[2] = {{head, head_length}, {(void *)(uintptr_t)bytes, length}};
		struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n = sendmsg(c->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
		if (n > 0) done = (size_t)n;
		if (done == head_length + length) return true;
		c->stuck_since = loop_now();
	}
	size_t head_done = done < head_length ? done : head_length;
	return client_keep(c, head + head_done, head_length - head_done) && client_keep(c, bytes + (done - head_done), length - (done - head_done));
}

/* Cut for not reading. The rest of its frame and the reason get a little room beyond the full buffer. */
static void client_cut(struct client *c) {
	static const char text[] = "gantry: this attach stream was cut: it was 1 MiB behind for 10 seconds\n";
	int room = LATE_BUFFER + 4 * CHUNK;
	setsockopt(c->source.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	bool terminal = c->io->terminal;
	if (terminal || client_send(c, 3, (const uint8_t *)text, sizeof text - 1)) client_flush(c);
	client_drop(c);
}

/* It takes no more output; stdin that it sent before is still to be read. */
static void client_mute(struct client *c) {
	free(c->pending);
	c->pending = NULL;
	c->at = c->length = 0;
	c->wants &= ATTACH_STDIN;
}

static void client_vanished(struct client *c) {
	struct stdio *io = c->io;
	client_drop(c);
	stdio_flow(io);
}

/* --- stdin --- */

static void input_shut(struct stdio *io) {
	if (io->input.fd < 0) return;
	loop_close(&io->input);
	free(io->left);
	io->left = NULL;
}

/* A terminal has no end of input to give. */
void stdio_close_input(struct stdio *io) {
	if (io->terminal) return;
	io->input_closing = true;
	if (!io->left) input_shut(io);
	stdio_flow(io);
}

static void input_write(struct stdio *io, const uint8_t *bytes, size_t length) {
	while (length > 0) {
		ssize_t n = write(io->input.fd, bytes, length);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno != EAGAIN) return input_shut(io); /* nobody will ever read it */
		if (n < 0) break;
		bytes += n;
		length -= (size_t)n;
	}
	if (length == 0) return;
	io->left = malloc(length);
	if (!io->left) abort();
	memcpy(io->left, bytes, length);
	io->left_at = 0;
	io->left_length = length;
}

static void on_input(struct source *s, uint32_t events) {
	struct stdio *io = OWNER(s, struct stdio, input);
	if ((events & EPOLLERR) && !io->terminal) input_shut(io); /* the last reader has closed it */
	if (io->left) {
		uint8_t *left = io->left;
		io->left = NULL;
		input_write(io, left + io->left_at, io->left_length - io->left_at);
		free(left);
	}
	if (!io->left && io->input_closing) input_shut(io);
	stdio_flow(io);
}

static bool peer_vanished(int fd) {
	struct pollfd p = {.fd = fd};
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* One read from a client. False: it is dropped. */
static bool client_read(struct client *c) {
	struct stdio *io = c->io;
	ssize_t n = recv(c->source.fd, chunk, CHUNK / 2, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
	if (n > 0) {
		if ((c->wants & ATTACH_STDIN) && io->input.fd >= 0 && !io->input_closing) input_write(io, chunk, (size_t)n);
		return true;
	}
	/* A whole close is a client that went away (the daemon was killed): it says nothing about stdin. Only a half-close does. */
	if (n < 0 || peer_vanished(c->source.fd)) {
		client_vanished(c);
		return false;
	}
	c->input_ended = true;
	if ((c->wants & ATTACH_STDIN) && io->input_ends) stdio_close_input(io);
	return true;
}

static void on_client(struct source *s, uint32_t events) {
	struct client *c = OWNER(s, struct client, source);
	struct stdio *io = c->io;
	if ((events & EPOLLOUT) && !client_flush(c)) client_mute(c);
	if ((events & EPOLLIN) && !c->input_ended && !client_read(c)) return;
	/* Hung up, and no stdin left in it that is still to be delivered. */
	if ((events & (EPOLLHUP | EPOLLERR)) && (c->input_ended || !(events & EPOLLIN))) return client_vanished(c);
	stdio_flow(io);
}

void stdio_attach(struct stdio *io, int fd, uint32_t wants, bool late) {
	struct client *c = calloc(1, sizeof *c);
	if (!c) abort();
	int room = LATE_BUFFER;
	if (late) setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	*c = (struct client){.io = io, .wants = wants, .late = late, .next = io->clients};
	loop_add(&c->source, fd, EPOLLIN, on_client);
	io->clients = c;
	if (io->ended) stdio_end(io);
	else stdio_flow(io);
}

/* --- stdout and stderr --- */

static void deliver(struct stdio *io, uint8_t stream, size_t length) {
	if (io->log) jsonlog_write(io->log, stream - 1, chunk, length);
	for (struct client *c = io->clients, *next; c; c = next) {
		next = c->next;
		if ((c->wants & (stream == 2 ? ATTACH_STDERR : ATTACH_STDOUT | (io->terminal ? ATTACH_STDERR : 0))) && !client_send(c, stream, chunk, length))
			client_mute(c);
	}
}

static void outlet_shut(struct outlet *o) {
	if (o->source.fd < 0) return;
	if (o->io->log) jsonlog_end(o->io->log, o->stream - 1);
	loop_close(&o->source);
}

/* One read. 1: some, 0: nothing now, -1: never again. */
static int outlet_read(struct outlet *o) {
	ssize_t n = read(o->source.fd, chunk, CHUNK);
	if (n > 0) {
		deliver(o->io, o->stream, (size_t)n);
		return 1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void on_output(struct source *s, uint32_t events) {
	struct outlet *o = OWNER(s, struct outlet, source);
	(void)events;
	if (outlet_read(o) < 0) {
		if (o->io->terminal) o->io->look_again = loop_now() + LOOK_AGAIN_MS;
		else outlet_shut(o);
	}
	stdio_flow(o->io);
}

/* --- the whole --- */

static uint32_t client_interest(const struct client *c) {
	const struct stdio *io = c->io;
	uint32_t out = c->pending ? EPOLLOUT : 0;
	if (c->input_ended) return out;
	/* Its stdin stays where it is until the process reads, or has its terminal. */
	if ((c->wants & ATTACH_STDIN) && (io->left || io->awaits_terminal)) return out ? out : LOOP_PAUSED;
	return out | EPOLLIN;
}

void stdio_flow(struct stdio *io) {
	bool blocked = io->look_again != 0 || io->held;
	for (struct client *c = io->clients; c; c = c->next) {
		blocked |= c->pending != NULL;
		loop_want(&c->source, client_interest(c));
	}
	for (int i = 0; i < 2; i++) loop_want(&io->outlet[i].source, blocked ? LOOP_PAUSED : EPOLLIN);
	/* Without anything to write only the reader's end is of interest; a terminal has no such end. */
	loop_want(&io->input, io->left ? EPOLLOUT : io->terminal ? LOOP_PAUSED : 0);
	if (!io->ended) return;
	for (struct client *c = io->clients, *next; c; c = next) {
		next = c->next;
		if (!c->pending) client_drop(c);
	}
}

int stdio_open(struct stdio *io, uint32_t wants, int child[3]) {
	static const uint32_t bits[3] = {ATTACH_STDIN, ATTACH_STDOUT, ATTACH_STDERR};
	io->input.fd = io->outlet[0].source.fd = io->outlet[1].source.fd = -1;
	for (int i = 0; i < 2; i++) io->outlet[i].io = io, io->outlet[i].stream = (uint8_t)(i + 1);
	child[0] = child[1] = child[2] = -1;
	for (int i = 0; i < 3; i++) {
		int pair[2];
		if (!(wants & bits[i])) {
			if ((child[i] = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0) return -1;
			continue;
		}
		if (pipe2(pair, O_CLOEXEC)) return -1;
		child[i] = pair[i ? 1 : 0];
		int ours = pair[i ? 0 : 1];
		fcntl(ours, F_SETFL, O_NONBLOCK);
		if (i) loop_add(&io->outlet[i - 1].source, ours, LOOP_PAUSED, on_output);
		else loop_add(&io->input, ours, 0, on_input);
	}
	stdio_flow(io);
	return 0;
}

void stdio_set_terminal(struct stdio *io, int master) {
	fcntl(master, F_SETFL, O_NONBLOCK);
	io->terminal = true;
	io->awaits_terminal = false;
	loop_add(&io->input, fcntl(master, F_DUPFD_CLOEXEC, 3), LOOP_PAUSED, on_input);
	loop_add(&io->outlet[0].source, master, LOOP_PAUSED, on_output);
	stdio_flow(io);
}

void stdio_drain(struct stdio *io) {
	input_shut(io);
	for (int i = 0; i < 2; i++) {
		struct outlet *o = &io->outlet[i];
		for (size_t reads = 0; o->source.fd >= 0 && reads < DRAIN_MAX / 4096 && outlet_read(o) > 0;) reads++;
		outlet_shut(o);
	}
	stdio_flow(io);
}

void stdio_end(struct stdio *io) {
	io->ended = true;
	stdio_flow(io);
}

int64_t stdio_deadline(const struct stdio *io) {
	int64_t deadline = io->look_again ? io->look_again : -1;
	for (struct client *c = io->clients; c; c = c->next)
		if (c->late && c->stuck_since && (deadline < 0 || c->stuck_since + STUCK_MS < deadline)) deadline = c->stuck_since + STUCK_MS;
	return deadline;
}

void stdio_tick(struct stdio *io) {
	int64_t now = loop_now();
	if (io->look_again && io->look_again <= now) io->look_again = 0;
	for (struct client *c = io->clients, *next; c; c = next) {
		next = c->next;
		if (c->late && c->stuck_since && c->stuck_since + STUCK_MS <= now) client_cut(c);
	}
	stdio_flow(io);
}

int stdio_resize(struct stdio *io, uint32_t rows, uint32_t columns) {
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
	if (!io->terminal || io->input.fd < 0) {
		errno = ENOTTY;
		return -1;
	}
	return ioctl(io->input.fd, TIOCSWINSZ, &size);
}

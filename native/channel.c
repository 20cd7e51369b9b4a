#include "channel.h"
#include "files.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define MAX_BACKLOG 1048576

int channel_read(struct channel *c) {
	for (;;) {
		bool in_head = c->got < FRAME_HEADER;
		size_t left = in_head ? FRAME_HEADER - c->got : FRAME_HEADER + c->header.length - c->got;
		if (!in_head && left == 0) return CHANNEL_FRAME;
		uint8_t *to = in_head ? c->head + c->got : c->payload + (c->got - FRAME_HEADER);
		ssize_t n = recv(c->source.fd, to, left, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno == EAGAIN) return CHANNEL_WAIT;
		if (n <= 0) return CHANNEL_CLOSED;
		c->got += (uint32_t)n;
		if (in_head && c->got == FRAME_HEADER) {
			if (!frame_header_parse(c->head, &c->header)) return CHANNEL_CLOSED;
			c->payload = malloc(c->header.length + 1);
			if (!c->payload) return CHANNEL_CLOSED;
		}
	}
}

struct cursor channel_payload(struct channel *c) {
	return (struct cursor){.at = c->payload, .end = c->payload + c->header.length};
}

void channel_next(struct channel *c) {
	free(c->payload);
	c->payload = NULL;
	c->got = 0;
}

bool channel_flush(struct channel *c) {
	while (c->out_length > 0) {
		ssize_t n = send(c->source.fd, c->out, c->out_length, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno == EAGAIN) break;
		if (n < 0) return false;
		c->out_length -= (size_t)n;
		memmove(c->out, c->out + n, c->out_length);
	}
	if (c->out_length == 0) {
		free(c->out);
		c->out = NULL;
	}
	loop_want(&c->source, c->out_length ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

bool channel_send(struct channel *c, struct frame *f) {
	frame_end(f);
	uint8_t *out = c->out_length + f->length > MAX_BACKLOG ? NULL : realloc(c->out, c->out_length + f->length);
	if (!out) {
		frame_free(f);
		return false;
	}
	c->out = out;
	memcpy(out + c->out_length, f->bytes, f->length);
	c->out_length += f->length;
	frame_free(f);
	return channel_flush(c);
}

bool channel_reply(struct channel *c, uint32_t request, int error) {
	struct frame f;
	frame_begin(&f, error ? MSG_ERROR : MSG_OK, request);
	if (error) put_u32(&f, (uint32_t)error);
	return channel_send(c, &f);
}

void channel_close(struct channel *c) {
	loop_close(&c->source);
	channel_next(c);
	free(c->out);
	c->out = NULL;
	c->out_length = 0;
}

int listen_unix(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) return -1;
	unlink(path);
	mode_t old = umask(0177);
	int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
	umask(old);
	if (bound || listen(fd, 256)) {
		close_quietly(fd);
		return -1;
	}
	return fd;
}

int accept_peer(int listener) {
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) return -1;
	struct ucred peer;
	socklen_t length = sizeof peer;
	/* The sockets lie in a 0700 directory; this is the second lock on the same door. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid()) return fd;
	close(fd);
	return -1;
}

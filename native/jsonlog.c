#include "jsonlog.h"
#include "files.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RECORD_MAX (LOG_LINE_MAX * 6 + 128)
#define COMMIT_AT 32768

static uint8_t out[COMMIT_AT + RECORD_MAX];
static size_t out_length;

static uint8_t continuation(const uint8_t *p) { return (p[0] & 0xc0) == 0x80; }

/* Bytes that the sequence starting with `first` has; 0: it cannot start one. */
static size_t sequence_length(uint8_t first) {
	if (first < 0xc2 || first > 0xf4) return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether the `have` first bytes can be (the start of) a valid sequence. */
static bool sequence_valid(const uint8_t *p, size_t have) {
	if (have > 1) {
		uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
		uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
		if (p[1] < low || p[1] > high) return false;
	}
	for (size_t i = 2; i < have; i++)
		if (!continuation(p + i)) return false;
	return true;
}

/* How many bytes at the end are the beginning of a character whose rest is not there yet. */
static size_t unfinished_tail(const uint8_t *p, size_t length) {
	for (size_t k = 1; k <= 3 && k <= length; k++) {
		const uint8_t *start = p + length - k;
		if (!continuation(start)) return sequence_length(*start) > k && sequence_valid(start, k) ? k : 0;
	}
	return 0;
}

static size_t put_text(uint8_t *to, const char *text) {
	size_t n = strlen(text);
	memcpy(to, text, n);
	return n;
}

/* 0: copied as it is. */
static uint8_t needs_escape(uint8_t b) { return b < 0x20 || b >= 0x80 || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&'; }

static size_t escape_ascii(uint8_t *to, uint8_t b) {
	static const char hex[] = "0123456789abcdef";
	if (b == '"' || b == '\\') return to[0] = '\\', to[1] = b, 2;
	if (b == '\n') return put_text(to, "\\n");
	if (b == '\r') return put_text(to, "\\r");
	put_text(to, "\\u00");
	to[4] = (uint8_t)hex[b >> 4];
	to[5] = (uint8_t)hex[b & 15];
	return 6;
}

size_t json_escape(uint8_t *to, const uint8_t *in, size_t length) {
	static uint8_t special[256];
	if (!special['"'])
		for (int b = 0; b < 256; b++) special[b] = needs_escape((uint8_t)b);
	size_t at = 0;
	for (size_t i = 0; i < length;) {
		size_t run = i;
		while (run < length && !special[in[run]]) run++;
		memcpy(to + at, in + i, run - i);
		at += run - i;
		if ((i = run) == length) break;
		if (in[i] < 0x80) {
			at += escape_ascii(to + at, in[i++]);
			continue;
		}
		size_t n = sequence_length(in[i]);
		if (!n || n > length - i || !sequence_valid(in + i, n)) {
			at += put_text(to + at, "\\ufffd");
			i++;
		} else if (n == 3 && in[i] == 0xe2 && in[i + 1] == 0x80 && (in[i + 2] & 0xfe) == 0xa8) {
			at += put_text(to + at, in[i + 2] == 0xa8 ? "\\u2028" : "\\u2029");
			i += n;
		} else {
			memcpy(to + at, in + i, n);
			at += n;
			i += n;
		}
	}
	return at;
}

/* RFC 3339 with nanoseconds and without trailing zeros, as Go's RFC3339Nano; the part down to the second is kept from the last call. */
static size_t put_time(uint8_t *to, uint64_t ns) {
	static time_t second = -1;
	static char prefix[32];
	static size_t prefix_length;
	time_t now = (time_t)(ns / 1000000000u);
	if (now != second) {
		struct tm tm;
		gmtime_r(&now, &tm);
		prefix_length = strftime(prefix, sizeof prefix, "%Y-%m-%dT%H:%M:%S", &tm);
		second = now;
	}
	memcpy(to, prefix, prefix_length);
	size_t at = prefix_length;
	uint32_t fraction = (uint32_t)(ns % 1000000000u);
	if (fraction) {
		to[at] = '.';
		for (size_t i = 9; i >= 1; i--, fraction /= 10) to[at + i] = (uint8_t)('0' + fraction % 10);
		for (at += 10; to[at - 1] == '0';) at--;
	}
	to[at++] = 'Z';
	return at;
}

int jsonlog_open(struct jsonlog *log) {
	struct stat st;
	log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (log->fd < 0) return -1;
	if (fstat(log->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		log->size = (uint64_t)st.st_size;
		return 0;
	}
	close(log->fd);
	log->fd = -1;
	errno = EINVAL;
	return -1;
}

/* A record is in the file whole or not at all: what a full disk cut off is taken back and counted. */
static void commit(struct jsonlog *log) {
	size_t done = 0;
	if (log->fd < 0) jsonlog_open(log);
	while (log->fd >= 0 && done < out_length) {
		ssize_t n = write(log->fd, out + done, out_length - done);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) break;
		done += (size_t)n;
	}
	if (done == out_length) {
		log->size += done;
	} else {
		log->lost += out_length;
		if (done && ftruncate(log->fd, (off_t)log->size)) log->size += done;
	}
	out_length = 0;
}

static void rotate(struct jsonlog *log) {
	char from[PATH_MAX], to[PATH_MAX];
	commit(log);
	if (log->max_files <= 1) {
		if (log->fd < 0 || ftruncate(log->fd, 0)) return;
	} else {
		for (uint32_t i = log->max_files - 1; i >= 1; i--) {
			snprintf(to, sizeof to, "%s.%u", log->path, i);
			snprintf(from, sizeof from, i > 1 ? "%s.%u" : "%s", log->path, i - 1);
			rename(from, to);
		}
		close(log->fd);
		log->fd = -1;
	}
	log->size = 0;
	log->generation++;
}

static void record(struct jsonlog *log, int stream, const uint8_t *bytes, size_t length, bool newline, uint64_t ns) {
	if (log->max_size && log->size + out_length >= log->max_size) rotate(log);
	if (out_length >= COMMIT_AT) commit(log);
	uint8_t *to = out + out_length;
	to += put_text(to, "{\"log\":\"");
	to += json_escape(to, bytes, length);
	if (newline) to += put_text(to, "\\n");
	to += put_text(to, stream ? "\",\"stream\":\"stderr\",\"time\":\"" : "\",\"stream\":\"stdout\",\"time\":\"");
	to += put_time(to, ns);
	to += put_text(to, "\"}\n");
	out_length = (size_t)(to - out);
}

/* The first 16 KiB of a longer line. A character is never cut in two (Docker does and loses it): its first bytes wait for the rest. Answers what was written. */
static size_t part(struct jsonlog *log, int stream, const uint8_t *bytes, uint64_t now) {
	struct log_line *line = &log->line[stream];
	size_t length = LOG_LINE_MAX - unfinished_tail(bytes, LOG_LINE_MAX);
	if (!line->continued) line->started_ns = now;
	record(log, stream, bytes, length, false, line->started_ns);
	line->continued = true;
	return length;
}

static bool keep(struct log_line *line, const uint8_t *bytes, size_t length) {
	if (!line->bytes && !(line->bytes = malloc(LOG_LINE_MAX))) return false;
	memcpy(line->bytes + line->length, bytes, length);
	line->length += length;
	return true;
}

void jsonlog_write(struct jsonlog *log, int stream, const uint8_t *bytes, size_t length) {
	struct log_line *line = &log->line[stream];
	uint64_t now = time_ns();
	while (length > 0) {
		const uint8_t *newline = memchr(bytes, '\n', length);
		size_t piece = newline ? (size_t)(newline - bytes) : length, room = LOG_LINE_MAX - line->length;
		bool whole = newline && piece < room, full = piece >= room;
		if (!line->length && full) {
			piece = part(log, stream, bytes, now);
		} else if (!line->length && whole) {
			record(log, stream, bytes, piece, true, line->continued ? line->started_ns : now);
		} else {
			if (full) piece = room;
			if (!keep(line, bytes, piece)) log->lost += piece;
			if (whole) {
				record(log, stream, line->bytes, line->length, true, line->continued ? line->started_ns : now);
				line->length = 0;
			} else if (full) {
				size_t written = part(log, stream, line->bytes, now);
				line->length -= written;
				memmove(line->bytes, line->bytes + written, line->length);
			}
		}
		if (whole) line->continued = false;
		bytes += piece + whole;
		length -= piece + whole;
	}
	commit(log);
}

void jsonlog_end(struct jsonlog *log, int stream) {
	struct log_line *line = &log->line[stream];
	if (line->length) {
		record(log, stream, line->bytes, line->length, false, line->continued ? line->started_ns : time_ns());
		commit(log);
	}
	free(line->bytes);
	*line = (struct log_line){0};
}

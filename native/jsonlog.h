/* The container's log in Docker's json-file format: {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}, one record a line. */
#ifndef GANTRY_JSONLOG_H
#define GANTRY_JSONLOG_H
#include "kernel.h"

#define LOG_LINE_MAX 16384

struct jsonlog {
	const char *path; /* NULL: no log */
	int fd;
	uint64_t max_size; /* 0: never rotated */
	uint32_t max_files;
	uint64_t size, lost; /* bytes in the current file; bytes a full disk has cost */
	uint32_t generation; /* how often it was rotated */
	struct log_line {
		uint8_t *bytes; /* what has no newline yet */
		size_t length;
		bool continued; /* a part of this line is written already: the parts share one time */
		uint64_t started_ns;
	} line[2];
};

int jsonlog_open(struct jsonlog *log);
/* `stream`: 0 stdout, 1 stderr. Reaches the file before it returns, whole records at a time. */
void jsonlog_write(struct jsonlog *log, int stream, const uint8_t *bytes, size_t length);
/* End of the stream: an unfinished line is written without a newline. */
void jsonlog_end(struct jsonlog *log, int stream);
/* As Go's encoder writes a string for Docker; at most 6 bytes for each. */
size_t json_escape(uint8_t *out, const uint8_t *in, size_t length);

#endif

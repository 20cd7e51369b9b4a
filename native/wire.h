/* Bytes in and out: a checked cursor over received bytes, the frame header, and a builder for frames. Input is hostile here. */
#ifndef GANTRY_WIRE_H
#define GANTRY_WIRE_H
#include "kernel.h"

/* After the first read beyond the end everything reads as zero or "" and `bad` stays set: check it once, at the end. */
struct cursor {
	const uint8_t *at, *end;
	bool bad;
};
/* A list inside a payload, already checked; walk it with a cursor of its own. */
struct list {
	const uint8_t *at, *end;
	uint32_t count;
};

uint8_t take_u8(struct cursor *c);
uint32_t take_u32(struct cursor *c);
uint64_t take_u64(struct cursor *c);
/* NUL-terminated, without a NUL inside; points into the payload. */
const char *take_text(struct cursor *c);
const uint8_t *take_bytes(struct cursor *c, uint32_t *length);
struct list take_texts(struct cursor *c);
struct list take_numbers(struct cursor *c);
struct cursor list_cursor(struct list list);

struct frame_header {
	uint32_t length;
	uint16_t type;
	uint32_t request;
};
bool frame_header_parse(const uint8_t bytes[12], struct frame_header *header);

struct frame {
	uint8_t *bytes;
	size_t length, capacity;
};
/* A frame grows by realloc; running out of memory ends the process, which its parent then cleans up after. */
void frame_begin(struct frame *f, uint16_t type, uint32_t request);
void put_u32(struct frame *f, uint32_t value);
void put_u64(struct frame *f, uint64_t value);
void put_text(struct frame *f, const char *text);
void frame_end(struct frame *f);
void frame_free(struct frame *f);

bool is_id(const char *text); /* 64 lower-case hex digits */

#endif

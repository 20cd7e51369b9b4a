#include "wire.h"
#include "protocol.h"
#include <stdlib.h>
#include <string.h>

static const uint8_t *take(struct cursor *c, size_t n) {
	if (c->bad || (size_t)(c->end - c->at) < n) {
		c->bad = true;
		return NULL;
	}
	const uint8_t *at = c->at;
	c->at += n;
	return at;
}

uint8_t take_u8(struct cursor *c) {
	const uint8_t *p = take(c, 1);
	return p ? *p : 0;
}

uint32_t take_u32(struct cursor *c) {
	const uint8_t *p = take(c, 4);
	return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

uint64_t take_u64(struct cursor *c) {
	uint64_t low = take_u32(c);
	return low | (uint64_t)take_u32(c) << 32;
}

const uint8_t *take_bytes(struct cursor *c, uint32_t *length) {
	*length = take_u32(c);
	const uint8_t *p = take(c, *length);
	if (!p) *length = 0;
	return p;
}

const char *take_text(struct cursor *c) {
	uint32_t length;
	const uint8_t *p = take_bytes(c, &length), *nul = take(c, 1);
	if (p && nul && *nul == 0 && !memchr(p, 0, length)) return (const char *)p;
	c->bad = true;
	return "";
}

static struct list take_list(struct cursor *c, bool texts) {
	struct list list = {.count = take_u32(c)};
	list.at = c->at;
	for (uint32_t i = 0; i < list.count && !c->bad; i++) {
		if (texts) take_text(c);
		else take_u32(c);
	}
	list.end = c->at;
	if (c->bad) list.count = 0;
	return list;
}

struct list take_texts(struct cursor *c) { return take_list(c, true); }
struct list take_numbers(struct cursor *c) { return take_list(c, false); }
struct cursor list_cursor(struct list list) { return (struct cursor){.at = list.at, .end = list.end}; }

bool frame_header_parse(const uint8_t bytes[FRAME_HEADER], struct frame_header *header) {
	struct cursor c = {.at = bytes, .end = bytes + FRAME_HEADER};
	header->length = take_u32(&c);
	uint32_t type = take_u32(&c);
	header->type = (uint16_t)type;
	header->request = take_u32(&c);
	return header->length <= MAX_FRAME && type >> 16 == 0;
}

static uint8_t *put(struct frame *f, size_t n) {
	if (f->length + n > f->capacity) {
		f->capacity = (f->length + n) * 2 + 64;
		f->bytes = realloc(f->bytes, f->capacity);
		if (!f->bytes) abort();
	}
	f->length += n;
	return f->bytes + f->length - n;
}

static void store_u32(uint8_t *p, uint32_t v) {
	for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

void put_u32(struct frame *f, uint32_t value) { store_u32(put(f, 4), value); }

void put_u64(struct frame *f, uint64_t value) {
	put_u32(f, (uint32_t)value);
	put_u32(f, (uint32_t)(value >> 32));
}

void put_text(struct frame *f, const char *text) {
	size_t length = strlen(text);
	put_u32(f, (uint32_t)length);
	memcpy(put(f, length + 1), text, length + 1);
}

void frame_begin(struct frame *f, uint16_t type, uint32_t request) {
	*f = (struct frame){0};
	put_u32(f, 0);
	put_u32(f, type);
	put_u32(f, request);
}

void frame_end(struct frame *f) { store_u32(f->bytes, (uint32_t)(f->length - FRAME_HEADER)); }

void frame_free(struct frame *f) {
	free(f->bytes);
	*f = (struct frame){0};
}

bool is_id(const char *text) {
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/*
 * The native parsers as a library under ASan and UBSan, fed by a seeded mutator: the same seed gives the same run.
 *
 *   fuzz parse SEED ITERATIONS FILE...   mutated plans and START payloads through plan.c and wire.c, every field of what is accepted read to its end
 *   fuzz log SEED MAXSIZE FILES LOG      stdin, cut into pieces at random, through jsonlog.c into the file LOG
 */
#include "../../native/jsonlog.h"
#include "../../native/kept.h"
#include "../../native/monitor.h"
#include "../../native/plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint32_t next(void) { /* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 32);
}

static uint32_t below(uint32_t limit) { return limit ? next() % limit : 0; }

static volatile uint64_t sink; /* so that reads are not optimised away */

static void touch_text(const char *text) { sink += strlen(text); }

static void touch_list(struct list list) {
	struct cursor c = list_cursor(list);
	for (uint32_t i = 0; i < list.count; i++) sink += take_u32(&c);
}

static void touch_step(const struct step *s) {
	for (int i = 0; i < 5; i++)
		if (s->text[i]) touch_text(s->text[i]);
	for (int i = 0; i < 6; i++) sink += s->number[i];
	if (s->code == STEP_OVERLAY || s->code == STEP_MOUNT_LAYERS || s->code == STEP_EXEC || s->code == STEP_HOOK) {
		for (int l = 0; l < 2; l++) {
			struct cursor c = list_cursor(s->list[l]);
			for (uint32_t i = 0; i < s->list[l].count; i++) touch_text(take_text(&c));
			if (c.bad) abort();
		}
	} else {
		for (int l = 0; l < 2; l++) touch_list(s->list[l]);
	}
	for (uint32_t i = 0; i < s->bytes_length; i++) sink += s->bytes[i];
}

static void touch_steps(struct list steps) {
	struct cursor c = list_cursor(steps);
	struct step step;
	for (uint32_t i = 0; i < steps.count; i++) {
		step_take(&c, &step);
		touch_step(&step);
	}
	if (c.bad || c.at != steps.end) abort(); /* what was checked once cannot fail on the second walk */
}

static bool run_plan(const uint8_t *bytes, size_t length) {
	struct plan plan;
	if (!plan_parse(bytes, length, &plan)) return false;
	touch_text(plan.cgroup2);
	touch_steps(plan.before);
	touch_steps(plan.steps);
	struct cursor c = list_cursor(plan.joins);
	struct join join;
	for (uint32_t i = 0; i < plan.joins.count; i++) {
		join_take(&c, &join);
		touch_text(join.path);
	}
	if (c.bad) abort();
	return true;
}

static void run_start(const uint8_t *bytes, size_t length) {
	struct cursor c = {.at = bytes, .end = bytes + length};
	struct start start;
	if (!start_take(&c, &start)) return;
	touch_text(start.exit_file);
	touch_text(start.log_path);
	struct cursor d = list_cursor(start.cgroup.directories);
	for (uint32_t i = 0; i < start.cgroup.directories.count; i++) touch_text(take_text(&d));
	if (d.bad || c.at > c.end) abort();
	struct list keep;
	if (!kept_list(&c, &keep)) return;
	d = list_cursor(keep);
	for (uint32_t i = 0; i < keep.count; i++) {
		touch_text(take_text(&d));
		sink += take_u32(&d);
	}
	if (d.bad || d.at != keep.end) abort();
	run_plan(c.at, (size_t)(c.end - c.at));
}

static void run_header(const uint8_t *bytes, size_t length) {
	struct frame_header header;
	if (length >= FRAME_HEADER && frame_header_parse(bytes, &header) && header.length > MAX_FRAME) abort();
}

static size_t mutate(uint8_t *bytes, size_t length, size_t capacity) {
	static const uint32_t extremes[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, 4096, 65536};
	for (uint32_t rounds = 1 + below(4); rounds > 0; rounds--) {
		uint32_t at = below((uint32_t)length), span = 1 + below(16);
		switch (below(6)) {
		case 0: if (length) bytes[at] ^= (uint8_t)(1u << below(8)); break;
		case 1: if (length) bytes[at] = (uint8_t)next(); break;
		case 2: length = at; break;
		case 3: if (length >= 4 && at + 4 <= length) memcpy(bytes + at, &extremes[below(sizeof extremes / 4)], 4); break;
		case 4:
			if (length + span <= capacity) {
				memmove(bytes + at + span, bytes + at, length - at);
				length += span;
			}
			break;
		case 5:
			if (at + span < length) {
				memmove(bytes + at, bytes + at + span, length - at - span);
				length -= span;
			}
			break;
		}
	}
	return length;
}

static size_t read_all(FILE *file, uint8_t *to, size_t size) {
	size_t n = fread(to, 1, size, file);
	fclose(file);
	return n;
}

static int parse_main(int count, char **files, unsigned long iterations) {
	static uint8_t seed[64][1 << 18];
	static size_t lengths[64];
	unsigned long accepted = 0;
	for (int i = 0; i < count; i++) {
		FILE *file = fopen(files[i], "rb");
		if (!file) return perror(files[i]), 1;
		lengths[i] = read_all(file, seed[i], sizeof seed[i] - 4096);
	}
	for (unsigned long n = 0; n < iterations; n++) {
		int from = (int)below((uint32_t)count);
		uint8_t *scratch = malloc(lengths[from] + 64);
		memcpy(scratch, seed[from], lengths[from]);
		size_t length = mutate(scratch, lengths[from], lengths[from] + 64);
		uint8_t *exact = malloc(length ? length : 1); /* so that ASan sees the first byte too many */
		memcpy(exact, scratch, length);
		accepted += run_plan(exact, length);
		run_start(exact, length);
		run_header(exact, length);
		free(exact);
		free(scratch);
	}
	for (int i = 0; i < count; i++) printf("%s %s\n", files[i], run_plan(seed[i], lengths[i]) ? "plan" : "other");
	printf("%lu of %lu accepted\n", accepted, iterations);
	return 0;
}

static int log_main(char **argv) {
	struct jsonlog log = {.path = argv[2], .fd = -1, .max_size = strtoull(argv[0], NULL, 10), .max_files = (uint32_t)atoi(argv[1])};
	static uint8_t input[8 << 20];
	size_t length = read_all(stdin, input, sizeof input);
	if (jsonlog_open(&log)) return perror(argv[2]), 1;
	for (size_t at = 0; at < length;) {
		size_t piece = 1 + below(below(4) ? 300 : 40000);
		if (piece > length - at) piece = length - at;
		uint8_t *exact = malloc(piece);
		memcpy(exact, input + at, piece);
		jsonlog_write(&log, 0, exact, piece);
		free(exact);
		at += piece;
	}
	jsonlog_end(&log, 0);
	printf("%llu %u %llu\n", (unsigned long long)log.size, log.generation, (unsigned long long)log.lost);
	return 0;
}

int main(int argc, char **argv) {
	if (argc < 4) return 2;
	state = strtoull(argv[2], NULL, 10) * 2654435769u + 1;
	if (!strcmp(argv[1], "parse") && argc > 4) return parse_main(argc - 4 > 64 ? 64 : argc - 4, argv + 4, strtoul(argv[3], NULL, 10));
	if (!strcmp(argv[1], "log") && argc == 6) return log_main(argv + 3);
	return 2;
}

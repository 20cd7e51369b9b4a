#include "plan.h"
#include <string.h>

#define PLAN_FIELDS(name, code, fields) [code] = fields,
static const char *const fields_of[STEP_LIMIT] = {PLAN_STEPS(PLAN_FIELDS)};

void step_take(struct cursor *c, struct step *step) {
	*step = (struct step){.code = take_u8(c)};
	const char *fields = step->code < STEP_LIMIT ? fields_of[step->code] : NULL;
	if (!fields) {
		c->bad = true;
		return;
	}
	unsigned texts = 0, numbers = 0, lists = 0;
	for (; *fields; fields++) {
		switch (*fields) {
		case 's': step->text[texts++] = take_text(c); break;
		case 'u': step->number[numbers++] = take_u32(c); break;
		case 'q': step->number[numbers++] = take_u64(c); break;
		case 'l': step->list[lists++] = take_texts(c); break;
		case 'n': step->list[lists++] = take_numbers(c); break;
		case 'b': step->bytes = take_bytes(c, &step->bytes_length); break;
		}
	}
}

void join_take(struct cursor *c, struct join *join) {
	*join = (struct join){.kind = take_u8(c), .path = ""};
	if (join->kind == JOIN_PATH) join->path = take_text(c);
	else if (join->kind != JOIN_INIT) c->bad = true;
	join->nstypes = take_u32(c);
	if ((join->nstypes & ~KERNEL_CLONE_NAMESPACES) || !join->nstypes) c->bad = true;
}

/* What the interpreter takes for granted about a step's values. */
static bool step_valid(const struct step *s) {
	switch (s->code) {
	case STEP_UNSHARE:
	case STEP_JOIN: return (s->number[0] & ~KERNEL_CLONE_NAMESPACES) == 0;
	case STEP_USER_NAMESPACE:
	case STEP_BIND: return s->list[0].count % 3 == 0 && s->list[1].count % 3 == 0;
	case STEP_MOUNT_LAYERS: return s->list[1].count == 0 || s->list[1].count == 2;
	case STEP_SECCOMP: return s->bytes_length % 8 == 0 && s->bytes_length > 0 && s->bytes_length <= 4096 * 8;
	case STEP_USER: return s->list[0].count <= 65536;
	case STEP_HOOK:
	case STEP_EXEC: return s->list[0].count > 0;
	default: return true;
	}
}

static struct list take_steps(struct cursor *c, bool ends_in_exec) {
	struct list list = {.count = take_u32(c)};
	struct step step = {0};
	list.at = c->at;
	for (uint32_t i = 0; i < list.count && !c->bad; i++) {
		step_take(c, &step);
		bool last = ends_in_exec && i + 1 == list.count;
		if (!step_valid(&step) || (step.code == STEP_EXEC) != last) c->bad = true;
	}
	if (ends_in_exec && list.count == 0) c->bad = true;
	list.end = c->at;
	return list;
}

static struct list take_plan(struct cursor *c) {
	uint32_t length;
	struct plan plan;
	const uint8_t *bytes = take_bytes(c, &length);
	if (!c->bad && length && (!plan_parse(bytes, length, &plan) || *plan.pid_file)) c->bad = true;
	return c->bad ? (struct list){0} : (struct list){.at = bytes, .end = bytes + length, .count = length};
}

bool plan_parse(const uint8_t *bytes, size_t length, struct plan *plan) {
	struct cursor c = {.at = bytes, .end = bytes + length};
	*plan = (struct plan){.pid_file = "", .console = ""};
	plan->clone_flags = take_u32(&c);
	plan->cgroup2 = take_text(&c);
	plan->before = take_steps(&c, false);
	plan->joins = (struct list){.count = take_u32(&c)};
	plan->joins.at = c.at;
	struct join join;
	for (uint32_t i = 0; i < plan->joins.count && !c.bad; i++) join_take(&c, &join);
	plan->joins.end = c.at;
	plan->steps = take_steps(&c, true);
	if (c.at != c.end && !c.bad) {
		plan->pid_file = take_text(&c);
		plan->console = take_text(&c);
		plan->patience_ms = take_u32(&c);
		plan->follow = take_plan(&c);
		plan->farewell = take_plan(&c);
		if (!*plan->pid_file) c.bad = true;
	}
	bool flags_valid = (plan->clone_flags & ~KERNEL_CLONE_NAMESPACES) == 0;
	/* Without a join there is no middle process that could run `before`. */
	bool before_valid = plan->before.count == 0 || plan->joins.count > 0;
	return !c.bad && c.at == c.end && flags_valid && before_valid;
}

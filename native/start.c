/* The START frame. Apart from the monitor, so that it can be fuzzed. */
#include "monitor.h"

bool start_take(struct cursor *c, struct start *s) {
	take_u32(c);
	s->id = take_text(c);
	s->attachments = take_u32(c);
	s->stdin_mode = take_u32(c);
	s->terminal = take_u32(c);
	s->exit_file = take_text(c);
	s->log_path = take_text(c);
	s->log_max_size = take_u64(c);
	s->log_max_files = take_u32(c);
	s->cgroup.oom_file = take_text(c);
	s->cgroup.kill_file = take_text(c);
	s->cgroup.freezer = take_text(c);
	s->cgroup.directories = take_texts(c);
	return !c->bad && is_id(s->id) && s->attachments <= MAX_ATTACHMENTS && s->stdin_mode <= STDIN_OPEN && s->log_max_files <= 1000;
}

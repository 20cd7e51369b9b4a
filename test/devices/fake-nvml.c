/*
 * A libnvidia-ml.so.1 for tests: the functions that Gantry calls, with answers from the file `fake-nvml.conf` in the directory that it was loaded from. The file is read
 * again at every call, so that a test can change what GPUs do.
 *
 *   driver 570.86.15
 *   cuda 12080
 *   gpu    uuid=GPU-… name=NVIDIA_H100 pci=00000000:01:00.0 minor=0 total=85899345920 used=0 util=0 temp=40 power=70000
 *   part   gpu=0 slot=0 uuid=MIG-… name=NVIDIA_H100_MIG_1g.10gb gi=7 ci=0 total=… used=… slices=1
 *   process gpu=0 pid=123 memory=1048576 util=20 gi=7 ci=0 kind=compute
 *   fail   nvmlDeviceGetTemperature 3        an error code
 *   delay  nvmlInit_v2 60000                 milliseconds, in the middle of the call
 *   crash  nvmlDeviceGetCount_v2
 *   stride 32                                bytes of one process in the lists of _v3
 *
 * GPUs are numbered as they come. `_` in names stands for a blank. Compiled with -DOLD_DRIVER it has none of the functions that came with MIG.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef void *device_t;

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { MOST = 64 };

struct gpu { char uuid[96], name[96], pci[32]; u64 total, used, util, temp, power, minor; };
struct part { char uuid[96], name[96]; u64 gpu, slot, gi, ci, total, used, slices; };
struct process { u64 gpu, pid, memory, util, gi, ci; int draws; };

static struct {
  char driver[80];
  u64 cuda, stride;
  int gpus, parts, processes;
  struct gpu gpu[MOST];
  struct part part[MOST];
  struct process process[256];
} w;

/* As nvml.h lays them out. */
struct pci_info { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; };
struct memory_v1 { u64 total, free, used; };
struct rates { u32 gpu, memory; };
struct memory_v2 { u32 version; u64 total, reserved, free, used; };
struct attributes { u32 counts[8]; u64 memory_mib; };
struct sample { u32 pid; u64 at; u32 sm, memory, encoder, decoder; };

static int started;

static const char *word(const char *line, const char *key, char *out, size_t size) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, " %s=", key);
  const char *at = strstr(line, pattern);
  if (at == NULL) return NULL;
  at += strlen(pattern);
  size_t length = strcspn(at, " \n");
  snprintf(out, size, "%.*s", (int)length, at);
  for (char *c = out; *c != 0; c++) if (*c == '_') *c = ' ';
  return out;
}

static u64 number(const char *line, const char *key, u64 otherwise) {
  char text[32];
  return word(line, key, text, sizeof text) == NULL ? otherwise : strtoull(text, NULL, 0);
}

static void pause_ms(long ms) {
  struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&rest, NULL);
}

static FILE *answers(void) {
  Dl_info self;
  char path[4096];
  if (dladdr((void *)answers, &self) == 0) return NULL;
  const char *slash = strrchr(self.dli_fname, '/');
  snprintf(path, sizeof path, "%.*s/fake-nvml.conf", (int)(slash == NULL ? 1 : slash - self.dli_fname), slash == NULL ? "." : self.dli_fname);
  return fopen(path, "r");
}

/* Reads everything, and does to the function of that name what the file says. */
static int enter(const char *function) {
  char line[512], name[128];
  long value;
  int status = OK;
  memset(&w, 0, sizeof w);
  w.cuda = 12080, w.stride = 24;
  strcpy(w.driver, "570.86.15");
  FILE *file = answers();
  if (file == NULL) return OK;
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "driver %79s", w.driver) == 1 || sscanf(line, "cuda %llu", &w.cuda) == 1 || sscanf(line, "stride %llu", &w.stride) == 1) continue;
    if (sscanf(line, "fail %127s %ld", name, &value) == 2 && strcmp(name, function) == 0) status = (int)value;
    if (sscanf(line, "delay %127s %ld", name, &value) == 2 && strcmp(name, function) == 0) pause_ms(value);
    if (sscanf(line, "crash %127s", name) == 1 && strcmp(name, function) == 0) abort();
    if (strncmp(line, "gpu ", 4) == 0 && w.gpus < MOST) {
      struct gpu *g = &w.gpu[w.gpus++];
      word(line, "uuid", g->uuid, sizeof g->uuid);
      word(line, "name", g->name, sizeof g->name);
      word(line, "pci", g->pci, sizeof g->pci);
      g->minor = number(line, "minor", (u64)(w.gpus - 1));
      g->total = number(line, "total", 0), g->used = number(line, "used", 0), g->util = number(line, "util", 0);
      g->temp = number(line, "temp", 40), g->power = number(line, "power", 70000);
    }
    if (strncmp(line, "part ", 5) == 0 && w.parts < MOST) {
      struct part *p = &w.part[w.parts++];
      word(line, "uuid", p->uuid, sizeof p->uuid);
      word(line, "name", p->name, sizeof p->name);
      p->gpu = number(line, "gpu", 0), p->slot = number(line, "slot", 0), p->gi = number(line, "gi", 0), p->ci = number(line, "ci", 0);
      p->total = number(line, "total", 0), p->used = number(line, "used", 0), p->slices = number(line, "slices", 1);
    }
    if (strncmp(line, "process ", 8) == 0 && w.processes < 256) {
      struct process *p = &w.process[w.processes++];
      char text[32];
      p->gpu = number(line, "gpu", 0), p->pid = number(line, "pid", 0), p->memory = number(line, "memory", ~0ULL), p->util = number(line, "util", 0);
      p->gi = number(line, "gi", 0xffffffff), p->ci = number(line, "ci", 0xffffffff);
      p->draws = word(line, "kind", text, sizeof text) != NULL && strcmp(text, "graphics") == 0;
    }
  }
  fclose(file);
  if (status == OK && !started && strcmp(function, "nvmlInit_v2") != 0) return UNINITIALIZED;
  return status;
}

#define ENTER() do { int status_ = enter(__func__); if (status_ != OK) return status_; } while (0)

/* GPU i is 0x1000 + i, part i is 0x2000 + i. */
static struct gpu *gpu_of(device_t device) {
  u64 at = (u64)device - 0x1000;
  return (u64)device >= 0x1000 && at < (u64)w.gpus ? &w.gpu[at] : NULL;
}

static struct part *part_of(device_t device) {
  u64 at = (u64)device - 0x2000;
  return (u64)device >= 0x2000 && at < (u64)w.parts ? &w.part[at] : NULL;
}

#define GPU() struct gpu *g = gpu_of(device); if (g == NULL) return part_of(device) != NULL ? NOT_SUPPORTED : INVALID

static int copied(char *out, u32 size, const char *text) {
  if (strlen(text) >= size) return TOO_SMALL;
  strcpy(out, text);
  return OK;
}

int nvmlInit_v2(void) { ENTER(); started = 1; return OK; }
int nvmlShutdown(void) { ENTER(); started = 0; return OK; }
int nvmlSystemGetDriverVersion(char *out, u32 size) { ENTER(); return copied(out, size, w.driver); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { ENTER(); *version = (int)w.cuda; return OK; }
int nvmlDeviceGetCount_v2(u32 *count) { ENTER(); *count = (u32)w.gpus; return OK; }

int nvmlDeviceGetHandleByIndex_v2(u32 index, device_t *device) {
  ENTER();
  if (index >= (u32)w.gpus) return INVALID;
  *device = (device_t)(u64)(0x1000 + index);
  return OK;
}

int nvmlDeviceGetName(device_t device, char *out, u32 size) {
  ENTER();
  struct part *p = part_of(device);
  if (p != NULL) return copied(out, size, p->name);
  GPU();
  return copied(out, size, g->name);
}

int nvmlDeviceGetUUID(device_t device, char *out, u32 size) {
  ENTER();
  struct part *p = part_of(device);
  if (p != NULL) return copied(out, size, p->uuid);
  GPU();
  return copied(out, size, g->uuid);
}

int nvmlDeviceGetPciInfo_v3(device_t device, struct pci_info *info) {
  ENTER();
  GPU();
  memset(info, 0, sizeof *info);
  strcpy(info->bus_id, g->pci);
  return OK;
}

int nvmlDeviceGetMinorNumber(device_t device, u32 *minor) { ENTER(); GPU(); *minor = (u32)g->minor; return OK; }

static int memory_of(device_t device, u64 *total, u64 *used) {
  struct part *p = part_of(device);
  struct gpu *g = gpu_of(device);
  if (p == NULL && g == NULL) return INVALID;
  *total = p != NULL ? p->total : g->total, *used = p != NULL ? p->used : g->used;
  return *total == 0 ? NOT_SUPPORTED : OK;
}

/* As old drivers do: what the driver keeps for itself counts as used. */
static const u64 reserved = 1 << 20;

int nvmlDeviceGetMemoryInfo(device_t device, struct memory_v1 *memory) {
  ENTER();
  int status = memory_of(device, &memory->total, &memory->used);
  memory->used += reserved, memory->free = memory->total - memory->used;
  return status;
}

int nvmlDeviceGetUtilizationRates(device_t device, struct rates *rates) {
  ENTER();
  GPU();
  rates->gpu = (u32)g->util, rates->memory = 1;
  return OK;
}

int nvmlDeviceGetTemperature(device_t device, int sensor, u32 *celsius) {
  ENTER();
  GPU();
  *celsius = (u32)g->temp;
  return sensor == 0 ? OK : INVALID;
}

int nvmlDeviceGetPowerUsage(device_t device, u32 *milliwatts) { ENTER(); GPU(); *milliwatts = (u32)g->power; return OK; }

static int list(device_t device, int draws, size_t stride, u32 *room, unsigned char *out) {
  u32 found = 0;
  GPU();
  for (int i = 0; i < w.processes; i++) {
    struct process *p = &w.process[i];
    if (p->gpu != (u64)(g - w.gpu) || p->draws != draws) continue;
    if (++found > *room) continue;
    unsigned char *entry = out + (found - 1) * stride;
    u32 pid = (u32)p->pid, gi = (u32)p->gi, ci = (u32)p->ci;
    u64 protected_memory = 0;
    memcpy(entry, &pid, 4), memcpy(entry + 8, &p->memory, 8);
    if (stride >= 24) memcpy(entry + 16, &gi, 4), memcpy(entry + 20, &ci, 4);
    if (stride >= 32) memcpy(entry + 24, &protected_memory, 8);
  }
  int status = found > *room ? TOO_SMALL : OK;
  *room = found;
  return status;
}

int nvmlDeviceGetComputeRunningProcesses(device_t device, u32 *room, void *out) { ENTER(); return list(device, 0, 16, room, out); }
int nvmlDeviceGetGraphicsRunningProcesses(device_t device, u32 *room, void *out) { ENTER(); return list(device, 1, 16, room, out); }

#ifndef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v2(device_t device, u32 *room, void *out) { ENTER(); return list(device, 0, 24, room, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v2(device_t device, u32 *room, void *out) { ENTER(); return list(device, 1, 24, room, out); }
int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, u32 *room, void *out) { ENTER(); return list(device, 0, w.stride, room, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t device, u32 *room, void *out) { ENTER(); return list(device, 1, w.stride, room, out); }

int nvmlDeviceGetMemoryInfo_v2(device_t device, struct memory_v2 *memory) {
  ENTER();
  if (memory->version != (sizeof *memory | 2 << 24)) return 25;
  memory->reserved = reserved;
  return memory_of(device, &memory->total, &memory->used);
}

static int divided(struct gpu *g) {
  for (int i = 0; i < w.parts; i++) if (w.part[i].gpu == (u64)(g - w.gpu)) return 1;
  return 0;
}

int nvmlDeviceGetMigMode(device_t device, u32 *current, u32 *pending) {
  ENTER();
  GPU();
  *current = *pending = (u32)divided(g);
  return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, u32 *count) { ENTER(); GPU(); *count = divided(g) ? 7 : 0; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, u32 index, device_t *part) {
  ENTER();
  GPU();
  for (int i = 0; i < w.parts; i++) {
    if (w.part[i].gpu != (u64)(g - w.gpu) || w.part[i].slot != index) continue;
    *part = (device_t)(u64)(0x2000 + i);
    return OK;
  }
  return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(device_t device, u32 *id) {
  ENTER();
  struct part *p = part_of(device);
  if (p == NULL) return INVALID;
  *id = (u32)p->gi;
  return OK;
}

int nvmlDeviceGetComputeInstanceId(device_t device, u32 *id) {
  ENTER();
  struct part *p = part_of(device);
  if (p == NULL) return INVALID;
  *id = (u32)p->ci;
  return OK;
}

int nvmlDeviceGetAttributes_v2(device_t device, struct attributes *given) {
  ENTER();
  struct part *p = part_of(device);
  if (p == NULL) return NOT_SUPPORTED;
  memset(given, 0, sizeof *given);
  given->counts[6] = given->counts[7] = (u32)p->slices;
  given->memory_mib = p->total >> 20;
  return OK;
}
#endif

int nvmlDeviceGetProcessUtilization(device_t device, struct sample *out, u32 *room, u64 since) {
  ENTER();
  GPU();
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  u64 at = (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
  u32 found = 0;
#ifndef OLD_DRIVER
  if (divided(g)) return NOT_SUPPORTED;
#endif
  for (int i = 0; i < w.processes; i++) {
    struct process *p = &w.process[i];
    if (p->gpu != (u64)(g - w.gpu) || p->util == 0 || at <= since) continue;
    if (++found > *room) continue;
    memset(&out[found - 1], 0, sizeof *out);
    out[found - 1].pid = (u32)p->pid, out[found - 1].at = at, out[found - 1].sm = (u32)p->util;
  }
  int status = found > *room ? TOO_SMALL : found == 0 ? NOT_FOUND : OK;
  *room = found;
  return status;
}

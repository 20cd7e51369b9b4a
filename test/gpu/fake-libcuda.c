/*
 * A libcuda.so.1 for machines without a GPU: memory is the process's own, and kernels are carried out on the processor from the PTX text that the program loads, one thread
 * after the other. So the very PTX that a GPU would get is tested. What it does not know of PTX is refused (CUDA_ERROR_INVALID_PTX), and memory that was not asked
 * for is CUDA_ERROR_ILLEGAL_ADDRESS; either is told on stderr.
 *
 * Its devices are the nodes /dev/nvidia0, 1, … that may be opened here: a fake node has NVIDIA's number and no driver behind it, so ENXIO means allowed and EPERM refused by
 * the device filter. FAKE_CUDA_DEV: another directory than /dev.
 */
#include "cuda-driver.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_PTX = 218, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700 };
enum { MAX_DEVICES = 16, MAX_SLOTS = 128, MAX_OPS = 256, MAX_KERNELS = 16, MAX_BLOCKS = 4096 };

/* Devices */
static int minors[MAX_DEVICES], device_count;

static int usable(const char *name, int number) {
  const char *directory = getenv("FAKE_CUDA_DEV");
  char path[4096];
  snprintf(path, sizeof path, number < 0 ? "%s/%s" : "%s/%s%d", directory ? directory : "/dev", name, number);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0 || errno == ENXIO || errno == ENODEV;
}

CUresult cuInit(unsigned flags) {
  if (flags != 0) return INVALID_VALUE;
  device_count = 0;
  if (!usable("nvidiactl", -1) || !usable("nvidia-uvm", -1)) return NO_DEVICE;
  for (int minor = 0; minor < MAX_DEVICES; minor++)
    if (usable("nvidia", minor)) minors[device_count++] = minor;
  return device_count > 0 ? SUCCESS : NO_DEVICE;
}
CUresult cuDriverGetVersion(int *version) { return *version = 12020, SUCCESS; }
CUresult cuDeviceGetCount(int *count) { return *count = device_count, SUCCESS; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) { return *device = ordinal, ordinal >= 0 && ordinal < device_count ? SUCCESS : INVALID_VALUE; }
CUresult cuDeviceGetName(char *name, int length, CUdevice device) { return snprintf(name, length, "Fake GPU %d", minors[device]), SUCCESS; }
CUresult cuDeviceGetPCIBusId(char *address, int length, CUdevice device) { return snprintf(address, length, "0000:%02X:00.0", minors[device] + 1), SUCCESS; }
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) { return (void)device, *bytes = (size_t)1 << 30, SUCCESS; }
CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device) { return (void)flags, (void)device, *context = (CUcontext)minors, SUCCESS; }

CUresult cuGetErrorString(CUresult error, const char **text) {
  switch (error) {
    case INVALID_VALUE: *text = "invalid argument"; break;
    case OUT_OF_MEMORY: *text = "out of memory"; break;
    case NO_DEVICE: *text = "no CUDA-capable device is detected"; break;
    case INVALID_PTX: *text = "a PTX JIT compilation failed"; break;
    case NOT_FOUND: *text = "named symbol not found"; break;
    case ILLEGAL_ADDRESS: *text = "an illegal memory access was encountered"; break;
    default: return INVALID_VALUE;
  }
  return SUCCESS;
}

/* Memory */
static struct { uint64_t start, size; } blocks[MAX_BLOCKS];
static CUresult failed; /* As with the driver, after a wrong access nothing works any more. */

static CUresult owned(uint64_t address, uint64_t bytes) {
  for (int i = 0; i < MAX_BLOCKS; i++)
    if (address >= blocks[i].start && address - blocks[i].start + bytes <= blocks[i].size) return SUCCESS;
  fprintf(stderr, "fake libcuda: %llu bytes at %#llx are nobody's\n", (unsigned long long)bytes, (unsigned long long)address);
  return failed = ILLEGAL_ADDRESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
  for (int i = 0; bytes > 0 && i < MAX_BLOCKS; i++)
    if (blocks[i].size == 0) {
      void *memory = malloc(bytes);
      if (memory == NULL) return OUT_OF_MEMORY;
      memset(memory, 0xff, bytes); /* Not-a-number: what is read before it was written shows. */
      *pointer = blocks[i].start = (uint64_t)(uintptr_t)memory;
      blocks[i].size = bytes;
      return SUCCESS;
    }
  return bytes == 0 ? INVALID_VALUE : OUT_OF_MEMORY;
}
CUresult cuMemFree_v2(CUdeviceptr pointer) {
  for (int i = 0; i < MAX_BLOCKS; i++)
    if (blocks[i].size > 0 && blocks[i].start == pointer) return free((void *)(uintptr_t)pointer), blocks[i].size = 0, SUCCESS;
  return INVALID_VALUE;
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  if (failed || owned(to, bytes)) return failed;
  return memcpy((void *)(uintptr_t)to, from, bytes), SUCCESS;
}
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  if (failed || owned(from, bytes)) return failed;
  return memcpy(to, (void *)(uintptr_t)from, bytes), SUCCESS;
}
CUresult cuCtxSynchronize(void) { return failed; }

/* PTX: registers, parameters, constants and labels are slots of one array; an instruction names slots. */
typedef union { uint64_t u64; uint32_t u32; float f32; } Value;
typedef enum { MOVE, MAD, MUL, WIDE, DIV, REM, ADD, ADD64, FADD, FSUB, FMUL, FDIV, FMA, EX2, GE, FEQ, LOAD, STORE, BRANCH, RETURN } Code;
static const struct { const char *text; Code code; int operands; } instructions[] = {
    {"ld.param.u64", MOVE, 2}, {"ld.param.u32", MOVE, 2}, {"ld.param.f32", MOVE, 2}, {"mov.u32", MOVE, 2}, {"mov.f32", MOVE, 2},
    {"cvta.to.global.u64", MOVE, 2}, {"mad.lo.u32", MAD, 4}, {"mul.lo.u32", MUL, 3}, {"mul.wide.u32", WIDE, 3}, {"div.u32", DIV, 3},
    {"rem.u32", REM, 3}, {"add.u32", ADD, 3}, {"add.u64", ADD64, 3}, {"add.f32", FADD, 3}, {"sub.f32", FSUB, 3}, {"mul.f32", FMUL, 3},
    {"div.rn.f32", FDIV, 3}, {"fma.rn.f32", FMA, 4}, {"ex2.approx.f32", EX2, 2}, {"setp.ge.u32", GE, 3}, {"setp.eq.f32", FEQ, 3},
    {"ld.global.f32", LOAD, 2}, {"st.global.f32", STORE, 2}, {"bra", BRANCH, 1}, {"ret", RETURN, 0}};
typedef struct { Code code; int guard; int at[4]; } Op;
struct CUfunc_st {
  char name[64];
  char names[MAX_SLOTS][64]; /* "[x": the parameter x. "x:": the label. */
  int declared[MAX_SLOTS], slots, parameters, param_slots[32], param_bytes[32], ops;
  Value values[MAX_SLOTS];
  Op program[MAX_OPS];
};
struct CUmod_st { struct CUfunc_st kernels[MAX_KERNELS]; int count; };

static const char *cursor;
static char word[64];

/* The next word or mark; "" at the end. */
static const char *next(void) {
  for (;;) {
    while (isspace((unsigned char)*cursor)) cursor++;
    if (cursor[0] != '/' || cursor[1] != '/') break;
    cursor += strcspn(cursor, "\n");
  }
  size_t length = strspn(cursor, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.%$");
  if (length == 0 && *cursor != '\0') length = 1;
  if (length >= sizeof word - 2) length = sizeof word - 3;
  memcpy(word, cursor, length);
  word[length] = '\0';
  cursor += length;
  return word;
}
static int is(const char *text) { return strcmp(word, text) == 0; }

static int slot(struct CUfunc_st *kernel, const char *prefix, const char *name, const char *suffix) {
  char full[80];
  snprintf(full, sizeof full, "%s%s%s", prefix, name, suffix);
  for (int i = 0; i < kernel->slots; i++)
    if (strcmp(kernel->names[i], full) == 0) return i;
  if (kernel->slots == MAX_SLOTS) return 0;
  int i = kernel->slots++;
  memcpy(kernel->names[i], full, sizeof kernel->names[i]);
  kernel->declared[i] = isdigit((unsigned char)full[0]) || full[0] == '%';
  if (full[0] == '0' && full[1] == 'f') kernel->values[i].u32 = (uint32_t)strtoul(full + 2, NULL, 16);
  else if (isdigit((unsigned char)full[0])) kernel->values[i].u64 = strtoull(full, NULL, 0);
  return i;
}

static int operand(struct CUfunc_st *kernel, Code code, int is_param) {
  next();
  if (!is("[")) return slot(kernel, "", word, code == BRANCH ? ":" : "");
  int at = slot(kernel, is_param ? "[" : "", next(), "");
  return next(), at; /* ] */
}

static int instruction(struct CUfunc_st *kernel) {
  if (kernel->ops == MAX_OPS) return 0;
  Op *op = &kernel->program[kernel->ops++];
  op->guard = -1;
  if (is("@")) op->guard = slot(kernel, "", next(), ""), next();
  for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
    if (!is(instructions[i].text)) continue;
    op->code = instructions[i].code;
    int is_param = strncmp(word, "ld.param", 8) == 0;
    for (int k = 0; k < instructions[i].operands; k++) {
      op->at[k] = operand(kernel, op->code, is_param);
      if (k + 1 < instructions[i].operands && (next(), !is(","))) return 0;
    }
    return next(), is(";");
  }
  return 0;
}

static int body(struct CUfunc_st *kernel) {
  for (next(); !is("}"); next()) {
    if (is("")) return 0;
    if (is(".reg")) {
      next();
      do kernel->declared[slot(kernel, "", next(), "")] = 1, next();
      while (is(","));
    } else if (*cursor == ':') {
      int at = slot(kernel, "", word, ":");
      kernel->values[at].u64 = (uint64_t)kernel->ops;
      kernel->declared[at] = 1;
      next();
    } else if (!instruction(kernel)) return 0;
  }
  for (int i = 0; i < kernel->slots; i++)
    if (!kernel->declared[i]) return strcpy(word, kernel->names[i]), 0;
  return kernel->slots < MAX_SLOTS;
}

static int entry(struct CUfunc_st *kernel) {
  strcpy(kernel->name, next());
  for (next(); !is("{"); next()) {
    if (!is(".param")) continue;
    int at = kernel->parameters++;
    next();
    kernel->param_bytes[at] = is(".u64") ? 8 : 4;
    kernel->param_slots[at] = slot(kernel, "[", next(), "");
    kernel->declared[kernel->param_slots[at]] = 1;
  }
  return body(kernel);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  *module = calloc(1, sizeof **module);
  for (cursor = image, next(); *word != '\0'; next())
    if (is(".entry") && !entry(&(*module)->kernels[(*module)->count++])) {
      fprintf(stderr, "fake libcuda: PTX is not understood at '%s'\n", word);
      return INVALID_PTX;
    }
  return (*module)->count > 0 ? SUCCESS : INVALID_PTX;
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  for (int i = 0; i < module->count; i++)
    if (strcmp(module->kernels[i].name, name) == 0) return *function = &module->kernels[i], SUCCESS;
  return NOT_FOUND;
}

static CUresult thread(struct CUfunc_st *kernel, Value *v) {
  for (int at = 0; at < kernel->ops; at++) {
    const Op *op = &kernel->program[at];
    if (op->guard >= 0 && v[op->guard].u32 == 0) continue;
    Value *d = &v[op->at[0]];
    const Value a = v[op->at[1]], b = v[op->at[2]], c = v[op->at[3]];
    switch (op->code) {
      case MOVE: *d = a; break;
      case MAD: d->u32 = a.u32 * b.u32 + c.u32; break;
      case MUL: d->u32 = a.u32 * b.u32; break;
      case WIDE: d->u64 = (uint64_t)a.u32 * b.u32; break;
      case DIV: d->u32 = b.u32 ? a.u32 / b.u32 : UINT32_MAX; break;
      case REM: d->u32 = b.u32 ? a.u32 % b.u32 : a.u32; break;
      case ADD: d->u32 = a.u32 + b.u32; break;
      case ADD64: d->u64 = a.u64 + b.u64; break;
      case FADD: d->f32 = a.f32 + b.f32; break;
      case FSUB: d->f32 = a.f32 - b.f32; break;
      case FMUL: d->f32 = a.f32 * b.f32; break;
      case FDIV: d->f32 = a.f32 / b.f32; break;
      case FMA: d->f32 = fmaf(a.f32, b.f32, c.f32); break;
      case EX2: d->f32 = exp2f(a.f32); break;
      case GE: d->u32 = a.u32 >= b.u32; break;
      case FEQ: d->u32 = a.f32 == b.f32; break;
      case LOAD:
        if (owned(a.u64, 4)) return failed;
        d->f32 = *(float *)(uintptr_t)a.u64;
        break;
      case STORE:
        if (owned(d->u64, 4)) return failed;
        *(float *)(uintptr_t)d->u64 = a.f32;
        break;
      case BRANCH: at = (int)d->u64 - 1; break;
      case RETURN: return SUCCESS;
    }
  }
  return SUCCESS;
}

CUresult cuLaunchKernel(CUfunction kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                        unsigned shared_bytes, CUstream stream, void **arguments, void **extra) {
  if (failed) return failed;
  if (grid_y * grid_z * block_y * block_z != 1 || shared_bytes != 0 || stream != NULL || extra != NULL) return INVALID_VALUE;
  for (int i = 0; i < kernel->parameters; i++) memcpy(&kernel->values[kernel->param_slots[i]], arguments[i], (size_t)kernel->param_bytes[i]);
  int block = slot(kernel, "", "%ctaid.x", ""), width = slot(kernel, "", "%ntid.x", ""), number = slot(kernel, "", "%tid.x", "");
  for (unsigned x = 0; x < grid_x * block_x; x++) {
    Value values[MAX_SLOTS];
    memcpy(values, kernel->values, sizeof values);
    values[block].u32 = x / block_x;
    values[width].u32 = block_x;
    values[number].u32 = x % block_x;
    if (thread(kernel, values)) return failed;
  }
  return SUCCESS;
}

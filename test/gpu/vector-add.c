/*
 * Adds two vectors on each GPU that is visible, by CUDA's driver library alone, and checks every sum. Needs no toolkit: cc -o vector-add vector-add.c -ldl
 *
 *   vector-add                 adds and checks; one line a GPU, then `vector-add: right`
 *   vector-add --list          names the GPUs only
 *   vector-add --hold SECONDS  keeps 512 MiB of the first GPU meanwhile, for others to measure, and says `holding` when it has them
 */
#include "cuda-driver.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 1 << 20, THREADS = 256 };

static const char ptx[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry add(.param .u64 a, .param .u64 b, .param .u64 sum, .param .u32 size)\n"
    "{\n"
    "  .reg .pred outside;\n"
    "  .reg .u32 block, threads, i, count;\n"
    "  .reg .u64 at, from;\n"
    "  .reg .f32 x, y;\n"
    "  mov.u32 block, %ctaid.x;\n"
    "  mov.u32 threads, %ntid.x;\n"
    "  mov.u32 i, %tid.x;\n"
    "  mad.lo.u32 i, block, threads, i;\n"
    "  ld.param.u32 count, [size];\n"
    "  setp.ge.u32 outside, i, count;\n"
    "  @outside bra end;\n"
    "  mul.wide.u32 at, i, 4;\n"
    "  ld.param.u64 from, [a];\n"
    "  cvta.to.global.u64 from, from;\n"
    "  add.u64 from, from, at;\n"
    "  ld.global.f32 x, [from];\n"
    "  ld.param.u64 from, [b];\n"
    "  cvta.to.global.u64 from, from;\n"
    "  add.u64 from, from, at;\n"
    "  ld.global.f32 y, [from];\n"
    "  add.f32 x, x, y;\n"
    "  ld.param.u64 from, [sum];\n"
    "  cvta.to.global.u64 from, from;\n"
    "  add.u64 from, from, at;\n"
    "  st.global.f32 [from], x;\n"
    "end:\n"
    "  ret;\n"
    "}\n";

/* The library's functions, under their names. */
#define DECLARE(result, name, parameters) static result(*name) parameters;
CUDA_DRIVER_CALLS(DECLARE)

static void load(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "vector-add: %s\n", dlerror());
    exit(2);
  }
#define FIND(result, name, parameters) \
  if ((*(void **)&name = dlsym(library, #name)) == NULL) fprintf(stderr, "vector-add: libcuda.so.1 has no " #name "\n"), exit(2);
  CUDA_DRIVER_CALLS(FIND)
}

static void check(CUresult status, const char *call) {
  const char *text = NULL;
  if (status == 0) return;
  if (cuGetErrorString(status, &text) != 0 || text == NULL) text = "an error it has no words for";
  fprintf(stderr, "vector-add: %s failed with %d (%s)\n", call, status, text);
  exit(3);
}
#define CALL(function, ...) check(function(__VA_ARGS__), #function)

static CUdeviceptr filled(const float *values, size_t bytes) {
  CUdeviceptr pointer;
  CALL(cuMemAlloc_v2, &pointer, bytes);
  if (values != NULL) CALL(cuMemcpyHtoD_v2, pointer, values, bytes);
  return pointer;
}

static void add(void) {
  static float a[COUNT], b[COUNT], sum[COUNT];
  for (int i = 0; i < COUNT; i++) a[i] = (float)i, b[i] = (float)(COUNT - 2 * i);
  CUmodule module;
  CUfunction function;
  CALL(cuModuleLoadData, &module, ptx);
  CALL(cuModuleGetFunction, &function, module, "add");
  CUdeviceptr at_a = filled(a, sizeof a), at_b = filled(b, sizeof b), at_sum = filled(NULL, sizeof sum);
  unsigned count = COUNT;
  void *arguments[] = {&at_a, &at_b, &at_sum, &count};
  CALL(cuLaunchKernel, function, (COUNT + THREADS - 1) / THREADS, 1, 1, THREADS, 1, 1, 0, NULL, arguments, NULL);
  CALL(cuCtxSynchronize);
  CALL(cuMemcpyDtoH_v2, sum, at_sum, sizeof sum);
  for (int i = 0; i < COUNT; i++) {
    if (sum[i] == a[i] + b[i]) continue;
    fprintf(stderr, "vector-add: sum %d is %f, not %f\n", i, (double)sum[i], (double)(a[i] + b[i]));
    exit(4);
  }
  CALL(cuMemFree_v2, at_a);
  CALL(cuMemFree_v2, at_b);
  CALL(cuMemFree_v2, at_sum);
}

static void describe(CUdevice device, int number) {
  char name[256], address[32];
  size_t bytes;
  CALL(cuDeviceGetName, name, (int)sizeof name, device);
  CALL(cuDeviceGetPCIBusId, address, (int)sizeof address, device);
  CALL(cuDeviceTotalMem_v2, &bytes, device);
  printf("device %d: %s, %s, %zu MiB\n", number, name, address, bytes >> 20);
}

int main(int argc, char **argv) {
  int list = argc == 2 && strcmp(argv[1], "--list") == 0, hold = argc == 3 && strcmp(argv[1], "--hold") == 0;
  if (argc > 1 && !list && !hold) return fprintf(stderr, "usage: vector-add [--list | --hold SECONDS]\n"), 1;
  int version, count;
  load();
  CALL(cuInit, 0);
  CALL(cuDriverGetVersion, &version);
  CALL(cuDeviceGetCount, &count);
  printf("CUDA %d.%d, %d visible\n", version / 1000, version % 1000 / 10, count);
  for (int number = 0; number < count; number++) {
    CUdevice device;
    CUcontext context;
    CALL(cuDeviceGet, &device, number);
    describe(device, number);
    if (list) continue;
    CALL(cuCtxCreate_v2, &context, 0, device);
    if (hold) {
      CUdeviceptr memory = filled(NULL, (size_t)512 << 20);
      printf("holding\n");
      fflush(stdout);
      sleep((unsigned)atoi(argv[2]));
      CALL(cuMemFree_v2, memory);
      return 0;
    }
    add();
  }
  if (!list) printf("vector-add: right\n");
  return count > 0 ? 0 : 3;
}

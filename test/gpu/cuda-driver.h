/*
 * What vector-add.c needs of CUDA's driver library: written from the driver API's documentation, so that no toolkit has to be there to compile it. The names are those
 * that the library exports; `_v2` is the form with sizes and addresses of 64 bits.
 */
#ifndef GANTRY_TEST_CUDA_DRIVER_H
#define GANTRY_TEST_CUDA_DRIVER_H
#include <stddef.h>
#include <stdint.h>

typedef int CUresult; /* 0: success */
typedef int CUdevice; /* its number among those that are visible */
typedef uint64_t CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;

/* X(what it gives, its name, what it takes) */
#define CUDA_DRIVER_CALLS(X) \
  X(CUresult, cuInit, (unsigned flags)) \
  X(CUresult, cuDriverGetVersion, (int *version)) \
  X(CUresult, cuGetErrorString, (CUresult error, const char **text)) \
  X(CUresult, cuDeviceGetCount, (int *count)) \
  X(CUresult, cuDeviceGet, (CUdevice *device, int ordinal)) \
  X(CUresult, cuDeviceGetName, (char *name, int length, CUdevice device)) \
  X(CUresult, cuDeviceGetPCIBusId, (char *address, int length, CUdevice device)) \
  X(CUresult, cuDeviceTotalMem_v2, (size_t *bytes, CUdevice device)) \
  X(CUresult, cuCtxCreate_v2, (CUcontext *context, unsigned flags, CUdevice device)) \
  X(CUresult, cuCtxSynchronize, (void)) \
  X(CUresult, cuModuleLoadData, (CUmodule *module, const void *image)) \
  X(CUresult, cuModuleGetFunction, (CUfunction *function, CUmodule module, const char *name)) \
  X(CUresult, cuMemAlloc_v2, (CUdeviceptr *pointer, size_t bytes)) \
  X(CUresult, cuMemFree_v2, (CUdeviceptr pointer)) \
  X(CUresult, cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes)) \
  X(CUresult, cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes)) \
  X(CUresult, cuLaunchKernel, (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, \
                               unsigned shared_bytes, CUstream stream, void **arguments, void **extra))

#endif

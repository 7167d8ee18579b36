// SPDX-License-Identifier: BSL-1.0

// Preloaded where the system does not let RLIMIT_NOFILE be raised: programs that ask for the limit get the
// value of SHIM_NOFILE.

#undef _FILE_OFFSET_BITS  // with it getrlimit and getrlimit64 would be one function

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static unsigned long limit(void) {
  const char* value = getenv("SHIM_NOFILE");
  return value == NULL ? 1024 : strtoul(value, NULL, 10);
}

int getrlimit(__rlimit_resource_t resource, struct rlimit* found) {
  const int result = prlimit(0, resource, NULL, found);
  if (result == 0 && resource == RLIMIT_NOFILE) found->rlim_cur = found->rlim_max = limit();
  return result;
}

int getrlimit64(__rlimit_resource_t resource, struct rlimit64* found) {
  const int result = prlimit64(0, resource, NULL, found);
  if (result == 0 && resource == RLIMIT_NOFILE) found->rlim_cur = found->rlim_max = limit();
  return result;
}

int getdtablesize(void) { return (int)limit(); }

long sysconf(int name) {
  long (*next)(int);
  *(void**)&next = dlsym(RTLD_NEXT, "sysconf");
  return name == _SC_OPEN_MAX ? (long)limit() : next(name);
}

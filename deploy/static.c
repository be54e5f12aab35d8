/*
 * What the static programs take in place of larger parts of the C library and of the unwinder.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

/*
 * Rust names its threads, each from within. For the name of another thread musl would print into
 * the path of a file, and that takes all of printf: 10 KB.
 */
int pthread_setname_np(pthread_t thread, const char *name)
{
	if (thread != pthread_self())
		return ENOTSUP;
	return prctl(PR_SET_NAME, name) == 0 ? 0 : errno;
}

/*
 * There is nothing to look up in a static program. The C library's own, which says so at length, is
 * written in assembly for MIPS, and there takes only calls of code that may be anywhere.
 */
void *dlsym(void *restrict handle, const char *restrict name)
{
	(void)handle;
	(void)name;
	return NULL;
}

/*
 * On ARM each object names the function that would unwind its stack, which takes all of libunwind:
 * 14 KB. Nothing unwinds in a program whose panics end it where it stands.
 */
#ifdef __arm__
#define NEVER(name) void name(void) { abort(); }
NEVER(__aeabi_unwind_cpp_pr0)
NEVER(__aeabi_unwind_cpp_pr1)
NEVER(__aeabi_unwind_cpp_pr2)
NEVER(__gnu_unwind_frame)
NEVER(_Unwind_GetDataRelBase)
NEVER(_Unwind_GetLanguageSpecificData)
NEVER(_Unwind_GetRegionStart)
NEVER(_Unwind_GetTextRelBase)
NEVER(_Unwind_VRS_Get)
NEVER(_Unwind_VRS_Set)
#endif

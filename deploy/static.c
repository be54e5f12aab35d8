/*
 * Small replacements, for the static programs, of larger parts of the C library and the unwinder.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

/*
 * Rust sets the name of a thread from the thread itself. To name another thread, musl formats a path
 * with printf, which adds 10 KB.
 */
int pthread_setname_np(pthread_t thread, const char *name)
{
	if (thread != pthread_self())
		return ENOTSUP;
	return prctl(PR_SET_NAME, name) == 0 ? 0 : errno;
}

/*
 * A static program has no symbols to look up. The C library's own version has an error message, and
 * on MIPS it is assembly that can only be called from position-independent code.
 */
void *dlsym(void *restrict handle, const char *restrict name)
{
	(void)handle;
	(void)name;
	return NULL;
}

/*
 * On ARM each object refers to the function that unwinds its stack, which links all of libunwind:
 * 14 KB. These programs never unwind: a panic aborts them.
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

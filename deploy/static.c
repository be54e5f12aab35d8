/*
 * Small replacements, for the static programs, of larger parts of the C library and the unwinder.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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
 * 14 KB. These programs never unwind: a panic aborts them. The definitions are weak, because the client
 * links the parts of libunwind that print a panic.
 */
#ifdef __arm__
#define NEVER(name) __attribute__((weak)) void name(void) { abort(); }
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

/*
 * On big-endian MIPS, rustix makes system calls through the C library, and calls its functions for
 * 32-bit times with structures of its own, so that no timer would ever expire.
 */
#ifdef __MIPSEB__
struct rustix_timespec {
	int64_t seconds;
	int32_t nanoseconds;
};

/* The kernel's `struct __kernel_timespec`. */
struct kernel_timespec {
	int64_t seconds;
	int64_t nanoseconds;
};

static struct kernel_timespec to_kernel(const struct rustix_timespec *time)
{
	return (struct kernel_timespec){ time->seconds, time->nanoseconds };
}

/* `timer` has the interval and the time of the next expiration. The old ones are not returned. */
int timerfd_settime(int fd, int flags, const struct rustix_timespec timer[2],
		    struct rustix_timespec old[2])
{
	const struct kernel_timespec times[2] = { to_kernel(&timer[0]), to_kernel(&timer[1]) };

	old[0] = old[1] = (struct rustix_timespec){ 0 };
	return syscall(SYS_timerfd_settime64, fd, flags, times, NULL);
}

int ppoll(void *fds, unsigned long count, const struct rustix_timespec *timeout, const void *mask)
{
	struct kernel_timespec time;

	if (timeout != NULL)
		time = to_kernel(timeout);
	/* The last argument is the size of a signal set in the kernel. */
	return syscall(SYS_ppoll_time64, fds, count, timeout ? &time : NULL, mask, 16);
}
#endif
